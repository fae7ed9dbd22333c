"""Charts of YOLO trainings as PNG, drawn from series that were recorded, also while the run goes on.

matplotlib is imported with the first chart: a service that draws none stays small. `Figure` and Agg alone, since pyplot
keeps figures in a global state that threads share. No text of a client's is drawn: `$` in it would be taken for TeX.
"""

from __future__ import annotations

import io
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.models.accounts import Actor
from api.models.job import Job
from api.services.store.database import Database
from api.services.yolo_history import history_of
from api.services.yolo_models import YoloModels
from api.utils.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("all", "loss", "metrics")
PATIENCE = 30.0  # seconds that a chart waits for others to be drawn
_TITLES = {"box": "Box loss", "cls": "Class loss", "dfl": "DFL loss"}
_METRICS = (
    ("Precision and recall", (("metrics_precision", "precision"), ("metrics_recall", "recall"))),
    ("Mean average precision", (("metrics_mAP50", "mAP50"), ("metrics_mAP50_95", "mAP50-95"))),
)
_COLOURS = ("#2563eb", "#ea580c")
_INK, _FAINT, _GRID = "#1f2937", "#6b7280", "#e5e7eb"

Panel = Callable[["Axes"], None]


class YoloCharts:
    """Raises the errors of api.utils.errors."""

    def __init__(self, db: Database, models: YoloModels, cache: Path) -> None:
        """`cache`: where matplotlib keeps what it knows of fonts."""
        os.environ.setdefault("MPLCONFIGDIR", str(cache))
        self._db = db
        self._models = models
        self._drawing = threading.Lock()  # a chart takes a core for half a second

    def of_model(self, actor: Actor, model_id: str, kind: str) -> bytes:
        model = self._models.get(actor, model_id)
        if not model.history:
            raise Conflict(f"model {model_id} has no training history to draw: it came without one")
        return self._draw(model.history, kind)

    def of_job(self, job: Job, kind: str) -> bytes:
        """What is recorded by now."""
        with self._db.read() as connection:
            found = history_of(connection, job)
        if found is None:
            raise Conflict(f"job {job.id} has no epoch yet that could be drawn")
        return self._draw(found, kind)

    def _draw(self, found: Mapping[str, Any], kind: str) -> bytes:
        if not self._drawing.acquire(timeout=PATIENCE):
            raise Unavailable("too many charts are being drawn; try again", retry_after=5)
        try:
            return draw(found, kind)
        finally:
            self._drawing.release()


def draw(found: Mapping[str, Any], kind: str) -> bytes:
    """A PNG of a history: `loss`, `metrics` or `all`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    rows = [_losses(found)] if kind != "metrics" else []
    rows += [_metrics(found)] if kind != "loss" else []
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(13, 3.9 * len(rows)), dpi=100, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    for place, panels in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
        for axes, panel in zip(place.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            panel(axes)
    written = io.BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()


def _losses(found: Mapping[str, Any]) -> list[Panel]:
    """Training and validation of each loss that the model has."""
    stems = [key.removeprefix("train_").removesuffix("_loss") for key in found if key.startswith("train_")]
    kept = [stem for stem in dict.fromkeys([*_TITLES, *stems]) if found.get(f"train_{stem}_loss")]
    return [_loss(found, stem) for stem in kept] or [_nothing("Losses")]


def _loss(found: Mapping[str, Any], stem: str) -> Panel:
    lines = ((f"train_{stem}_loss", "training"), (f"val_{stem}_loss", "validation"))
    return _panel(found, _TITLES.get(stem, f"{stem.upper()} loss"), lines, None)


def _metrics(found: Mapping[str, Any]) -> list[Panel]:
    return [_panel(found, title, lines, (0.0, 1.0)) for title, lines in _METRICS]


def _panel(
    found: Mapping[str, Any], title: str, lines: Sequence[tuple[str, str]], limits: tuple[float, float] | None
) -> Panel:
    def panel(axes: Axes) -> None:
        _frame(axes, title)
        drawn = [_line(axes, found, key, label, colour) for (key, label), colour in zip(lines, _COLOURS, strict=True)]
        if limits is not None:
            axes.set_ylim(limits[0] - 0.02, limits[1] + 0.04)
        if any(drawn):
            axes.legend(loc="best", frameon=False, fontsize=9, labelcolor=_INK)
        else:
            axes.text(0.5, 0.5, "nothing recorded", transform=axes.transAxes, ha="center", color=_FAINT)

    return panel


def _nothing(title: str) -> Panel:
    return _panel({"epochs": []}, title, (("", ""), ("", "")), None)


def _frame(axes: Axes, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left", fontsize=12, color=_INK, fontweight="bold")
    axes.set_xlabel("epoch", fontsize=9, color=_FAINT)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.grid(visible=True, color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_FAINT, labelsize=9, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)


def _line(axes: Axes, found: Mapping[str, Any], key: str, label: str, colour: str) -> bool:
    """Its last value stands in the legend; a gap is where there was no number."""
    values = [math.nan if value is None else float(value) for value in found.get(key) or ()]
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return False
    marker = "o" if len(known) <= 40 else None
    axes.plot(
        found["epochs"],
        values,
        color=colour,
        linewidth=1.8,
        marker=marker,
        markersize=3.5,
        label=f"{label}  {known[-1]:.3f}",
    )
    return True
