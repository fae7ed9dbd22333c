"""The requests and answers about documents and OCR models (contract 5)."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from api.models.job import JobStatus
from api.models.ocr import Direction, ModelJob
from api.models.schemas.answers import PaginationSchema, number_or_null, text_or_null, whole_or_null
from api.models.schemas.base import Answer, Strict, StrictBoolean, choice, integer, name, query_integer
from api.models.schemas.base import text as text_field

STATES = ["Queued", "Running", "Finished", "Crashed", "Canceled"]
STATUSES = ["excellent", "good", "fair", "poor"]
LONGEST_TEXT = 100_000  # characters of a line


def _row(**kwargs: object) -> fields.Integer:
    return integer(1, **kwargs)  # type: ignore[arg-type]


def _percent() -> fields.Float:
    return fields.Float(metadata={"description": "one decimal"})


# ---- what is asked for


class PageQuery(Strict):
    limit = query_integer(1, 500, load_default=50, metadata={"description": "most of them in the answer"})
    offset = query_integer(0, load_default=0, metadata={"description": "how many to pass over"})


class NewDocumentSchema(Strict):
    name = name(required=True)
    script = text_field(1, 100, metadata={"description": "of the writing, such as Hebrew"})
    language = text_field(1, 100)
    read_direction = choice(*(d.value for d in Direction), load_default=Direction.LTR.value)
    workspace_id = _row(metadata={"description": "whose members may read it; absent: nobody else's"})


class ImportPathSchema(Strict):
    path = text_field(1, 4096, required=True, metadata={"description": "a directory under an allowed root"})


class ImportFormSchema(Strict):
    file = fields.Raw(required=True, metadata={"type": "string", "format": "binary"})


class ExportQuery(Strict):
    format = choice("page", "alto", load_default="page", metadata={"description": "of the XML: PAGE 2019 or ALTO 4"})


class LineChangeSchema(Strict):
    text = text_field(0, LONGEST_TEXT, required=True)


class NewOcrModelSchema(Strict):
    name = name(required=True)
    job = choice(*(j.value for j in ModelJob), required=True)
    base_model_id = _row(metadata={"description": "its first training begins with this model's file"})
    workspace_id = _row(metadata={"description": "whose members may read it; absent: nobody else's"})


def _number_between(low: float, high: float, description: str) -> fields.Float:
    return fields.Float(validate=validate.Range(low, high, min_inclusive=False), metadata={"description": description})


class OcrTrainSchema(Strict):
    """What is left out is the trainer's own default."""

    document_ids = fields.List(integer(1), required=True, validate=validate.Length(1, 1000))
    epochs = integer(1, 100_000, metadata={"description": "at most; it ends earlier when it learns no more"})
    lrate = _number_between(0, 10, "learning rate")
    batch_size = integer(1, 4096)
    augment = StrictBoolean()
    device = text_field(1, 20, metadata={"description": "cpu, cuda or cuda:N; absent: a GPU if there is one"})
    spec = text_field(1, 2000, metadata={"description": "the network in VGSL"})
    lag = integer(1, 100_000, metadata={"description": "epochs without improvement before it ends"})
    seed = integer(0, 2**32 - 1)


class OcrEvaluateSchema(Strict):
    document_id = _row(required=True)
    batch_size = integer(1, 4096)
    device = text_field(1, 20)


# ---- documents


class LineCountsSchema(Answer):
    parts_count = fields.Integer()
    lines_count = fields.Integer()
    images_available = fields.Integer(metadata={"description": "parts whose image is there"})
    with_baseline = fields.Integer()
    with_polygon = fields.Integer()
    with_transcription = fields.Integer()


class DocumentSchema(LineCountsSchema):
    document_id = fields.Integer()
    name = fields.String()
    script = fields.String(allow_none=True)
    language = fields.String(allow_none=True)
    read_direction = choice(*(d.value for d in Direction))
    owner_id = fields.Integer()
    workspace_id = fields.Integer(allow_none=True)
    created_at = fields.String()
    updated_at = fields.String()


class DocumentsSchema(Answer):
    documents = fields.List(fields.Nested(DocumentSchema))
    pagination = fields.Nested(PaginationSchema)


class DocumentPartSchema(Answer):
    part_id = fields.Integer()
    document_id = fields.Integer()
    position = fields.Integer(metadata={"description": "from 1"})
    name = fields.String(metadata={"description": "the image's, with the folders of the import"})
    image_available = fields.Boolean()
    width = whole_or_null("pixels")
    height = whole_or_null("pixels")
    xml_name = text_or_null("the file that described it")
    lines_count = fields.Integer()
    with_baseline = fields.Integer()
    with_polygon = fields.Integer()
    with_transcription = fields.Integer()


class DocumentPartsSchema(Answer):
    parts = fields.List(fields.Nested(DocumentPartSchema))
    pagination = fields.Nested(PaginationSchema)


def _points() -> fields.Field[Any]:
    pair: Any = fields.List(fields.Integer(), validate=validate.Length(equal=2))
    return fields.List(pair, allow_none=True, metadata={"description": "[[x, y], ...]"})


class DocumentLineSchema(Answer):
    line_id = fields.Integer()
    part_id = fields.Integer()
    position = fields.Integer(metadata={"description": "from 1, within its part"})
    external_id = text_or_null("its id in the file that described it")
    baseline = _points()
    boundary = _points()
    text = fields.String()


class DocumentLinesSchema(Answer):
    lines = fields.List(fields.Nested(DocumentLineSchema))
    pagination = fields.Nested(PaginationSchema)


class DocumentIdSchema(Answer):
    document_id = fields.Integer()


