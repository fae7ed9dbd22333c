"""What is sent as multipart/form-data: files and the few fields beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Set
from typing import BinaryIO, NamedTuple, cast

from flask import request
from werkzeug.datastructures import FileStorage

from api.utils.errors import Invalid
from api.utils.zips import plain_name


class FormFile(NamedTuple):
    name: str  # the client's, without folders; never empty
    stream: BinaryIO
    size: int


def only(*names: str) -> None:
    """Raises Invalid for a field or file that is none of these."""
    unknown = sorted({*request.form, *request.files} - set(names))
    if unknown:
        raise Invalid(unknown[0], "unknown field")


def one_file(name: str, nameless: str = "file") -> FormFile:
    """`nameless`: what it is called where the client gave no name. Raises Invalid."""
    files = request.files.getlist(name)
    if len(files) != 1:
        raise Invalid(name, "one file is needed, as multipart/form-data")
    return _sent(files[0], nameless)


def some_files(name: str) -> list[FormFile]:
    """Raises Invalid."""
    files = request.files.getlist(name)
    if not files:
        raise Invalid(name, "at least one file is needed, as multipart/form-data")
    return [_sent(file) for file in files]


def _sent(file: FileStorage, nameless: str = "file") -> FormFile:
    size = file.stream.seek(0, os.SEEK_END)
    file.stream.seek(0)
    return FormFile(plain_name(file.filename or "") or nameless, cast(BinaryIO, file.stream), size)


def values(names: Set[str]) -> dict[str, str]:
    """Fields that are there and not empty. Raises Invalid for one that is there twice."""
    for name in names:
        if len(request.form.getlist(name)) > 1:
            raise Invalid(name, "is given twice")
    return {name: request.form[name] for name in names if request.form.get(name)}


def team() -> int | None:
    """`workspace_id`."""
    given = request.form.get("workspace_id")
    if given is None or given == "":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,17}", given, re.ASCII):
        raise Invalid("workspace_id", "must be the number of a workspace")
    return int(given)
