"""What people do with registered models of the YOLO platform: look, rename, remove, use."""

from __future__ import annotations

from pathlib import Path

from api.models.accounts import Actor
from api.models.yolo_model import YoloModel
from api.services.store import yolo_models as store
from api.services.store.database import Database
from api.services.store.jobs import Viewer
from api.utils.errors import Forbidden

DENIED = "the model belongs to somebody else"
WEIGHTS = Path("weights", "best.pt")


class YoloModels:
    """Files: `<data>/models/<model id>/weights/best.pt`. Raises the errors of api.utils.errors."""

    def __init__(self, db: Database, data_dir: Path) -> None:
        self._db = db
        self.root = data_dir / "models"

    def weights(self, model: YoloModel) -> Path:
        """The file, which is there for as long as the row is."""
        return self.root / model.id / WEIGHTS

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
