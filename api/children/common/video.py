"""Videos of strangers, opened so that nothing but the file itself is ever read."""

from __future__ import annotations

from typing import Any

from av.video.stream import VideoStream

#: nothing that names other files or addresses (playlists, concat scripts) is ever read
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,flv,live_flv,asf,mpegts,mpeg"
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}


def video_stream(container: Any) -> VideoStream | None:
    """The first that is no cover picture, and of a codec that is known."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & type(stream.disposition).attached_pic:
            return stream  # type: ignore[no-any-return]
    return None
