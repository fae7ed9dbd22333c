"""The files of an attempt: main TOML, dataset TOML, one TOML an evaluation dataset that was given in place."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api.models.workspace import Workspace
from api.services.engines.diffusion_pipe import toml_text
from api.utils.errors import Invalid

PRIVATE = 0o600  # a config may hold a key (wandb)


def plain(value: Any, field: str) -> Any:
    """As it will read back from TOML: no nulls, one type a list. Raises Invalid naming the key."""
    if value is None:
        return None
    try:
        result = toml_text.normalized(value, field)
    except toml_text.Unwritable as problem:
        raise Invalid(problem.field, problem.problem) from None
    if len(json.dumps(result)) > toml_text.TEXT_MAX:
        raise Invalid(field, f"is larger than {toml_text.TEXT_MAX // 1024} KiB")
    return result


def texts(config: Mapping[str, Any], dataset: Mapping[str, Any], workspace: Workspace) -> dict[Path, str]:
    """Path -> text of every file, each read back and compared. Raises Invalid naming the key."""
    main = dict(plain(config, "config"))
    files = {workspace.dataset_config: _text(plain(dataset, "dataset"), "dataset")}
    evaluations = []
    for index, entry in enumerate(main.get("eval_datasets", ())):
        where = f"config.eval_datasets.{index}.config"
        if isinstance(entry["config"], Mapping):
            path = workspace.eval_config(index)
            files[path] = _text(entry["config"], where)
            entry = {**entry, "config": str(path)}
        evaluations.append(entry)
    if evaluations:
        main["eval_datasets"] = evaluations
    main |= {"output_dir": str(workspace.output_dir), "dataset": str(workspace.dataset_config)}
    files[workspace.config] = _text(main, "config")
    return files


def preview(config: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, str]:
    """The same by file name, of a job that is not there yet: places that only a job has are named in braces."""
    output = Path(config.get("output_dir") or "{output}")
    nowhere = Workspace("{job}", 1, Path("{configs}"), Path("{log}"), Path("{configs}"), output)
    return {path.name: text for path, text in texts(config, dataset, nowhere).items()}


def _text(table: Mapping[str, Any], field: str) -> str:
    try:
        return toml_text.dumps(table, field)
    except toml_text.Unwritable as problem:
        raise Invalid(problem.field, problem.problem) from None


def write(path: Path, text: str, mode: int = PRIVATE) -> None:
    """Whole or not at all, also through a power cut."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse it; the rename stands
    finally:
        os.close(descriptor)
