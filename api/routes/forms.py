"""What is sent as multipart/form-data: files and the few fields beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Set
from contextlib import ExitStack
from typing import Any, BinaryIO, NamedTuple, cast

from flask import Request, request
from werkzeug.datastructures import FileStorage
from werkzeug.formparser import FormDataParser

from api.utils.errors import Invalid, Malformed
from api.utils.zips import plain_name


class FormFile(NamedTuple):
    name: str  # the client's, without folders; never empty
    stream: BinaryIO
    size: int


class FormParser(FormDataParser):
    """One that does not take a form that it cannot read for an empty one, and leaves no file of it open."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        make = self.stream_factory
        with ExitStack() as files:
            self.stream_factory = lambda *given, **named: files.enter_context(make(*given, **named))
            self.silent = False
            try:
                found = super().parse(*args, **kwargs)
            except ValueError:
                raise Malformed("the form cannot be read: it is cut off, or a name in it is not UTF-8") from None
            files.pop_all()
        return found


class FormRequest(Request):
    form_data_parser_class = FormParser


def only(files: Collection[str], fields: Collection[str]) -> None:
    """Raises Invalid for what is none of these, and for a file where a field should be or the other way round."""
    for name in sorted({*request.form, *request.files}):
        if name not in {*files, *fields}:
            raise Invalid(name, "unknown field")
        if name in request.form and name in files:
            raise Invalid(name, "must be a file")
        if name in request.files and name in fields:
            raise Invalid(name, "must be a value, not a file")


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
    given = values({"workspace_id"}).get("workspace_id")
    if given is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,17}", given, re.ASCII):
        raise Invalid("workspace_id", "must be the number of a workspace")
    return int(given)
