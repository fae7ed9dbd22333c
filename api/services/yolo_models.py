"""What people do with registered models of the YOLO platform: look, rename, export, remove, use."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection

from api.models.accounts import Actor
from api.models.dialect import dated_id
from api.models.yolo_model import YoloModel
from api.models.yolo_model_json import written
from api.services.store import yolo_models as store
from api.services.store.database import Database
from api.utils import drafts
from api.utils.downloads import open_beneath
from api.utils.errors import Conflict, Forbidden, NotFound
from api.utils.faults import fault
from api.utils.zipstream import ZipStream

DENIED = "the model belongs to somebody else"
WEIGHTS = Path("weights", "best.pt")
DRAFTS = ".drafts"
ID = re.compile(r"model_[A-Za-z0-9_]{1,58}", re.ASCII)


class YoloModels:
    """Files: `<data>/models/<model id>/weights/best.pt`. Raises the errors of api.utils.errors."""

    def __init__(self, db: Database, data_dir: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._db = db
        self._clock = clock
        self.root = data_dir / "models"

    # ---- files

    def weights(self, model: YoloModel) -> Path:
        """The file, which is there for as long as the row is."""
        return self.weights_of(model.id)

    def weights_of(self, model_id: str) -> Path:
        return self.root / model_id / WEIGHTS

    def sweep(self) -> None:
        """At the start, before anything makes a model: what crashes have left without a row."""
        shutil.rmtree(self.root / DRAFTS, ignore_errors=True)
        with self._db.read() as connection:
            known = store.names(connection)
        for place in self.root.iterdir() if self.root.is_dir() else ():
            if ID.fullmatch(place.name) and place.name not in known and place.is_dir():
                shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Where a model's directory is made; its weights are to be put at `WEIGHTS`."""
        with drafts.draft(self.root / DRAFTS) as made:
            (made / WEIGHTS).parent.mkdir()
            yield made

    def name(self, made: Path, model_id: str) -> None:
        """A draft that is on the disk gets its name, in the transaction that tells of it."""
        drafts.name(made, self.root / model_id)

    def is_free(self, connection: Connection, model_id: str) -> bool:
        """Neither a model's, nor that of one whose row is yet to come."""
        return store.find(connection, model_id) is None and not (self.root / model_id).exists()

    def free_id(self, connection: Connection) -> str:
        return store.free_id(connection, lambda: dated_id("model"))

    # ---- look

    def all_of(self, actor: Actor) -> list[YoloModel]:
        actor.require_read()
        with self._db.read() as connection:
            return store.all_of(connection, actor.viewer)

    def get(self, actor: Actor, model_id: str) -> YoloModel:
        """One that the caller may read, and so may use: raises NotFound or Forbidden."""
        with self._db.read() as connection:
            model = store.get(connection, model_id)
        if not actor.may_read(model.owner_id, model.team_id):
            raise Forbidden(DENIED)
        return model

    def mine(self, actor: Actor, model_id: str) -> YoloModel:
        """One that the caller may change."""
        model = self.get(actor, model_id)
        actor.require_run()
        if not actor.may_change(model.owner_id):
            raise Forbidden(DENIED)
        return model

    def archive(self, actor: Actor, model_id: str) -> Iterator[bytes]:
        """A zip that an upload takes, made while it is sent. What is missing raises before the first byte."""
        model = self.get(actor, model_id)
        try:
            weights = open_beneath(self.root, str(model_id / WEIGHTS))
        except FileNotFoundError:
            raise NotFound(f"the weights of model {model_id} are not there any more") from None
        return _zipped(model, weights)

    # ---- change

    def change(self, actor: Actor, model_id: str, given: Mapping[str, Any]) -> YoloModel:
        model = self.mine(actor, model_id)
        values = {name: given[name] for name in ("name", "description", "tags") if name in given}
        with self._db.write() as connection:
            return store.change(connection, model, {**values, "updated_at": self._clock()})

    def delete(self, actor: Actor, model_id: str) -> None:
        """The row, then the files. What was exported from it stays with its job."""
        model = self.mine(actor, model_id)
        with self._db.write() as connection:
            user = store.live_use(connection, model_id)
            if user is not None:
                raise Conflict(f"job {user} uses the model; stop it first", data={"task_id": user})
            store.remove(connection, model)
        fault("model.removed")
        shutil.rmtree(self.root / model_id, ignore_errors=True)


def _zipped(model: YoloModel, weights: BinaryIO) -> Iterator[bytes]:
    archive = ZipStream()
    with weights:
        yield from archive.add_bytes(f"{model.id}/model.json", written(model))
        yield from archive.add_file(f"{model.id}/{WEIGHTS}", weights)
    yield from archive.finish()
