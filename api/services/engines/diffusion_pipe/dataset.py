"""A request's dataset -> what stands in the dataset TOML; its directories exist, are allowed and hold media."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.services.engines.diffusion_pipe.keys import is_int, is_number
from api.services.engines.diffusion_pipe.media import media_problem
from api.services.engines.diffusion_pipe.problems import Problems
from api.services.engines.diffusion_pipe.toml_text import same
from api.utils.errors import Forbidden, Invalid
from api.utils.paths import PathPolicy, path_text, shortened

DIRECTORIES_MAX = 1000
RESOLUTIONS_MAX = 3
SIDE_MAX = 65536
EXAMPLES = "examples/"

#: further paths of a directory: key -> whether it is a directory
_MORE_PATHS: Mapping[str, bool] = {"mask_path": True, "control_path": True, "default_mask_file": False}


@dataclass(frozen=True, slots=True)
class Inputs:
    """Looks at what a request names. `bundled`: the repository root, where the bundled trainer is in use."""

    policy: PathPolicy
    bundled: Path | None = None
    datasets: Callable[[str], Path | None] | None = None

    def path(self, field: str, value: object) -> Path:
        """An allowed path; the bundled examples are always allowed, also by their relative names."""
        text = path_text(field, value)
        if self.bundled is not None and (text.startswith(EXAMPLES) or text.startswith("/")):
            real = Path(os.path.realpath(self.bundled / text))
            if real.is_relative_to(os.path.realpath(self.bundled / EXAMPLES)):
                return real
            if not text.startswith("/"):
                raise Forbidden(f"{field}: {shortened(text)} leads out of {EXAMPLES}", data={"field": field})
        return self.policy.resolve(field, text)

    def directory(self, field: str, value: object) -> Path:
        path = self.path(field, value)
        if not path.is_dir():
            raise Invalid(field, f"{shortened(str(path), 200)} is not a directory that exists")
        return path

    def file(self, field: str, value: object) -> Path:
        path = self.path(field, value)
        if not path.is_file():
            raise Invalid(field, f"{shortened(str(path), 200)} is not a file that exists")
        return path

    def preprocessed(self, field: str, name: object) -> Path:
        if not isinstance(name, str) or not 1 <= len(name) <= 200:
            raise Invalid(field, "must be the name of a preprocessed dataset (1 to 200 characters)")
        found = self.datasets(name) if self.datasets is not None else None
        if found is None:
            raise Invalid(field, f"there is no preprocessed dataset {shortened(name)!r}")
        return found

    def model_path(self, field: str, text: str) -> str:
        """A model may lie anywhere; an absolute path must exist; anything else (a hub id) passes as it is."""
        if self.bundled is not None and text.startswith(EXAMPLES):
            text = str(self.path(field, text))
        if not text.startswith("/"):
            return text
        path_text(field, text)
        try:
            Path(text).stat()
        except PermissionError:
            raise Invalid(field, f"{shortened(text, 200)} cannot be reached by the service's user") from None
        except OSError:
            raise Invalid(field, f"{shortened(text, 200)} does not exist") from None
        return text


def normalized_dataset(raw: object, field: str, inputs: Inputs) -> dict[str, Any]:
    """The dataset as the TOML will have it. Raises Invalid naming all that is wrong, or Forbidden."""
    if not isinstance(raw, Mapping):
        raise Invalid(field, "must be an object with at least one directory")
    table = {k: v for k, v in raw.items() if v is not None}
    name = "directories" if "directories" in table else "directory"
    entries = table.pop("directories", None)
    if entries is not None and "directory" in table and not same(entries, table["directory"]):
        raise Invalid(f"{field}.directories", "was also given as directory, with another value")
    entries = entries if entries is not None else table.get("directory")
    if not isinstance(entries, list | tuple) or not entries:
        raise Invalid(f"{field}.{name}", "must be a list of at least one directory")
    if len(entries) > DIRECTORIES_MAX:
        raise Invalid(f"{field}.{name}", f"must have at most {DIRECTORIES_MAX} entries")
    problems = Problems()
    for where, message in _settings_problems(table, field):
        problems.add(where, message)
    directories = []
    for index, entry in enumerate(entries):
        with problems.collecting():
            directories.append(_directory(entry, table, f"{field}.{name}.{index}", inputs))
    problems.check()
    return {**table, "directory": directories}


def _directory(entry: object, top: Mapping[str, Any], field: str, inputs: Inputs) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise Invalid(field, "must be an object with a path")
    table = {k: v for k, v in entry.items() if v is not None}
    problems = Problems()
    for where, message in _settings_problems(table, field):
        problems.add(where, message)
    if not any(key in table or key in top for key in ("resolutions", "size_buckets")):
        problems.add(
            f"{field}.resolutions",
            "is required, here or for the whole dataset, unless size_buckets are given",
        )
    missing = _missing_ratio({**top, **table})
    if missing is not None:
        problems.add(
            f"{field}.{missing}",
            "is required, here or for the whole dataset, where enable_ar_bucket is true: give min_ar, max_ar and "
            "num_ar_buckets, or ar_buckets",
        )
    with problems.collecting():
        table = {"path": str(_media_directory(table, field, inputs)), **table}
        table.pop("path_id", None)
    for key, is_directory in _MORE_PATHS.items():
        if key in table:
            with problems.collecting():
                look = inputs.directory if is_directory else inputs.file
                table[key] = _each(table[key], f"{field}.{key}", look)
    problems.check()
    return table


def _each(value: object, field: str, look: Callable[[str, object], Path]) -> str | list[str]:
    if isinstance(value, list) and value:
        return [str(look(f"{field}.{i}", item)) for i, item in enumerate(value)]
    return str(look(field, value))


def _media_directory(table: dict[str, Any], field: str, inputs: Inputs) -> Path:
    """The one directory that path or path_id names; taken out of the table."""
    given, name = table.pop("path", None), table.get("path_id")
    if given is None and name is None:
        raise Invalid(f"{field}.path", "is required (or path_id, the name of a preprocessed dataset)")
    at = f"{field}.path" if given is not None else f"{field}.path_id"
    path = inputs.directory(at, given) if given is not None else inputs.preprocessed(at, name)
    if given is not None and name is not None and inputs.preprocessed(f"{field}.path_id", name) != path:
        raise Invalid(f"{field}.path_id", "names another directory than path")
    problem = media_problem(path)
    if problem is not None:
        raise Invalid(at, problem)
    return path


def _settings_problems(table: Mapping[str, Any], field: str) -> Iterator[tuple[str, str]]:
    """Of the settings that stand for the whole dataset and for one directory alike."""
    for key, check in _CHECKS.items():
        if key in table and (message := check(table[key])) is not None:
            yield f"{field}.{key}", message


def _missing_ratio(settings: Mapping[str, Any]) -> str | None:
    """The key that train.py would miss, of a directory's settings over the dataset's."""
    if settings.get("enable_ar_bucket") is not True or "ar_buckets" in settings or "size_buckets" in settings:
        return None
    return next((key for key in ("min_ar", "max_ar", "num_ar_buckets") if key not in settings), None)


def _is_side(value: object) -> bool:
    return is_int(value) and 1 <= value <= SIDE_MAX  # type: ignore[operator]


def _resolutions(value: Any) -> str | None:
    if not isinstance(value, list) or not value:
        return "must be a list of at least one resolution"
    if len(value) > RESOLUTIONS_MAX:
        return (
            f"has {len(value)} entries: train.py refuses more than {RESOLUTIONS_MAX} (it would end at once, "
            "with exit code 0 and without training)"
        )
    sides = all(_is_side(v) or (isinstance(v, list) and len(v) == 2 and all(map(_is_side, v))) for v in value)
    return None if sides else f"must hold side lengths (1 to {SIDE_MAX}) or [width, height] pairs"


def _size_buckets(value: Any) -> str | None:
    good = (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, list) and len(v) == 3 and all(map(_is_side, v)) for v in value)
    )
    return None if good else "must be a list of [width, height, frames]"


def _frame_buckets(value: Any) -> str | None:
    good = isinstance(value, list) and bool(value) and all(map(_is_side, value))
    return None if good else "must be a list of numbers of frames, each at least 1"


def _between(low: float, high: float, *, whole: bool = False) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        good = (is_int(value) if whole else is_number(value)) and low < value <= high
        return None if good else f"must be a {'whole ' if whole else ''}number above {low:g}, at most {high:g}"

    return check


def _switch(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _string(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be a string"


_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "resolutions": _resolutions,
    "size_buckets": _size_buckets,
    "frame_buckets": _frame_buckets,
    "num_repeats": _between(0, 1e6),
    "num_ar_buckets": _between(0, 1000, whole=True),
    "min_ar": _between(0, 1000),
    "max_ar": _between(0, 1000),
    "subsample_ratio": _between(0, 1),
    "enable_ar_bucket": _switch,
    "shuffle_tags": _switch,
    "skip_empty_caption": _switch,
    "shuffle_metadata": _switch,
    "online_captions": _switch,
    "caption_prefix": _string,
    "cache_shuffle_delimiter": _string,
    "cache_shuffle_num": _between(-1, 10**6, whole=True),
}
