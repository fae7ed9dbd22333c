"""What people do with inference: look at images and videos with registered models, and keep what was seen."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from api.models.accounts import Actor
from api.models.inference import BATCH, EXPORT, IMAGE, VIDEO, LookOptions, Problem, Seen, SentFile
from api.models.yolo_model import YoloModel
from api.services import infer_files
from api.services.accounts import AccountService
from api.services.infer_files import ResultTable, write_json
from api.services.infer_look import Asked, BadFile, Frames, Gone, Looker, VideoInfo, image_size
from api.services.infer_process import InferProcess
from api.services.infer_sessions import InferSessions
from api.services.yolo_models import YoloModels
from api.utils.errors import Invalid
from api.utils.images import BadImage, image_header
from api.utils.streams import Streams
from api.utils.times import iso

AT_ONCE, VIDEOS_AT_ONCE = 32, 4  # requests; the others are told to come again
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
MOST_LOOKS = 1000  # models times images, of one batch


@dataclass(frozen=True, slots=True)
class Look:
    """How to look, for whom, whose members may read what is kept of it, and whether its client has left."""

    actor: Actor
    options: LookOptions
    team_id: int | None = None
    gone: Gone = bool


@dataclass(frozen=True, slots=True)
class Kept:
    """An image that was looked at, and where it is kept, as /static has it."""

    filename: str
    path: str
    model: YoloModel
    seen: Seen


@dataclass(frozen=True, slots=True)
class Exported:
    """An image of an export session; `uuid` is the name of the one with the boxes drawn."""

    uuid: str
    filename: str
    seen: Seen


@dataclass(frozen=True, slots=True)
class Filmed:
    session_id: str
    info: VideoInfo
    counts: list[int]  # boxes on each frame


@dataclass(frozen=True, slots=True)
class SizeLimits:
    image: int
    video: int


class Inference:
    """Raises the errors of api.utils.errors; Left (api.services.infer_process) where the client has gone."""

    def __init__(
        self,
        process: InferProcess,
        models: YoloModels,
        sessions: InferSessions,
        accounts: AccountService,
        sizes: SizeLimits,
    ) -> None:
        self.process = process
        self.sessions = sessions
        self._models = models
        self._accounts = accounts
        self._looker = Looker(process, models.weights)
        self._sizes = sizes
        self._images = Streams(AT_ONCE, "inference")
        self._videos = Streams(VIDEOS_AT_ONCE, "videos")

    def sweep(self) -> None:
        """At the start, before anything is asked."""
        self.sessions.sweep()

    def tidy(self) -> None:
        self.process.tidy()
        self.sessions.tidy()

    def close(self) -> None:
        self.process.close()

    # ---- may I?

    def model(self, actor: Actor, model_id: str) -> YoloModel:
        """One that the caller may use: to be asked before the files are looked at."""
        actor.require_run()
        return self._models.get(actor, model_id)

    def models(self, actor: Actor, model_ids: Sequence[str]) -> list[YoloModel]:
        return [self.model(actor, model_id) for model_id in dict.fromkeys(model_ids)]

    def _check_team(self, look: Look) -> None:
        if look.team_id is not None:
            self._accounts.team_for(look.actor, look.team_id)

    # ---- images

    def image(self, look: Look, model: YoloModel, sent: SentFile, *, draw: bool = False) -> tuple[str, Kept]:
        """The session, and what was seen."""
        self._check_team(look)
        with self._images.enter(), self.sessions.files.draft() as draft:
            try:
                data, extension = self._read(sent)
                seen = self._looker.image(Asked(model, data, draw), look.options, look.gone)
            except BadFile as problem:
                raise _refused("file", [Problem(sent.name, str(problem))]) from None
            session_id = self.sessions.new_id()
            path = _save(draft, session_id, data, extension)
            summary = {"images": 1, "detections": len(seen.detections)}
            self.sessions.keep(look.actor, session_id, draft, IMAGE, [model.id], summary, look.team_id, durable=False)
        return session_id, Kept(sent.name, path, model, seen)

    def batch(
        self, look: Look, models: Sequence[YoloModel], files: Sequence[SentFile]
    ) -> tuple[str, list[Kept], list[Problem]]:
        """Each model on each image. A file that is none is told of, and the others are looked at all the same."""
        if len(models) * len(files) > MOST_LOOKS:
            raise Invalid("files", f"{len(models)} models on {len(files)} images are more than {MOST_LOOKS} looks")
        self._check_team(look)
        problems: dict[int, Problem] = {}
        kept: list[Kept] = []
        with self._images.enter(), self.sessions.files.draft() as draft:
            session_id = self.sessions.new_id()
            paths: dict[int, str] = {}
            for model in models:
                for index, data, extension, seen in self._each(look, model, files, problems):
                    if index not in paths:
                        paths[index] = _save(draft, session_id, data, extension)
                    kept.append(Kept(files[index].name, paths[index], model, seen))
            _require_some(kept, problems)
            summary = {"images": len(paths), "detections": sum(len(one.seen.detections) for one in kept)}
            ids = [model.id for model in models]
            self.sessions.keep(look.actor, session_id, draft, BATCH, ids, summary, look.team_id, durable=False)
        return session_id, kept, list(problems.values())

    def export(
        self, look: Look, model: YoloModel, files: Sequence[SentFile]
    ) -> tuple[str, Path, list[Exported], list[Problem]]:
        """A session of annotated images with their table; its id and directory, its images, and what was left out."""
        self._check_team(look)
        problems: dict[int, Problem] = {}
        made: list[Exported] = []
        with self._images.enter(), self.sessions.files.draft() as draft:
            session_id = self.sessions.new_id()
            (draft / infer_files.IMAGES).mkdir()
            with ResultTable(draft) as table:
                for index, _, _, seen in self._each(look, model, files, problems, draw=True):
                    one = Exported(str(uuid.uuid4()), files[index].name, Seen(seen.width, seen.height, seen.detections))
                    (draft / infer_files.IMAGES / f"{one.uuid}.jpg").write_bytes(seen.picture)
                    table.add((one.uuid, one.filename, model.id, seen.width, seen.height), seen.detections)
                    made.append(one)
            _require_some(made, problems)
            detections = sum(len(one.seen.detections) for one in made)
            told = _metadata(session_id, model, look.options) | {
                "images": [_image_row(one) for one in made],
                "errors": [problem._asdict() for problem in problems.values()],
            }
            write_json(draft / infer_files.METADATA, told)
            summary = {"images": len(made), "detections": detections}
            session = self.sessions.keep(look.actor, session_id, draft, EXPORT, [model.id], summary, look.team_id)
        return session.id, self.sessions.files.of(session.id), made, list(problems.values())

    def _each(
        self,
        look: Look,
        model: YoloModel,
        files: Sequence[SentFile],
        problems: dict[int, Problem],
        *,
        draw: bool = False,
    ) -> Iterator[tuple[int, bytes, str, Seen]]:
        """Index, bytes and extension of each file on which something can be seen; `problems` gets the others."""
        asked: dict[int, tuple[bytes, str]] = {}

        def readable() -> Iterator[Asked]:
            for index, sent in enumerate(files):
                if index in problems:
                    continue
                try:
                    asked[index] = self._read(sent)
                except BadFile as problem:
                    problems[index] = Problem(sent.name, str(problem))
                    continue
                yield Asked(model, asked[index][0], draw)

        for seen in self._looker.images(readable(), look.options, look.gone):
            index = next(iter(asked))  # the answers come in order
            data, extension = asked.pop(index)
            if isinstance(seen, BadFile):
                problems[index] = Problem(files[index].name, str(seen))
            else:
                yield index, data, extension, seen

    def _read(self, sent: SentFile) -> tuple[bytes, str]:
        """By its header a JPEG or PNG of a size that is taken. Raises BadFile."""
        if sent.size > self._sizes.image:
            raise BadFile(f"has {sent.size} bytes; at most {self._sizes.image} are taken")
        sent.file.seek(0)
        if not sent.file.read(8).startswith(STARTS):
            raise BadFile("is neither JPEG nor PNG")
        try:
            header = image_header(sent.file)
        except BadImage as problem:
            raise BadFile(str(problem)) from None
        sent.file.seek(0)
        return sent.file.read(), header.extension

    # ---- videos

    def video(self, look: Look, model: YoloModel, sent: SentFile) -> Filmed:
        self._check_team(look)
        with self._videos.enter(), self._spooled(sent) as (draft, source):
            session_id = self.sessions.new_id()
            with _naming(sent):
                info, counts = self._looker.film(model, source, draft / infer_files.VIDEO, look.options, look.gone)
            source.unlink()
            told = _metadata(session_id, model, look.options) | {
                "filename": sent.name,
                "video_info": asdict(info),
                "detections_per_frame": counts,
            }
            write_json(draft / infer_files.METADATA, told)
            summary = {"frames": len(counts), "detections": sum(counts)}
            self.sessions.keep(look.actor, session_id, draft, VIDEO, [model.id], summary, look.team_id)
        return Filmed(session_id, info, counts)

    def frames(self, look: Look, model: YoloModel, sent: SentFile) -> Frames:
        """Frame by frame, nothing of it kept. The caller closes it."""
        with ExitStack() as stack:
            stack.enter_context(self._videos.enter())
            _, source = stack.enter_context(self._spooled(sent))
            with _naming(sent):
                info, frames = stack.enter_context(self._looker.frames(model, source, look.options, look.gone))
            return Frames(info, frames, stack.pop_all())
        raise AssertionError  # no context of these swallows an error

    @contextmanager
    def _spooled(self, sent: SentFile) -> Iterator[tuple[Path, Path]]:
        """A draft with the video in it."""
        if sent.size > self._sizes.video:
            problem = f"has {sent.size} bytes; at most {self._sizes.video} are taken"
            raise _refused("file", [Problem(sent.name, problem)])
        with self.sessions.files.draft() as draft:
            yield draft, self.sessions.files.receive(sent, draft)


@contextmanager
def _naming(sent: SentFile) -> Iterator[None]:
    try:
        yield
    except BadFile as problem:
        raise _refused("file", [Problem(sent.name, str(problem))]) from None


def _refused(field: str, problems: Sequence[Problem]) -> Invalid:
    first, *others = [(field, f"{problem.filename!r} {problem.problem}") for problem in problems]
    return Invalid(*first, more=others)


def _require_some(found: Sequence[Any], problems: Mapping[int, Problem]) -> None:
    if not found:
        raise _refused("files", list(problems.values()))


def _save(draft: Path, session_id: str, data: bytes, extension: str) -> str:
    folder = draft / infer_files.UPLOADS
    folder.mkdir(exist_ok=True)
    name = f"{uuid.uuid4()}{extension}"
    (folder / name).write_bytes(data)
    return f"{infer_files.FOLDER}/{session_id}/{infer_files.UPLOADS}/{name}"


def _image_row(one: Exported) -> dict[str, Any]:
    return {
        "image_uuid": one.uuid,
        "image_filename": one.filename,
        "image_width": one.seen.width,
        "image_height": one.seen.height,
        "detection_count": len(one.seen.detections),
    }


def _metadata(session_id: str, model: YoloModel, options: LookOptions) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "created_at": iso(time.time()),
        "model_id": model.id,
        "model_name": model.name,
        "classes": list(model.classes),
        "options": asdict(options) | {"imgsz": image_size(model, options)},
    }
