"""What all request schemas share: unknown keys are refused, strings are sane, null means absent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, pre_load, validate

from api.utils.texts import is_plain

MAX_INT = 2**63 - 1


class Strict(Schema):
    """A request body or query: unknown keys are refused; a null in an optional field means that it is absent."""

    class Meta:
        unknown = RAISE

    @pre_load
    def _drop_nulls(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        required = {name for name, field in self.fields.items() if field.required}
        return {k: v for k, v in data.items() if v is not None or k in required}


class Answer(Schema):
    """What an answer holds: all of its fields, always; what is not known is null."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        field_obj.required = True


def text(low: int = 0, high: int = 10_000, **kwargs: Any) -> fields.String:
    """A string without NUL and without halves of surrogate pairs."""
    return fields.String(validate=[validate.Length(low, high), sane], **kwargs)


def sane(value: str) -> None:
    """Raises ValidationError for what neither a database nor a file can hold."""
    if "\0" in value:
        raise ValidationError("must not contain NUL")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValidationError("is not valid Unicode") from None


def name(**kwargs: Any) -> fields.String:
    return text(1, 200, **kwargs)


def line(**kwargs: Any) -> fields.String:
    """A name that stands on one line in lists, label files and archives."""
    return fields.String(validate=[validate.Length(1, 200), _on_one_line], **kwargs)


def _on_one_line(value: str) -> None:
    if not is_plain(value):
        raise ValidationError("must stand on one line, without control characters")


def integer(low: int = 0, high: int = MAX_INT, **kwargs: Any) -> fields.Integer:
    """A whole number; true, 1.0 and "1" in JSON are none."""
    return StrictInteger(strict=True, validate=validate.Range(low, high), **kwargs)


def query_integer(low: int = 0, high: int = MAX_INT, **kwargs: Any) -> fields.Integer:
    """The same from a query string."""
    return QueryInteger(validate=validate.Range(low, high), **kwargs)


def seconds(high: float, **kwargs: Any) -> fields.Float:
    """A number of seconds from a query string."""
    metadata = {"description": "seconds"} | kwargs.pop("metadata", {})
    return QueryNumber(validate=validate.Range(0, high), metadata=metadata, **kwargs)


class QueryBoolean(fields.Boolean):
    """true or false in a query string or a form."""

    truthy = frozenset({"true", "1"})  # type: ignore[assignment]
    falsy = frozenset({"false", "0"})  # type: ignore[assignment]


def moment(description: str) -> fields.AwareDateTime:
    """A point in time from a query string; one without an offset is UTC."""
    return fields.AwareDateTime(format="iso", default_timezone=UTC, metadata={"description": description})


class QueryInteger(fields.Integer):
    """Decimal digits, and nothing else that int() reads (1_0, ٣, " 1")."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,19}", value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class QueryNumber(fields.Float):
    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and not re.fullmatch(
            r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?", value
        ):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class StrictInteger(fields.Integer):
    def _validated(self, value: Any) -> Any:
        if isinstance(value, (bool, str)):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class StrictNumber(fields.Float):
    """A number; true and "0.8" are none."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, (bool, str)):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class StrictBoolean(fields.Boolean):
    """true or false, and nothing that resembles them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


def choice(*allowed: str, **kwargs: Any) -> fields.String:
    return fields.String(validate=validate.OneOf(allowed), **kwargs)
