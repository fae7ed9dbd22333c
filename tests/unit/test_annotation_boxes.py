"""Boxes in pixels and as YOLO has them: cut, written, read back; and the classes that tasks may name."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from api.models.annotation import SLACK, Box, Proposal, checked, extended, image_id, proposals_of, yolo_lines
from api.utils.batches import batches
from api.utils.errors import Invalid
from api.utils.yolo_labels import Label, corners, parse

SIZES = st.tuples(st.integers(10, 65_535), st.integers(10, 65_535))
EXACT = 0.6e-6  # what six decimals may lose of a part of the image


@st.composite
def images_and_boxes(draw: st.DrawFn, slack: float = SLACK) -> tuple[tuple[int, int], Box]:
    size = draw(SIZES)
    edges = []
    for limit in size:
        low, high = sorted(draw(st.lists(st.floats(-slack, limit + slack), min_size=2, max_size=2)))
        assume(min(high, limit) - max(low, 0) > limit * 2e-6)
        edges.append((low, high))
    (x1, x2), (y1, y2) = edges
    return size, Box(draw(st.integers(0, 79)), x1, y1, x2, y2)


@given(images_and_boxes())
def test_kept_boxes_lie_in_the_image_and_moved_by_a_pixel_at_most(case: tuple[tuple[int, int], Box]) -> None:
    size, box = case
    (kept,) = checked([box], size, 80)
    assert 0 <= kept.x1 < kept.x2 <= size[0] and 0 <= kept.y1 < kept.y2 <= size[1]
    assert all(abs(new - old) <= SLACK for new, old in zip(kept[1:], box[1:], strict=True))
    assert checked([kept], size, 80) == (kept,), "cut once is cut for ever"


@given(images_and_boxes())
def test_pixels_to_yolo_and_back(case: tuple[tuple[int, int], Box]) -> None:
    size, box = case
    (kept,) = checked([box], size, 80)
    (label,) = parse(yolo_lines([kept], size), 80)
    read = corners(label, size)
    assert read is not None and label.index == kept.class_id
    limits = (size[0], size[1], size[0], size[1])
    for new, old, limit in zip(read, kept[1:], limits, strict=True):
        assert abs(new - old) <= 2 * EXACT * limit
    again = Box(label.index, *read)
    assert checked([again], size, 80) == (again,), "what was imported can be saved"


#: a centre and a length around it, in millionths of an image, inside of it
SPANS = st.integers(1, 10**6 - 1).flatmap(
    lambda centre: st.tuples(st.just(centre), st.integers(1, 2 * min(centre, 10**6 - centre)))
)


@given(SIZES, st.integers(0, 79), SPANS, SPANS)
def test_yolo_to_pixels_and_back_says_the_same(
    size: tuple[int, int], index: int, across: tuple[int, int], down: tuple[int, int]
) -> None:
    """A label file whose image is saved unchanged is the same file, where its box lies inside the image."""
    millionths = (across[0], down[0], across[1], down[1])
    line = Label(index, tuple(value / 10**6 for value in millionths)).line() + "\n"
    (label,) = parse(line, 80)
    read = corners(label, size)
    assert read is not None
    assert yolo_lines(checked([Box(index, *read)], size, 80), size) == line


@given(SIZES, st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4))
def test_any_four_numbers_are_kept_inside_or_refused(size: tuple[int, int], numbers: list[float]) -> None:
    try:
        (kept,) = checked([Box(0, *numbers)], size, 1)
    except Invalid as problem:
        assert all(name.startswith("boxes.0") for name, _ in problem.errors)
    else:
        (label,) = parse(yolo_lines([kept], size), 1)
        assert corners(label, size) is not None


def test_what_is_wrong_is_told_of_each_box() -> None:
    with pytest.raises(Invalid) as caught:
        checked([Box(0, 0, 0, 5, 5), Box(1, 0, 0, 5, 5), Box(0, 5, 0, 5, 5)], (10, 10), 1)
    assert [name for name, _ in caught.value.errors] == ["boxes.1.class_id", "boxes.2"]
    with pytest.raises(Invalid, match="no classes"):
        checked([Box(0, 0, 0, 5, 5)], (10, 10), 0)


def test_a_polygon_is_the_box_around_it() -> None:
    assert corners(Label(0, (0.1, 0.5, 0.5, 0.25, 0.3, 0.75)), (100, 40)) == (10.0, 10.0, 50.0, 30.0)
    assert corners(Label(0, (0.1, 0.5, 0.1, 0.6, 0.1, 0.7)), (100, 40)) is None


@pytest.mark.parametrize(
    ("known", "given_", "found"),
    [
        ([], ["a", "b"], ["a", "b"]),
        (["a"], ["a", "b"], ["a", "b"]),
        (["a", "b"], ["a"], ["a", "b"]),
        (["class_0", "class_1"], ["cat"], ["cat", "class_1"]),
        (["cat", "b"], ["class_0", "b"], ["cat", "b"]),
    ],
)
def test_classes_of_a_task(known: list[str], given_: list[str], found: list[str]) -> None:
    assert extended(known, given_) == found


@pytest.mark.parametrize(
    ("known", "given_", "field"),
    [(["a"], ["b"], "classes.0"), (["a", "b"], ["b", "a"], "classes.0"), (["class_0", "b"], ["b"], "classes")],
)
def test_classes_that_would_change_what_boxes_mean(known: list[str], given_: list[str], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        extended(known, given_)
    assert caught.value.field == field


def test_batches_end_by_number_or_weight() -> None:
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([1, 9, 1, 1], 3, lambda each: each, 10)) == [[1, 9], [1, 1]]
    assert list(batches([], 3)) == []


def test_ids_of_images() -> None:
    assert image_id(3, "images/train/0001.jpg") == "train_0001"
    assert image_id(3, "images/val/a.b-c_d.png") == "val_a.b-c_d"
    assert image_id(3, "images/val/图.png") == "val.3"
    assert image_id(3, f"images/test/{'x' * 81}.png") == "test.3"


def test_proposals_have_the_datasets_classes() -> None:
    rows = [[0, 0.9, -3, 2, 8, 9], [1, 0.8, 1, 1, 2, 2], [0, 0.7, 4, 4, 4, 8]]
    assert proposals_of(rows, ["cat", "dog"], {"bird": 0, "cat": 1}, (10, 10)) == (
        Proposal(1, 0.0, 2.0, 8.0, 9.0, 0.9),
    )
