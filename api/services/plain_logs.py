"""A job's log as plain text: whole lines by byte offset, or the last so many. Read from the file itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from api.models.job import Job
from api.services.workspaces import Workspaces
from api.utils import wholelines
from api.utils.secrets import scrub


@dataclass(frozen=True, slots=True)
class Last:
    """The last lines of a log; `total` is how many it has."""

    total: int
    returned: int
    lines: Iterator[str]


class PlainLogs:
    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    def after(self, job: Job, offset: int, most: int) -> tuple[list[tuple[str, int]], int]:
        """Up to `most` whole lines that begin at a byte offset or later, each with the offset behind it; and the
        offset where to go on."""
        with wholelines.open_log(self._path(job)) as file:
            found, end = wholelines.after(file, offset, most, final=job.status.is_terminal)
        return [(scrub(text, job.spec.secrets), behind) for text, behind in found], end

    def last(self, job: Job, most: int | None) -> Last:
        """None: all lines. They are read as they are taken, however long the log is."""
        with wholelines.open_log(self._path(job)) as file:
            total, end = wholelines.count(file, final=job.status.is_terminal)
        returned = total if most is None else min(most, total)
        return Last(total, returned, self._lines(job, total - returned, end))

    def _lines(self, job: Job, skip: int, end: int) -> Iterator[str]:
        with wholelines.open_log(self._path(job)) as file:
            for text in wholelines.between(file, skip, end):
                yield scrub(text, job.spec.secrets)

    def _path(self, job: Job) -> str:
        return str(self._workspaces.log_file(job.id))
