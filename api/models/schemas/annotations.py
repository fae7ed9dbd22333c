"""Annotation on the YOLO platform: what is asked and what is answered."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from api.models.annotation import MOST_BOXES
from api.models.schemas.base import (
    Answer,
    QueryBoolean,
    Strict,
    StrictNumber,
    choice,
    integer,
    line,
    query_integer,
    text,
)
from api.models.schemas.yolo_datasets import IssueSchema

MOST_ITEMS = 1000  # of a page


class TaskRequestSchema(Strict):
    dataset_id = text(1, 100, required=True)
    version = text(1, 40, load_default="v1")
    classes = fields.List(
        line(),
        validate=validate.Length(1, 10_000),
        metadata={"description": "default: the version's own; its names in their order, and more may follow"},
    )

    @validates_schema
    def _unique(self, data: dict[str, Any], **_: Any) -> None:
        classes = data.get("classes", [])
        if len(set(classes)) != len(classes):
            raise ValidationError("two classes have one name", "classes")


class TaskQuery(Strict):
    dataset_id = text(1, 100, metadata={"description": "only the tasks of this dataset"})


class AnnotationTaskSchema(Answer):
    task_id = fields.String()
    dataset_id = fields.String()
    version = fields.String()
    classes = fields.List(fields.String())
    total_items = fields.Integer(metadata={"description": "images"})
    total_images = fields.Integer(metadata={"description": "total_items"})
    annotated_count = fields.Integer(metadata={"description": "images with boxes, or that are known to have none"})
    imported_annotations = fields.Integer(
        metadata={"description": "images that had labels when the dataset was prepared"}
    )
    created_at = fields.String()


class AnnotationTaskListSchema(Answer):
    tasks = fields.List(fields.Nested(AnnotationTaskSchema))


class ItemsQuery(Strict):
    offset = query_integer(0, load_default=0, metadata={"description": "items that are passed over"})
    limit = query_integer(1, MOST_ITEMS, metadata={"description": "without it all items are sent, as they are read"})
    annotated = QueryBoolean(metadata={"description": "only those that are, or are not"})


class AnnotationItemSchema(Answer):
    image_id = fields.String()
    image_path = fields.String(metadata={"description": "to be had below /static/"})
    thumbnail_path = fields.String(metadata={"description": "a small JPEG, below /static/"})
    split = choice("train", "val", "test")
    width = fields.Integer()
    height = fields.Integer()
    has_annotation = fields.Boolean(metadata={"description": "it has boxes, or is known to have none"})
    annotated = fields.Boolean(metadata={"description": "has_annotation"})
    box_count = fields.Integer()
    has_proposals = fields.Boolean(metadata={"description": "a model was asked for boxes, and nobody has decided yet"})


class AnnotationItemsSchema(Answer):
    task_id = fields.String()
    items = fields.List(fields.Nested(AnnotationItemSchema))
    classes = fields.List(fields.String())
    imported_annotations = fields.Integer()
    annotated_count = fields.Integer()
    total = fields.Integer(metadata={"description": "items of the kind that was asked for"})
    offset = fields.Integer()


class BoxSchema(Strict):
    """The four corners' numbers: up to one pixel outside the image is cut off."""

    class_id = integer(0, 2**31 - 1, required=True)
    x1 = StrictNumber(required=True, allow_nan=False, metadata={"description": "pixels from the left"})
    y1 = StrictNumber(required=True, allow_nan=False, metadata={"description": "pixels from the top"})
    x2 = StrictNumber(required=True, allow_nan=False)
    y2 = StrictNumber(required=True, allow_nan=False)


class BoxesSchema(Strict):
    boxes = fields.List(
        fields.Nested(BoxSchema),
        required=True,
        validate=validate.Length(0, MOST_BOXES),
        metadata={"description": "all of the image's; none: there is nothing on it"},
    )


class ShownBoxSchema(Answer):
    class_id = fields.Integer()
    x1 = fields.Float()
    y1 = fields.Float()
    x2 = fields.Float()
    y2 = fields.Float()


class ProposalSchema(ShownBoxSchema):
    conf = fields.Float()


class ImageAnnotationSchema(Answer):
    image_id = fields.String()
    boxes = fields.List(fields.Nested(ShownBoxSchema))
    updated_at = fields.String(allow_none=True, metadata={"description": "null: nobody has annotated it"})
    image_path = fields.String(metadata={"description": "to be had below /static/"})
    width = fields.Integer()
    height = fields.Integer()
    classes = fields.List(fields.String())
    has_annotation = fields.Boolean()
    proposals = fields.List(
        fields.Nested(ProposalSchema),
        allow_none=True,
        metadata={
            "description": "of a model, kept apart from the boxes until the image is saved; null: none was asked"
        },
    )
    proposed_by = fields.String(allow_none=True, metadata={"description": "the model's id"})


class SavedSchema(Answer):
    ok = fields.Boolean()
    message = fields.String()
    updated_at = fields.String()


class LabelExportQuery(Strict):
    format = choice("yolo", load_default="yolo", metadata={"description": "of the label files"})


class LabelExportSchema(Answer):
    ok = fields.Boolean()
    message = fields.String()
    labels_dir = fields.String(metadata={"description": "its path on the service's machine"})
    exported_count = fields.Integer(metadata={"description": "label files, those of images without boxes included"})


class LabelUploadSchema(Strict):
    file = fields.Raw(required=True, metadata={"type": "string", "format": "binary", "description": "a zip"})
    overwrite = QueryBoolean(load_default=False, metadata={"description": "also of images that have boxes already"})


class LabelsTakenSchema(Answer):
    ok = fields.Boolean()
    message = fields.String()
    imported_count = fields.Integer(metadata={"description": "images"})
    skipped_count = fields.Integer(metadata={"description": "images that have boxes already"})
    issue_count = fields.Integer()
    issues = fields.List(fields.Nested(IssueSchema), metadata={"description": "the first of them"})


class PrelabelSchema(Strict):
    model_id = text(1, 100, required=True)
    conf = StrictNumber(
        validate=validate.Range(0, 1), allow_nan=False, load_default=0.25, metadata={"description": "of a proposal"}
    )
    iou = StrictNumber(validate=validate.Range(0, 1), allow_nan=False)
    imgsz = integer(32, 8192, metadata={"description": "default: as the model was trained"})
    device = text(
        1, 20, metadata={"description": "cpu, cuda or the number of a GPU; default: a free GPU, else the CPU"}
    )


class PrelabelStartedSchema(Answer):
    job_id = fields.String()
    task_id = fields.String()
    model_id = fields.String()
    status = fields.String()
    total_items = fields.Integer(metadata={"description": "images without boxes, when it was asked for"})
    created_at = fields.String()
