"""Documents for handwriting and print recognition: pages, lines, the models trained on them, and their trainings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Points = tuple[tuple[int, int], ...]


class ModelJob(StrEnum):
    """What a model is for."""

    SEGMENT = "segment"
    RECOGNIZE = "recognize"

    @property
    def type_name(self) -> str:
        """As the OCR status document calls it."""
        return "Segmentation" if self is ModelJob.SEGMENT else "Recognition"

    @property
    def task(self) -> str:
        """The kraken command that trains one."""
        return "segtrain" if self is ModelJob.SEGMENT else "train"


class Direction(StrEnum):
    """Reading direction of a document's lines."""

    LTR = "ltr"
    RTL = "rtl"


@dataclass(frozen=True, slots=True)
class Document:
    id: int
    owner_id: int
    team_id: int | None
    name: str
    script: str | None
    language: str | None
    read_direction: Direction
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Part:
    """One page. `name` is what its XML calls the image, with the folders of the import; unique in its document."""

    id: int
    document_id: int
    position: int  # from 1, never reused within a document
    name: str
    image: str | None  # relative to the data directory; None: the image is missing
    width: int | None
    height: int | None
    xml_name: str | None
    lines: int
    with_baseline: int
    with_polygon: int
    with_text: int


@dataclass(frozen=True, slots=True)
class Line:
    """`position` counts from 1 within its part, in reading order."""

    id: int
    part_id: int
    position: int
    external_id: str | None
    baseline: Points | None
    boundary: Points | None
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """A part with its lines, as a trainer or an export reads it."""

    part: Part
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class LineCounts:
    """What the lines and pages of some documents add up to."""

    documents: int = 0
    parts: int = 0
    images: int = 0  # parts whose image is there
    lines: int = 0
    with_baseline: int = 0
    with_polygon: int = 0
    with_text: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long finished trainings took on this machine."""

    trainings: int
    seconds_per_line: float  # and epoch


@dataclass(frozen=True, slots=True)
class OcrModel:
    id: int
    owner_id: int
    team_id: int | None
    name: str
    job: ModelJob
    base_model_id: int | None
    file: str | None  # relative to the data directory; None until a training has kept one
    file_size: int | None  # bytes
    accuracy: float | None  # 0..1, of the file
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Training:
    """A training (or evaluation) of a model: the job with the data it was submitted on."""

    job_seq: int
    model_id: int
    job_id: str
    task: str  # train | segtrain | test
    document_ids: tuple[int, ...]
    documents: int
    parts: int
    lines: int  # when it was submitted
    created_at: float
