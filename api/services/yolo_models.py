"""What people do with registered models of the YOLO platform: look, rename, remove, use."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from api.models.accounts import Actor
from api.models.dialect import dated_id
from api.models.yolo_model import YoloModel
from api.services.store import yolo_models as store
from api.services.store.database import Database
from api.services.store.jobs import Viewer
from api.utils import drafts
from api.utils.errors import Forbidden

DENIED = "the model belongs to somebody else"
WEIGHTS = Path("weights", "best.pt")
DRAFTS = ".drafts"
ID = re.compile(r"model_[A-Za-z0-9_]{1,80}")


class YoloModels:
    """Files: `<data>/models/<model id>/weights/best.pt`. Raises the errors of api.utils.errors."""

    def __init__(self, db: Database, data_dir: Path) -> None:
        self._db = db
        self.root = data_dir / "models"

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

    def free_id(self, connection: Connection) -> str:
        return store.free_id(connection, lambda: dated_id("model"))

    def all_of(self, actor: Actor) -> list[YoloModel]:
        actor.require_read()
        with self._db.read() as connection:
            return store.all_of(connection, Viewer(actor.user_id, actor.team_ids, actor.is_admin))

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
