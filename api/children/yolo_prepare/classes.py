"""What the classes are called: data.yaml, dataset.yaml, config.yaml or classes.txt. Nothing else of a stranger's YAML
is looked at but where its splits lie: a `download:` in it is a program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from api.children.yolo_prepare.findings import Findings, Unusable
from api.children.yolo_prepare.sources import Source
from api.utils.texts import is_plain
from api.utils.yolo_labels import MOST_CLASSES

YAML_NAMES = tuple(f"{stem}.{end}" for stem in ("data", "dataset", "config") for end in ("yaml", "yml"))
TEXT_NAMES = ("classes.txt", "obj.names", "labels.txt")
MOST_BYTES = 1024**2
LONGEST = 200  # characters of a name


def first(source: Source, names: Sequence[str]) -> str | None:
    """The file with one of these names that lies highest; of two beside each other, the one named first here."""
    found = [
        (name.count("/"), names.index(base), name)
        for name in source.names
        if (base := PurePosixPath(name).name.lower()) in names
    ]
    return min(found)[2] if found else None


def described(source: Source, findings: Findings) -> tuple[list[str] | None, dict[str, str]]:
    """Names of the classes, and folder -> split, as the dataset itself tells them."""
    name = first(source, YAML_NAMES)
    document = _yaml(source, name, findings) if name else {}
    folders = _folders(document, str(PurePosixPath(name).parent) if name else ".")
    names = _names(document.get("names"), name, findings) if name else None
    if names is None and (text := first(source, TEXT_NAMES)) is not None:
        lines = [line.strip() for line in source.text(text, MOST_BYTES).splitlines()]
        names = _names([line for line in lines if line], text, findings)
    return names, folders


def _yaml(source: Source, name: str, findings: Findings) -> dict[str, Any]:
    try:
        document = yaml.safe_load(source.read(name, MOST_BYTES))
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        findings.add("yaml", name, f"is not read: {str(problem).splitlines()[0]}")
        return {}
    if not isinstance(document, dict):
        findings.add("yaml", name, "is not read: it is no mapping")
        return {}
    return document


def _names(given: Any, file: str, findings: Findings) -> list[str] | None:
    if isinstance(given, dict):
        if not all(isinstance(key, int) for key in given) or set(given) != set(range(len(given))):
            findings.add("yaml", file, "`names` must number its classes from 0 on; it is not used")
            return None
        given = [given[index] for index in range(len(given))]
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(name, (str, int, float)) for name in given):
        findings.add("yaml", file, "`names` is no list of names; it is not used")
        return None
    return checked([str(name).strip() for name in given], file)


def checked(names: Sequence[str], where: str) -> list[str]:
    """The names, if classes can be called so. Raises Unusable."""
    if not 1 <= len(names) <= MOST_CLASSES:
        raise Unusable(f"{where}: {len(names)} classes; 1 to {MOST_CLASSES} are possible")
    if len(set(names)) != len(names):
        raise Unusable(f"{where}: two classes have one name")
    if not all(0 < len(name) <= LONGEST and is_plain(name) for name in names):
        raise Unusable(f"{where}: a class needs a name of 1 to {LONGEST} characters on one line")
    return list(names)


def _folders(document: dict[str, Any], base: str) -> dict[str, str]:
    """Where the splits lie, if that is below the dataset; what lies elsewhere is none of ours."""
    found = {}
    for split in ("train", "val", "test"):
        given = document.get(split)
        for each in given if isinstance(given, list) else [given]:
            if not isinstance(each, str) or len(each) > 1000:
                continue
            parts = [part for part in PurePosixPath(base, each).parts if part not in (".", "..")]
            if parts and not each.startswith("/"):
                found["/".join(parts)] = split
    return found
