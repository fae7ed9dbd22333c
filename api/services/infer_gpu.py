"""The GPU of the inference process: leased like a job's, so that no job is started on it, and given back."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError

from api.services.gpus.desk import GpuDesk
from api.services.store import leases, queue
from api.services.store.database import Database


class InferGpu:
    """`wanted_at_all` False: it works on the CPU, whatever there is."""

    def __init__(self, db: Database, desk: GpuDesk, wanted_at_all: bool) -> None:
        self._db = db
        self._desk = desk
        self._wanted_at_all = wanted_at_all

    def take(self) -> int | None:
        """A free one that no job waits for; None where there is none, and the CPU has to do."""
        if not self._wanted_at_all or self.wanted():
            return None
        for gpu in self._desk.view().free:
            try:
                with self._db.write() as connection:
                    leases.take_for_inference(connection, gpu)
            except IntegrityError:  # a job was faster
                continue
            return gpu
        return None

    def leave(self) -> None:
        with self._db.write() as connection:
            leases.give_back_inference(connection)

    def wanted(self) -> bool:
        with self._db.read() as connection:
            return queue.any_waits_for_gpu(connection)
