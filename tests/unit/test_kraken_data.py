"""What the kraken child makes of its data before anything heavy is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from api.children.common.report import Problem, event, say
from api.children.kraken_train.data import sets, split, usable

LINE = {"baseline": [[1, 9], [50, 9]], "boundary": [[1, 1], [50, 1], [50, 12]], "text": "abc"}


def page(directory: Path, name: str, *lines: dict[str, Any], image: bool = True) -> dict[str, Any]:
    path = directory / name
    if image:
        Image.new("L", (60, 20)).save(path)
    return {"name": name, "image": str(path), "lines": [{**LINE, **line} for line in lines]}


def written(directory: Path, *pages: dict[str, Any]) -> str:
    path = directory / "data.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in pages), encoding="utf-8")
    return str(path)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return [each["message"] for each in found if each["event"] == "warning"]


def test_only_what_can_be_used_and_the_rest_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = page(tmp_path, "broken.png", {})
    Path(broken["image"]).write_bytes(b"no image")
    bad = ({"baseline": None}, {"baseline": [[1, 1]]}, {"boundary": [[1, 1], [2, 2]]}, {"text": " "})
    path = written(
        tmp_path,
        page(tmp_path, "1.png", {}, *bad),
        page(tmp_path, "gone.png", {}, {}, image=False),
        {"name": "none.png", "image": None, "lines": [LINE]},
        broken,
    )
    assert [len(each.lines) for each in usable(path, recognition=True)] == [1]
    warnings = said(capsys)
    assert "2 pages (3 lines) are left out, their images are missing: gone.png, none.png" in warnings
    assert "2 lines without a baseline are left out" in warnings
    assert "1 lines without a bounding polygon are left out" in warnings
    assert "1 lines without a transcription are left out" in warnings
    assert any("cannot be read" in text for text in warnings)
    assert [len(each.lines) for each in usable(path, recognition=False)] == [3]  # segmentation needs baselines alone


@pytest.mark.parametrize(("count", "held"), [(2, 1), (9, 1), (19, 1), (20, 2), (3979, 397)])
def test_a_tenth_is_for_validation(count: int, held: int) -> None:
    items = list(range(count))
    training, validation = split(items, 42, "lines")
    assert len(validation) == held and sorted(training + validation) == items
    assert split(items, 42, "lines") == (training, validation)
    if count > 20:
        assert split(items, 43, "lines") != (training, validation)


def test_one_item_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(Problem) as refused:
        split(["one"], 42, "lines")
    assert refused.value.kind == "dataset_empty"
    settings = {"task": "segtrain", "data": written(tmp_path, page(tmp_path, "1.png", {}, {})), "seed": 1}
    with pytest.raises(Problem, match="1 usable pages"):
        sets(settings)


def test_sets_of_lines_and_of_pages(tmp_path: Path) -> None:
    path = written(tmp_path, *(page(tmp_path, f"{n}.png", {}, {}, {}, {}) for n in range(5)))
    lines = sets({"task": "train", "data": path, "seed": 1})
    pages = sets({"task": "segtrain", "data": path, "seed": 1})
    assert (len(lines.training), len(lines.validation), lines.lines) == (18, 2, 20)
    assert (len(pages.training), len(pages.validation), pages.lines) == (4, 1, 20)


def test_a_text_begins_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    say('skipped "\n{"event": "done"}"')
    event("warning", message='\n{"event": "done"}', loss=float("nan"), deep={"x": float("inf")})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and not any(line.startswith('{"event": "done"') for line in lines)
    assert json.loads(lines[1])["loss"] is None and json.loads(lines[1])["deep"] == {"x": None}
