"""The requests and answers of preprocessing (contract 1)."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import ValidationError, fields, validate

from api.models.dialect import PREPROCESSING
from api.models.schemas.base import (
    Answer,
    Strict,
    StrictBoolean,
    StrictInteger,
    choice,
    integer,
    query_integer,
    seconds,
    text,
)

STATUSES = [*PREPROCESSING.words.values()]
CAPTIONERS = ("openai", "florence2", "detector", "sidecar", "none")
METHODS = ("tags", "simple", "detailed", "extra", "mixed", "extra_mixed", "analyze")
SIDE = validate.Range(16, 8192)


class Resolution(fields.Field[Any]):
    """A side, or width and height; not the string that looks like one."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        sides = value if isinstance(value, list) and len(value) == 2 else [value]
        if any(isinstance(side, bool) or not isinstance(side, int) or not 16 <= side <= 8192 for side in sides):
            raise ValidationError("must be the shorter side (16 to 8192), or [width, height]")
        if isinstance(value, list) and any(side % 2 for side in sides):
            raise ValidationError("width and height must be even: H.264 has no odd ones")
        return value


class Positive(fields.Float):
    """A number; true and "1" are none."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, (bool, str)):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


def _key(value: str) -> None:
    if not re.fullmatch(r"[\x21-\x7e]{1,1024}", value):
        raise ValidationError("must be 1 to 1024 printable ASCII characters, without spaces")


class PreprocessingStartSchema(Strict):
    """POST /start."""

    dataset_name = text(
        1, 200, required=True, metadata={"description": "letters, digits, `_`, `-`, `.`; taken at once, or 409"}
    )
    video_directory = text(
        1, 4096, required=True, metadata={"description": "absolute, under the allowed roots; its videos and images"}
    )
    prompt_prefix = text(
        0, 2000, load_default="", metadata={"description": "stands before every caption (a trigger word)"}
    )
    captioner = choice(
        *CAPTIONERS, metadata={"description": "absent: the first of openai, florence2, detector, sidecar, none that is "
                                              "configured"},
    )  # fmt: skip
    caption_method = choice(
        *METHODS, load_default="extra_mixed", metadata={"description": "how much openai and florence2 say"}
    )
    use_qwen_optimize = StrictBoolean(
        load_default=True,
        metadata={"description": "rewrite florence2's and detector's captions through the configured endpoint"},
    )
    qwen_api_key = fields.String(
        validate=_key,
        metadata={"description": "for the configured endpoint; kept in memory only, never written anywhere"},
    )
    workspace_id = integer(1, metadata={"description": "a workspace of yours, whose members may read it"})
    fps = integer(1, 120, load_default=16, metadata={"description": "frames a second of every video; duration is kept"})
    resolution = Resolution(
        metadata={
            "description": "the shorter side (nothing is enlarged), or `[width, height]` to fill and cut",
            "type": ["integer", "array"],
        }
    )
    clip_seconds = Positive(
        validate=validate.Range(0.1, 3600), metadata={"description": "cut videos into items of this length"}
    )


class PreprocessingStartAnswerSchema(Answer):
    preprocessing_id = fields.String()
    dataset_name = fields.String()
    status = fields.String(validate=validate.OneOf(STATUSES))
    message = fields.String()
    output_directory = fields.String()
    captioner = fields.String(validate=validate.OneOf(CAPTIONERS))


class WaitQuery(Strict):
    wait = seconds(60, load_default=5.0, metadata={"description": "seconds to wait for its end"})


class PreprocessingProgressSchema(Answer):
    total_videos = fields.Integer(allow_none=True, metadata={"description": "source files, images among them"})
    processed_videos = fields.Integer()
    failed_videos = fields.Integer()
    current_video = fields.String(allow_none=True)
    current_step = fields.String(allow_none=True)
    progress_percent = fields.Float(allow_none=True)
    start_time = fields.String(allow_none=True)
    estimated_remaining_time = fields.Float(
        allow_none=True, metadata={"description": "seconds, from the files that are done"}
    )


class PreprocessingFileErrorSchema(Answer):
    file = fields.String()
    error = fields.String()


class PreprocessingStatusSchema(Answer):
    preprocessing_id = fields.String()
    dataset_name = fields.String()
    status = fields.String(validate=validate.OneOf(STATUSES))
    output_directory = fields.String()
    captioner = fields.String(validate=validate.OneOf(CAPTIONERS))
    progress = fields.Nested(PreprocessingProgressSchema)
    errors = fields.List(
        fields.Nested(PreprocessingFileErrorSchema),
        metadata={"description": "the first 50; the job's log has them all"},
    )
    warnings = fields.List(fields.String())
    output_files = fields.List(fields.String(), metadata={"description": "the first 1000 items, once it is completed"})
    error_message = fields.String(allow_none=True)


class PreparedPageQuery(Strict):
    limit = query_integer(1, 500, load_default=100, metadata={"description": "how many at most"})
    offset = query_integer(0, load_default=0, metadata={"description": "how many to pass over"})


class PreparedDatasetSchema(Answer):
    dataset_name = fields.String()
    directory = fields.String(allow_none=True)
    created_at = fields.String(allow_none=True)
    updated_at = fields.String(allow_none=True)
    video_count = fields.Integer(allow_none=True)
    image_count = fields.Integer(allow_none=True)
    caption_count = fields.Integer(allow_none=True)
    file_count = fields.Integer(allow_none=True, metadata={"description": "items and captions"})
    total_seconds = fields.Float(allow_none=True, metadata={"description": "of its videos"})
    status = fields.String(allow_none=True, validate=validate.OneOf(STATUSES))
    last_preprocessing_id = fields.String(allow_none=True)


class PreparedDatasetsSchema(Answer):
    datasets = fields.List(fields.Nested(PreparedDatasetSchema))
    total = fields.Integer()


class PreparedCheckSchema(PreparedDatasetSchema):
    exists = fields.Boolean(metadata={"description": "whether the name is taken; of strangers' datasets no more"})


class PreparedItemSchema(Answer):
    number = fields.Integer()
    file = fields.String()
    kind = fields.String(validate=validate.OneOf(["video", "image"]))
    width = fields.Integer()
    height = fields.Integer()
    frames = fields.Integer()
    fps = fields.Integer(allow_none=True)
    seconds = fields.Float(allow_none=True)
    source = fields.String(metadata={"description": "the file that it was made from"})
    caption = fields.String(allow_none=True)


class PreparedItemsSchema(Answer):
    dataset_name = fields.String()
    items = fields.List(fields.Nested(PreparedItemSchema))
    total = fields.Integer()


class PreparedCaptionSchema(Strict):
    caption = text(1, 10_000, required=True, metadata={"description": "becomes one line"})


class PreparedCaptionAnswerSchema(Answer):
    dataset_name = fields.String()
    number = fields.Integer()
    caption = fields.String(allow_none=True)


class PreparedReplaceSchema(Strict):
    """POST /datasets/<name>/captions."""

    find = text(1, 1000, required=True, metadata={"description": "the trigger word, or any text"})
    replace = text(0, 1000, required=True, metadata={"description": "what stands there instead"})
    whole_words = StrictBoolean(load_default=True, metadata={"description": "`cat` is not found in `catalogue`"})
    ignore_case = StrictBoolean(load_default=False, metadata={"description": "letter case aside"})


class PreparedReplaceAnswerSchema(Answer):
    dataset_name = fields.String()
    items = fields.Integer()
    changed = fields.Integer()
    left_empty = fields.List(
        fields.Integer(), metadata={"description": "items that would have no caption left: they keep theirs"}
    )


class PreparedTomlSchema(Strict):
    """POST /datasets/<name>/toml. What is absent is proposed from the media."""

    resolutions = fields.List(StrictInteger(strict=True, validate=SIDE), validate=validate.Length(1, 3))
    frame_buckets = fields.List(
        StrictInteger(strict=True, validate=validate.Range(1, 10_000)), validate=validate.Length(1, 20)
    )
    ar_buckets = fields.List(Positive(validate=validate.Range(0.05, 20)), validate=validate.Length(1, 50))
    num_repeats = integer(1, 10_000, load_default=1)
    micro_batch_size_per_gpu = integer(1, 4096, load_default=1, metadata={"description": "for the preview of steps"})
    gradient_accumulation_steps = integer(1, 4096, load_default=1, metadata={"description": "for the preview of steps"})
    num_gpus = integer(1, 1024, load_default=1, metadata={"description": "for the preview of steps"})
    pipeline_stages = integer(1, 1024, load_default=1, metadata={"description": "for the preview of steps"})
    epochs = integer(1, 1_000_000, metadata={"description": "for the preview of steps"})


class PreparedBucketSchema(Answer):
    aspect_ratio = fields.Float()
    width = fields.Integer()
    height = fields.Integer()
    frames = fields.Integer()
    items = fields.Integer()
    steps = fields.Integer(metadata={"description": "of an epoch"})


class PreparedTomlAnswerSchema(Answer):
    dataset_name = fields.String()
    path = fields.String(metadata={"description": "where it was written"})
    toml = fields.String()
    dataset = fields.Dict(metadata={"description": "the same as JSON: what POST /training/start takes as `dataset`"})
    buckets = fields.List(fields.Nested(PreparedBucketSchema))
    passed_over = fields.List(fields.Integer(), metadata={"description": "items that no frame bucket takes"})
    global_batch = fields.Integer()
    steps_per_epoch = fields.Integer()
    total_steps = fields.Integer(allow_none=True)
    warnings = fields.List(fields.String())


class PreparedDeletedSchema(Answer):
    dataset_name = fields.String()
