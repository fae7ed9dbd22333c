"""Sessions of inference: what requests left, for their owners to fetch until its time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from api.models.accounts import Actor
from api.models.dialect import dated_id
from api.models.inference import EXPORT, VIDEO, InferSession
from api.services import infer_files
from api.services.infer_files import InferFiles
from api.services.store import inference as store
from api.services.store.database import Database
from api.utils.errors import Conflict, Forbidden, NotFound
from api.utils.faults import fault

DENIED = "the inference session belongs to somebody else"
SWEEP_SECONDS = 60.0  # between looks for sessions whose time is over
AT_ONCE = 200  # of them that one look removes
SHOWN = (infer_files.UPLOADS, infer_files.IMAGES)


class InferSessions:
    """`keep`: seconds. Raises the errors of api.utils.errors."""

    def __init__(self, db: Database, files: InferFiles, *, keep: float, clock: Callable[[], float] = time.time) -> None:
        self._db = db
        self.files = files
        self._keep = keep
        self._clock = clock
        self._swept = 0.0

    def sweep(self) -> None:
        """At the start: what crashes have left."""
        with self._db.read() as connection:
            known = store.names(connection)
        self.files.sweep(known)

    def tidy(self) -> None:
        """Now and then: sessions whose time is over."""
        now = self._clock()
        if now - self._swept < SWEEP_SECONDS:
            return
        with self._db.read() as connection:
            old = store.older_than(connection, now - self._keep, AT_ONCE)
        for session_id in old:
            self._remove(session_id)
        if len(old) < AT_ONCE:
            self._swept = now

    def new_id(self) -> str:
        """One that no session has."""
        with self._db.read() as connection:
            return store.free_id(connection, lambda: dated_id("session"))

    def keep(
        self,
        actor: Actor,
        session_id: str,
        draft: Path,
        kind: str,
        model_ids: Sequence[str],
        summary: Mapping[str, Any],
        team_id: int | None,
        *,
        durable: bool = True,
    ) -> InferSession:
        """What is whole gets its name and its row. `durable` False: a power cut may take both."""
        if durable:
            self.files.settle(draft)
        with self._db.write(durable=durable) as connection:
            self.files.name(draft, session_id)
            fault("inference.named")
            values = {
                "id": session_id,
                "owner_id": actor.user_id,
                "team_id": team_id,
                "kind": kind,
                "model_ids": list(model_ids),
                "summary": dict(summary),
                "created_at": self._clock(),
            }
            session = store.add(connection, values)
        if durable:
            self.files.named()
        return session

    # ---- look

    def page(self, actor: Actor, limit: int, offset: int) -> tuple[list[InferSession], int]:
        actor.require_read()
        with self._db.read() as connection:
            return store.page(connection, actor.viewer, limit, offset)

    def get(self, actor: Actor, session_id: str) -> InferSession:
        with self._db.read() as connection:
            session = store.get(connection, session_id)
        if not actor.may_read(session.owner_id, session.team_id):
            raise Forbidden(DENIED)
        return session

    def expires_at(self, session: InferSession) -> float:
        return session.created_at + self._keep

    def open_image(self, actor: Actor, path: str) -> BinaryIO:
        """`inference_results/<session>/{uploads,images}/<name>` of a session that the caller may read."""
        parts = path.split("/")
        missing = NotFound(f"there is no image {path[:200]!r}")
        if len(parts) != 4 or parts[0] != infer_files.FOLDER or parts[2] not in SHOWN:
            raise missing
        with self._db.read() as connection:
            if store.find(connection, parts[1]) is None:
                raise missing
        self.get(actor, parts[1])
        try:
            return self.files.open(parts[1], "/".join(parts[2:]))
        except FileNotFoundError:
            raise missing from None

    def open_video(self, actor: Actor, session_id: str) -> BinaryIO:
        session = self.get(actor, session_id)
        if session.kind != VIDEO:
            raise Conflict(f"session {session_id} has no video")
        try:
            return self.files.open(session_id, infer_files.VIDEO)
        except FileNotFoundError:
            raise NotFound(f"the video of session {session_id} is gone") from None

    def zip(self, actor: Actor, session_id: str) -> Iterator[bytes]:
        session = self.get(actor, session_id)
        if session.kind != EXPORT:
            raise Conflict(f"session {session_id} was not made by /infer/{{model_id}}/export; it has no results.csv")
        try:
            return self.files.zip(session_id)
        except FileNotFoundError:
            raise NotFound(f"the files of session {session_id} are gone") from None

    # ---- change

    def delete(self, actor: Actor, session_id: str) -> None:
        session = self.get(actor, session_id)
        actor.require_run()
        if not actor.may_change(session.owner_id):
            raise Forbidden(DENIED)
        self._remove(session_id)

    def _remove(self, session_id: str) -> None:
        """The row, then the files; what a crash leaves of these is removed at the next start."""
        with self._db.write() as connection:
            removed = store.remove(connection, session_id)
        if removed:
            self.files.remove(session_id)
