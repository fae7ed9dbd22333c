"""What all request schemas share: unknown keys are refused, strings are sane, null means absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, pre_load, validate

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


def text(low: int = 0, high: int = 10_000, **kwargs: Any) -> fields.String:
    """A string without NUL and without halves of surrogate pairs."""
    return fields.String(validate=[validate.Length(low, high), _sane], **kwargs)


def _sane(value: str) -> None:
    if "\0" in value:
        raise ValidationError("must not contain NUL")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValidationError("is not valid Unicode") from None


def name(**kwargs: Any) -> fields.String:
    return text(1, 200, **kwargs)


def integer(low: int = 0, high: int = MAX_INT, **kwargs: Any) -> fields.Integer:
    """A whole number; true, 1.0 and "1" in JSON are none."""
    return StrictInteger(strict=True, validate=validate.Range(low, high), **kwargs)


def query_integer(low: int = 0, high: int = MAX_INT, **kwargs: Any) -> fields.Integer:
    """The same from a query string."""
    return fields.Integer(validate=validate.Range(low, high), **kwargs)


class StrictInteger(fields.Integer):
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