class DocumentImportSchema(Answer):
    """Of an archive or a directory: numbers are null until they are known."""

    task_id = fields.Integer(metadata={"description": "also under /api/v1/training/{task_id}"})
    document_id = fields.Integer()
    status = choice(*JobStatus)
    files_done = whole_or_null("files that were read or could not be")
    files_total = whole_or_null("files to read")
    pages = whole_or_null("once it has ended: pages that were taken")
    lines = whole_or_null("lines read so far")
    images = whole_or_null("once it has ended: images that were taken")
    failed = whole_or_null("files that could not be read")
    problems = fields.List(fields.String(), metadata={"description": "the first 100 of them; the job's log has all"})
    error_message = fields.String(allow_none=True)


class ImportedSchema(Answer):
    """A single file: the part that it made or changed. An archive or a directory: its job."""

    part = fields.Nested(DocumentPartSchema, allow_none=True)
    task = fields.Nested(DocumentImportSchema, allow_none=True)


# ---- models


class OcrModelSchema(Answer):
    model_id = fields.Integer()
    name = fields.String()
    job = choice(*(j.value for j in ModelJob))
    model_type = choice("Segmentation", "Recognition")
    base_model_id = fields.Integer(allow_none=True)
    owner_id = fields.Integer()
    workspace_id = fields.Integer(allow_none=True)
    file_available = fields.Boolean()
    file_size_mb = number_or_null("MiB; null: never trained")
    accuracy = number_or_null("0 to 1, of the file")
    created_at = fields.String()
    updated_at = fields.String()


class OcrModelsSchema(Answer):
    models = fields.List(fields.Nested(OcrModelSchema))
    pagination = fields.Nested(PaginationSchema)


class OcrModelIdSchema(Answer):
    model_id = fields.Integer()


class OcrStartedSchema(Answer):
    task_id = fields.Integer(metadata={"description": "also under /api/v1/training/{task_id}"})
    model_id = fields.Integer()
    engine = fields.String()
    status = choice(*JobStatus)
    created_at = fields.String()


# ---- the documented reads, bare


class DataStatsSchema(Answer):
    training_lines = fields.Integer()
    validation_lines = fields.Integer()
    total_lines = fields.Integer()
    documents_count = fields.Integer()
    parts_count = fields.Integer()
    avg_lines_per_part = fields.Float(metadata={"description": "one decimal"})


class OcrTaskSchema(Answer):
    id = fields.Integer()
    label = fields.String()
    method = choice("core.tasks.segtrain", "core.tasks.train")
    state = choice(*STATES)
    created_at = fields.String()
    start = fields.String(allow_none=True)
    end = fields.String(allow_none=True)
    messages = fields.String()


class TrainingStatusSchema(Answer):
    model_id = fields.Integer()
    model_name = fields.String()
    model_type = choice("Segmentation", "Recognition")
    training = fields.Boolean(metadata={"description": "exactly while its job is alive"})
    training_started_at = text_or_null("of the current or last training")
    training_duration_seconds = whole_or_null("of the current or last training")
    training_duration_human = text_or_null("6h 4m 5s")
    current_epoch = whole_or_null("finished epochs; null before the first report")
    current_accuracy = number_or_null("0 to 1; null before the first report")
    accuracy_percent = number_or_null("the same times 100")
    data_stats = fields.Nested(DataStatsSchema)
    file_size_mb = number_or_null("MiB; null: there is no file yet")
    recent_tasks = fields.List(fields.Nested(OcrTaskSchema))


class ActiveTrainingSchema(Answer):
    model_id = fields.Integer()
    model_name = fields.String()
    model_type = choice("Segmentation", "Recognition")
    started_at = fields.String()
    duration_seconds = fields.Integer()
    duration_human = fields.String()
    current_accuracy = fields.Float(metadata={"description": "0 to 1; 0.0 before the first report"})
    current_epoch = fields.Integer(metadata={"description": "finished epochs"})


class ActiveTrainingsSchema(Answer):
    active_trainings = fields.List(fields.Nested(ActiveTrainingSchema))
    total_active = fields.Integer()
    timestamp = fields.String()


class TranscriptionCheckSchema(Answer):
    total = fields.Integer()
    with_transcription = fields.Integer()
    coverage_percent = _percent()
    status = choice(*STATUSES)


class BaselineCheckSchema(Answer):
    total = fields.Integer()
    with_baseline = fields.Integer()
    coverage_percent = _percent()
    status = choice(*STATUSES)


class PolygonCheckSchema(Answer):
    total = fields.Integer()
    with_polygon = fields.Integer()
    coverage_percent = _percent()
    status = choice(*STATUSES)


class ImageCheckSchema(Answer):
    total = fields.Integer()
    available = fields.Integer()
    missing = fields.Integer()
    status = choice(*STATUSES)


class ChecksSchema(Answer):
    transcriptions = fields.Nested(TranscriptionCheckSchema)
    baselines = fields.Nested(BaselineCheckSchema)
    polygons = fields.Nested(PolygonCheckSchema)
    images = fields.Nested(ImageCheckSchema)


class ReadinessSchema(Answer):
    ready_for_segmentation = fields.Boolean()
    ready_for_recognition = fields.Boolean()
    warnings = fields.List(fields.String())
    recommendations = fields.List(fields.String())


class TrainingEstimateSchema(Answer):
    estimated_seconds = fields.Integer()
    estimated_human = fields.String(metadata={"description": "~2h 29m"})
    note = fields.String()


class QualitySchema(Answer):
    document_id = fields.Integer()
    document_name = fields.String()
    parts_count = fields.Integer()
    lines_count = fields.Integer()
    quality_checks = fields.Nested(ChecksSchema)
    readiness = fields.Nested(ReadinessSchema)
    estimated_training_time = fields.Nested(TrainingEstimateSchema)
