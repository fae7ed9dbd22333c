"""Registered models of the YOLO platform: what is asked and what is answered."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from api.models.schemas.base import Answer, Strict, StrictBoolean, choice, integer, line, text
from api.models.yolo_model import TRAINED, UPLOADED

STATUS = ("running", "completed", "failed", "stopped")
WORKSPACE = {"type": "integer", "minimum": 1, "description": "whose members may read it"}


class ModelUploadSchema(Strict):
    file = fields.Raw(required=True, metadata={"type": "string", "format": "binary", "description": "a zip"})
    workspace_id = fields.Raw(metadata=WORKSPACE)


class ModelChangeSchema(Strict):
    name = line()
    description = text(0, 10_000)
    tags = fields.List(line(), validate=validate.Length(0, 100))


class ChartQuery(Strict):
    chart_type = choice("all", "loss", "metrics", load_default="all", metadata={"description": "what is drawn"})


class ModelExportSchema(Strict):
    format = text(
        1, 40, load_default="onnx", metadata={"description": "as ultralytics names it: onnx, torchscript, ..."}
    )
    imgsz = integer(32, 8192, metadata={"description": "default: what it was trained with"})
    half = StrictBoolean(
        metadata={"description": "16 bit; torchscript needs a GPU for it, onnx the package onnxruntime"}
    )
    dynamic = StrictBoolean(metadata={"description": "any size of image and batch"})
    batch = integer(1, 1024)
    simplify = StrictBoolean()
    opset = integer(7, 30)
    nms = StrictBoolean(metadata={"description": "with the removal of overlapping boxes in the file"})


class ModelValidationSchema(Strict):
    dataset_id = text(1, 100, required=True)
    version = text(1, 40, load_default="v1", metadata={"description": "the dataset's version"})
    imgsz = integer(32, 8192, metadata={"description": "default: what it was trained with"})
    batch = integer(1, 65536)
    conf = fields.Float(validate=validate.Range(0, 1), allow_nan=False)
    iou = fields.Float(validate=validate.Range(0, 1), allow_nan=False)
    split = choice("val", "test", "train")
    device = text(1, 20)

    @validates_schema
    def _numbers(self, data: dict[str, Any], **_: Any) -> None:
        for field in ("conf", "iou"):
            if isinstance(data.get(field), bool):
                raise ValidationError("must be a number", field)


class ModelItemSchema(Answer):
    model_id = fields.String()
    name = fields.String()
    description = fields.String()
    weights_path = fields.String(metadata={"description": "on the service's machine"})
    file_size = fields.Integer(metadata={"description": "bytes of the weights"})
    file_size_mb = fields.Float()
    created_at = fields.String()
    job_id = fields.String(allow_none=True, metadata={"description": "the training that left it"})
    dataset_id = fields.String(allow_none=True)
    dataset_version = fields.String(allow_none=True)
    tags = fields.List(fields.String())
    source = choice(TRAINED, UPLOADED)
    classes = fields.List(fields.String())
    task = fields.String()
    imgsz = fields.Integer(allow_none=True)
    epochs = fields.Integer(allow_none=True)
    base_model = fields.String(allow_none=True, metadata={"description": "what the training began from"})
    workspace_id = fields.Integer(allow_none=True)


class ModelListSchema(Answer):
    models = fields.List(fields.Nested(ModelItemSchema))


def _metric(**kwargs: Any) -> fields.Float:
    return fields.Float(allow_none=True, **kwargs)


class TrainingMetricsSchema(Answer):
    """The four documented numbers are those of the best epoch; null where nobody measured them."""

    map50 = _metric(data_key="mAP50")
    map50_95 = _metric(data_key="mAP50-95")
    precision = _metric()
    recall = _metric()
    training_history = fields.Dict(
        allow_none=True,
        metadata={
            "description": "lists as long as `epochs`: train_box_loss, train_cls_loss, train_dfl_loss, val_box_loss, "
            "val_cls_loss, val_dfl_loss, metrics_precision, metrics_recall, metrics_mAP50, metrics_mAP50_95, losses of "
            "other models beside them; `final_metrics` of the last epoch"
        },
    )
    job_config = fields.Dict(
        allow_none=True,
        metadata={
            "description": "of the training, as far as it is known: dataset_id, epochs, imgsz, batch, model_name, "
            "status, created_at, completed_at"
        },
    )


class ModelInfoSchema(Answer):
    task = fields.String(allow_none=True)
    model_type = fields.String(allow_none=True)
    total_params = fields.Integer(allow_none=True)
    trainable_params = fields.Integer(allow_none=True)
    total_params_m = fields.Float(allow_none=True, metadata={"description": "millions"})


class ModelSchema(ModelItemSchema):
    training_metrics = fields.Nested(TrainingMetricsSchema)
    model_info = fields.Nested(ModelInfoSchema)
    origin = fields.Dict(
        fields.String(),
        fields.String(),
        allow_none=True,
        metadata={"description": "what an uploaded model.json says of where the model comes from"},
    )


class ModelJobSchema(Answer):
    job_id = fields.String()
    model_id = fields.String()
    status = choice(*STATUS)
    created_at = fields.String()
    completed_at = fields.String(allow_none=True)
    error = fields.String(allow_none=True)
    warnings = fields.List(fields.String())


class ExportedFileSchema(Answer):
    name = fields.String()
    size_bytes = fields.Integer()
    url = fields.String(metadata={"description": "path of the download"})


class ModelExportJobSchema(ModelJobSchema):
    format = fields.String()
    arguments = fields.Dict(metadata={"description": "of ultralytics' exporter"})
    file = fields.Nested(ExportedFileSchema, allow_none=True, metadata={"description": "null until it is made"})


class ModelExportListSchema(Answer):
    exports = fields.List(fields.Nested(ModelExportJobSchema))


class MeasuredSchema(Answer):
    map50 = _metric(data_key="mAP50")
    map50_95 = _metric(data_key="mAP50-95")
    precision = _metric()
    recall = _metric()


class ClassMeasuredSchema(Answer):
    class_name = fields.String(data_key="class")
    map50_95 = _metric(data_key="mAP50-95")


class ModelValidationJobSchema(ModelJobSchema):
    dataset_id = fields.String()
    version = fields.String()
    arguments = fields.Dict(metadata={"description": "of ultralytics' validation"})
    metrics = fields.Nested(MeasuredSchema, allow_none=True, metadata={"description": "null until they are known"})
    classes = fields.List(fields.Nested(ClassMeasuredSchema))


class ModelValidationListSchema(Answer):
    validations = fields.List(fields.Nested(ModelValidationJobSchema))
