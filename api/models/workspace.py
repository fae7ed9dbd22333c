"""Workspace: the one owner of every path of a job and of its attempts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where one attempt of a job keeps things.

    `control` belongs to the keeper (lock, pid.json, stop, exit.json) and is named by the attempt; the log is
    the job's, appended to by each attempt, so that a byte offset means the same for as long as the job lives.
    """

    job_id: str
    attempt: int
    control: Path
    log: Path
    config_dir: Path
    output_dir: Path

    @property
    def errors(self) -> Path:
        """Standard error alone, of engines that keep it apart."""
        return self.log.with_suffix(".stderr")

    @property
    def config(self) -> Path:
        return self.config_dir / f"{self.job_id}.toml"

    @property
    def dataset_config(self) -> Path:
        return self.config_dir / f"{self.job_id}_dataset.toml"

    def eval_config(self, index: int) -> Path:
        return self.config_dir / f"{self.job_id}_eval{index}.toml"
