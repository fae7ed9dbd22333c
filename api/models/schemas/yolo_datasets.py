"""Datasets of the YOLO platform: what is asked and what is answered."""

from __future__ import annotations

import math
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from api.models.schemas.base import Answer, Strict, StrictNumber, choice, integer, line, text


class Part(StrictNumber):
    """A number between 0 and 1, neither of them."""

    def __init__(self, **kwargs: Any) -> None:
        limits = validate.Range(0, 1, min_inclusive=False, max_inclusive=False)
        super().__init__(validate=limits, allow_nan=False, **kwargs)


class UploadSchema(Strict):
    file = fields.Raw(required=True, metadata={"type": "string", "format": "binary", "description": "a zip"})
    workspace_id = fields.Raw(metadata={"type": "integer", "minimum": 1, "description": "whose members may read it"})


class RegisterSchema(Strict):
    path = text(1, 4096, required=True, metadata={"description": "a directory below one of the allowed roots"})
    name = line(metadata={"description": "shown as `filename`; default: the directory's name"})
    workspace_id = integer(1, metadata={"description": "whose members may read it"})


class SplitSchema(Strict):
    train = Part(required=True)
    val = Part(required=True)

    @validates_schema
    def _whole(self, data: dict[str, Any], **_: Any) -> None:
        if not math.isclose(data["train"] + data["val"], 1.0, abs_tol=1e-6):
            raise ValidationError("train and val must sum to 1")


class PrepareSchema(Strict):
    split_ratio = fields.Nested(
        SplitSchema,
        metadata={"description": "for datasets without a split of their own", "default": {"train": 0.8, "val": 0.2}},
    )
    classes = fields.List(
        line(), validate=validate.Length(1, 10_000), metadata={"description": "default: the dataset's own"}
    )
    seed = integer(0, 2**31 - 1, load_default=0, metadata={"description": "of the split"})

    @validates_schema
    def _unique(self, data: dict[str, Any], **_: Any) -> None:
        classes = data.get("classes", [])
        if len(set(classes)) != len(classes):
            raise ValidationError("two classes have one name", "classes")


class DatasetChangeSchema(Strict):
    description = text(0, 10_000)
    tags = fields.List(line(), validate=validate.Length(0, 100))


class VersionQuery(Strict):
    version = text(1, 40, load_default="v1", metadata={"description": "the dataset's version"})


STATUS = ("uploaded", "prepared")


class UploadedSchema(Answer):
    dataset_id = fields.String()
    filename = fields.String()
    size = fields.Integer(metadata={"description": "bytes"})
    created_at = fields.String()
    uploaded_at = fields.String(metadata={"description": "created_at"})
    status = choice(*STATUS)
    image_count = fields.Integer()
    label_count = fields.Integer(metadata={"description": "files that label images"})


class DatasetItemSchema(UploadedSchema):
    versions = fields.List(fields.String())


class DatasetListSchema(Answer):
    datasets = fields.List(fields.Nested(DatasetItemSchema))


class IssueSchema(Answer):
    file = fields.String()
    problem = fields.String()


class ReportSchema(Answer):
    layout = choice("yolo", "coco", "voc", "images", metadata={"description": "what the dataset was"})
    split = choice("kept", "made", metadata={"description": "the dataset's own, or drawn by the seed"})
    seed = fields.Integer()
    image_count = fields.Integer()
    label_count = fields.Integer(metadata={"description": "images that are labelled, empty ones included"})
    box_count = fields.Integer()
    empty_count = fields.Integer(metadata={"description": "images that are labelled as empty"})
    class_counts = fields.Dict(fields.String(), fields.Integer(), metadata={"description": "boxes by class"})
    issue_counts = fields.Dict(fields.String(), fields.Integer(), metadata={"description": "all issues by kind"})
    dropped = fields.Dict(
        fields.String(), fields.Integer(), metadata={"description": "what a conversion had no place for"}
    )
    duplicate_count = fields.Integer(metadata={"description": "images that are copies of another"})
    leak_count = fields.Integer(metadata={"description": "images with a copy in another split"})
    duplicates = fields.List(fields.List(fields.String()), metadata={"description": "the first of them"})
    category_map = fields.Dict(
        fields.String(),
        fields.Dict(),
        allow_none=True,
        metadata={"description": "the dataset's own category -> index and name here; null for YOLO labels"},
    )


class PreparedSchema(Answer):
    dataset_id = fields.String()
    version = fields.String()
    status = choice(*STATUS)
    classes = fields.List(fields.String())
    train_count = fields.Integer()
    val_count = fields.Integer()
    test_count = fields.Integer()
    data_yaml = fields.String(metadata={"description": "its path on the service's machine"})
    issues = fields.List(fields.Nested(IssueSchema), metadata={"description": "what was left out, and why: the first"})
    report = fields.Nested(ReportSchema)


class DatasetSchema(DatasetItemSchema):
    description = fields.String()
    tags = fields.List(fields.String())
    workspace_id = fields.Integer(allow_none=True)
    path = fields.String(allow_none=True, metadata={"description": "where a registered dataset lies"})
    classes = fields.List(fields.String(), metadata={"description": "of the newest version, as all below"})
    train_count = fields.Integer(allow_none=True)
    val_count = fields.Integer(allow_none=True)
    class_counts = fields.Dict(fields.String(), fields.Integer(), metadata={"description": "boxes by class"})
    sample_images = fields.List(fields.String(), metadata={"description": "to be had below /static/"})


class DoneSchema(Answer):
    ok = fields.Boolean()
    message = fields.String()
