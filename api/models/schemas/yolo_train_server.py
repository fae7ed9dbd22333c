"""The requests and answers of the YOLO train server dialect (contract 4)."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates

from api.models.schemas.base import Answer, Strict, StrictBoolean, choice, integer, query_integer, text

NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{1,199}"
UCD = "a dataset's id or name, or the absolute path of a UCD or COCO JSON or of a directory, under an allowed root"


class TrainServerStartSchema(Strict):
    """POST /start."""

    model_name = fields.String(
        required=True,
        validate=validate.Regexp(
            f"^{NAME}\\Z", error="must be 2 to 200 of A-Z a-z 0-9 . _ -, and not begin with a dot or dash"
        ),
        metadata={"pattern": f"^{NAME}$", "description": "what the other calls know the training by"},
    )
    train_ucd = text(1, 4096, required=True, metadata={"description": UCD})
    val_ucd = text(
        0,
        4096,
        required=True,
        allow_none=True,
        metadata={"description": f"{UCD}; `None` or empty: a fifth of the training set, the same one each time"},
    )
    labels = text(
        1,
        1_000_000,
        required=True,
        metadata={"description": "the classes' names in the order of their ids, with commas; or, with a `/` in it, "
                  "the path of a file with one name a line"},
    )  # fmt: skip
    model_type = text(
        1, 100, load_default="yolov5s", metadata={"description": "yolov5n to yolov5x, yolov8n, yolo11s ..."}
    )
    batch_size = integer(-1, 65_536, load_default=10, metadata={"description": "-1: what fits into the GPU"})
    device = integer(
        -1, 1023, load_default=0, metadata={"description": "a GPU's number; -1, or one that is not there: the CPU"}
    )
    epochs = integer(1, 100_000, load_default=30)
    imgsz = integer(32, 8192, load_default=640)
    workers = integer(0, 256, load_default=8)
    continue_train = StrictBoolean(
        load_default=False,
        metadata={"description": "resume from last.pt if there is one, else start fresh"},
    )
    hyp_dict = fields.Dict(
        keys=fields.String(),
        values=fields.Raw(),
        load_default=dict,
        validate=validate.Length(max=200),
        metadata={"description": "hyper-parameters by YOLOv5's or ultralytics' names"},
    )

    @validates("batch_size")
    def _not_none(self, value: int, **_: Any) -> None:
        if not value:
            raise ValidationError("must be 1 or more, or -1")


class TrainServerStartedSchema(Answer):
    message = fields.String()
    model_name = fields.String()
    task_id = fields.String(metadata={"description": "the same job's id in the other dialects"})
    safe_code = fields.String(metadata={"description": "a short code of this training: the end of its task_id"})
    warnings = fields.List(fields.String())
    ignored = fields.List(
        fields.String(), metadata={"description": "hyper-parameters of YOLOv5 that say nothing to ultralytics"}
    )


class TrainServerProcessSchema(Answer):
    status = choice("queued", "running", "completed", "failed", "stopped")
    pid = fields.Integer(allow_none=True, metadata={"description": "null: it does not run"})
    epoch = fields.Integer(allow_none=True, metadata={"description": "from 1; null: none has begun"})
    epochs = fields.Integer()
    progress = fields.Float(allow_none=True, metadata={"description": "percent"})
    started_at = fields.String(allow_none=True)
    task_id = fields.String()
    error = fields.String(allow_none=True, metadata={"description": "why it failed"})


class TrainServerStatusSchema(Answer):
    Running = fields.List(fields.String())
    Queued = fields.List(fields.String())
    processes = fields.Dict(keys=fields.String(), values=fields.Nested(TrainServerProcessSchema))


class TrainServerMessageSchema(Answer):
    message = fields.String()


class TrainInfoQuery(Strict):
    lines = query_integer(1, 100_000, load_default=1000, metadata={"description": "how many of each log's last lines"})


class TrainInfoSchema(Answer):
    train_log_std = fields.List(fields.String())
    opt_yaml = fields.List(fields.String(), metadata={"description": "the values that are used"})
    train_log_err = fields.List(fields.String())


class ClearedSchema(Answer):
    message = fields.String()
    clear_cache_success = fields.List(fields.String())
    clear_cache_failed = fields.Dict(
        keys=fields.String(), values=fields.String(), metadata={"description": "why not, by name"}
    )


class CacheInfoSchema(Answer):
    train_info = fields.List(fields.String(), metadata={"description": "models that have a log"})
    train = fields.List(fields.String(), metadata={"description": "models that have a run directory"})


class TrainServerGpuSchema(Answer):
    index = fields.Integer()
    name = fields.String(allow_none=True)
    memory_used = fields.Integer(allow_none=True, metadata={"description": "MB"})
    memory_total = fields.Integer(allow_none=True, metadata={"description": "MB"})
    utilization = fields.Integer(allow_none=True, metadata={"description": "percent"})
    temperature = fields.Integer(allow_none=True, metadata={"description": "degrees Celsius"})
    running = fields.List(fields.String(), metadata={"description": "models that train on it"})


class TrainServerCallSchema(Answer):
    method = fields.String()
    path = fields.String()
    does = fields.String()
    curl = fields.String()


class TrainServerHelpSchema(Answer):
    calls = fields.List(fields.Nested(TrainServerCallSchema))
