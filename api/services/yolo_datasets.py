"""What people do with datasets of the YOLO platform: upload, register, prepare, look, change, export, remove."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from api.models.accounts import Actor
from api.models.dialect import dated_id
from api.models.yolo import FIRST_VERSION, Dataset, Preparation, Version
from api.services.accounts import AccountService
from api.services.store import jobs as job_store
from api.services.store import yolo_datasets as store
from api.services.store.database import Database
from api.services.yolo_files import IMAGES, SOURCE, Content, YoloFiles
from api.services.yolo_labels import LabelFiles
from api.services.yolo_prepare import Preparer
from api.utils.errors import Conflict, Forbidden, Invalid, NotFound
from api.utils.faults import fault
from api.utils.paths import PathPolicy
from api.utils.zips import plain_name

DENIED = "the dataset belongs to somebody else"
SHOWN = ("images", "thumbs")  # folders of a version whose files anybody who may read it can fetch


class YoloDatasets:
    """Raises the errors of api.utils.errors."""

    def __init__(
        self,
        db: Database,
        accounts: AccountService,
        files: YoloFiles,
        preparer: Preparer,
        roots: PathPolicy,
        labels: LabelFiles,
        *,
        most_files: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._files = files
        self._preparer = preparer
        self._roots = roots
        self._labels = labels
        self._most_files = most_files
        self._clock = clock

    def sweep(self) -> None:
        """At the start, before anything is uploaded: what crashes have left."""
        with self._db.read() as connection:
            known = store.names(connection)
        self._files.sweep(known)

    def close(self) -> None:
        self._preparer.close()

    # ---- make

    def upload(self, actor: Actor, filename: str, file: BinaryIO, size: int, team_id: int | None = None) -> Dataset:
        self._may_make(actor, team_id)
        with self._files.draft() as draft:
            (draft / SOURCE).mkdir()
            content = self._files.unpack(file, draft / SOURCE)
            kept = Content(size, content.images, content.labels)
            return self._add(actor, plain_name(filename) or "dataset.zip", kept, team_id, draft=draft)

    def register(self, actor: Actor, path: str, name: str | None = None, team_id: int | None = None) -> Dataset:
        """A directory that is on the machine already. It is read when it is prepared, and never changed."""
        self._may_make(actor, team_id)
        resolved = self._roots.resolve("path", path)
        if not resolved.is_dir():
            raise Invalid("path", "is not a directory")
        content = self._files.survey(resolved, self._most_files)
        return self._add(actor, name or plain_name(resolved.name) or "dataset", content, team_id, path=str(resolved))

    def _may_make(self, actor: Actor, team_id: int | None) -> None:
        actor.require_run()
        if team_id is not None:
            self._accounts.team_for(actor, team_id)

    def _add(
        self,
        actor: Actor,
        filename: str,
        content: Content,
        team_id: int | None,
        *,
        path: str | None = None,
        draft: Path | None = None,
    ) -> Dataset:
        now = self._clock()
        values = {
            "owner_id": actor.user_id,
            "team_id": team_id,
            "filename": filename,
            "size": content.size,
            "path": path,
            "image_count": content.images,
            "label_count": content.labels,
            "created_at": now,
            "updated_at": now,
        }
        with self._db.write() as connection:
            dataset_id = store.free_id(connection, lambda: dated_id("ds"))
            if draft is not None:
                self._files.name(draft, self._files.of(dataset_id))
                fault("dataset.named")
            return store.add(connection, {"id": dataset_id, **values})

    # ---- look

    def all_of(self, actor: Actor) -> list[Dataset]:
        actor.require_read()
        with self._db.read() as connection:
            return store.all_of(connection, actor.viewer)

    def get(self, actor: Actor, dataset_id: str) -> Dataset:
        with self._db.read() as connection:
            return self._readable(actor, store.get(connection, dataset_id))

    def _readable(self, actor: Actor, dataset: Dataset) -> Dataset:
        if not actor.may_read(dataset.owner_id, dataset.team_id):
            raise Forbidden(DENIED)
        return dataset

    def mine(self, actor: Actor, dataset_id: str) -> Dataset:
        """One that the caller may change."""
        dataset = self.get(actor, dataset_id)
        actor.require_run()
        if not actor.may_change(dataset.owner_id):
            raise Forbidden(DENIED)
        return dataset

    def version(self, actor: Actor, dataset_id: str, name: str) -> tuple[Dataset, Version]:
        """Raises Conflict where it was never prepared."""
        dataset = self.get(actor, dataset_id)
        if not dataset.versions:
            raise Conflict(f"dataset {dataset_id} is not prepared")
        found = dataset.version(name)
        if found is None:
            raise NotFound(f"dataset {dataset_id} has no version {name!r}")
        return dataset, found

    def prepared(self, actor: Actor, dataset_id: str, name: str) -> tuple[Dataset, Version]:
        """The same of one that may be only uploaded: its first version is made then, for those who may change it."""
        if name == FIRST_VERSION and not self.get(actor, dataset_id).versions:
            self.prepare(actor, dataset_id, Preparation())
        return self.version(actor, dataset_id, name)

    def directory(self, dataset: Dataset, version: Version) -> Path:
        """Where a prepared version lies: images/, labels/, thumbs/, data.yaml, manifest.jsonl."""
        return self._files.of(dataset.id) / version.name

    def find(self, actor: Actor, name: str) -> Path | None:
        """For the dialects that name datasets: the newest version, else what was uploaded."""
        with self._db.read() as connection:
            dataset = store.find(connection, name)
        return None if dataset is None else self._newest(self._readable(actor, dataset))

    def find_named(self, actor: Actor, name: str) -> Path | None:
        """Likewise, by what it was uploaded or registered as: of several the newest that the caller may read."""
        with self._db.read() as connection:
            dataset = store.named(connection, actor.viewer, name)
        return None if dataset is None else self._newest(dataset)

    def _newest(self, dataset: Dataset) -> Path:
        if dataset.newest is not None:
            return self.directory(dataset, dataset.newest)
        return Path(dataset.path) if dataset.path else self._files.of(dataset.id) / SOURCE

    def open_image(self, actor: Actor, path: str) -> BinaryIO:
        """`datasets/<dataset>/<version>/{images,thumbs}/...`, an image of a dataset that the caller may read."""
        parts = path.split("/")
        suffix = "." + parts[-1].rpartition(".")[2].lower()
        missing = NotFound(f"there is no image {path[:200]!r}")
        if len(parts) < 5 or parts[0] != "datasets" or parts[3] not in SHOWN or suffix not in IMAGES:
            raise missing
        with self._db.read() as connection:
            dataset = store.find(connection, parts[1])
        if dataset is None:
            raise missing
        if self._readable(actor, dataset).version(parts[2]) is None:
            raise missing
        try:
            return self._files.open("/".join(parts[1:]))
        except FileNotFoundError:
            raise missing from None

    def export(self, actor: Actor, dataset_id: str, version: str, *, labels: bool) -> tuple[Dataset, Iterator[bytes]]:
        dataset, found = self.version(actor, dataset_id, version)
        self._labels.write(dataset, found)
        return dataset, self._files.export(dataset.id, found.name, labels=labels)

    # ---- change

    def prepare(self, actor: Actor, dataset_id: str, wanted: Preparation) -> tuple[Dataset, Version]:
        """The same asked for twice makes one version."""
        dataset = self.mine(actor, dataset_id)
        if dataset.path is not None and str(self._roots.resolve("path", dataset.path)) != dataset.path:
            raise Conflict(f"{dataset.path} is not the directory that was registered: it leads elsewhere now")
        return dataset, self._preparer.prepare(dataset, wanted)

    def change(self, actor: Actor, dataset_id: str, given: Mapping[str, Any]) -> Dataset:
        dataset = self.mine(actor, dataset_id)
        values = {name: given[name] for name in ("description", "tags") if name in given}
        with self._db.write() as connection:
            return store.change(connection, dataset, {**values, "updated_at": self._clock()})

    def delete(self, actor: Actor, dataset_id: str) -> None:
        """The rows, then the files; a registered directory stays as it is. Raises Conflict while a job uses it."""
        dataset = self.mine(actor, dataset_id)
        if self._preparer.is_busy(dataset_id):
            raise Conflict(f"dataset {dataset_id} is being prepared; remove it when that is done")
        with self._db.write() as connection:
            user = job_store.user_of_dataset(connection, dataset_id)
            if user is not None:
                raise Conflict(f"job {user} uses dataset {dataset_id}; stop it first, or wait for its end")
            store.remove(connection, dataset)
        fault("dataset.removed")
        self._files.remove(dataset_id)
