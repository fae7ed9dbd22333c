"""From somebody's files to a dataset that can be trained on, with word of all that was left out."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from api.children.yolo_prepare import annotated, coco, layouts, voc
from api.children.yolo_prepare import classes as naming
from api.children.yolo_prepare.boxes import Boxes
from api.children.yolo_prepare.draft import Draft, Kept
from api.children.yolo_prepare.findings import Findings, Unusable
from api.children.yolo_prepare.pictures import BadPicture, Picture, look
from api.children.yolo_prepare.sources import Source
from api.children.yolo_prepare.split import draw_val
from api.utils import yolo_labels as labels
from api.utils.yolo_labels import BadLabel, Label

SAMPLES = 8
DUPLICATES = 40  # groups that are told
PREPARED = frozenset({"data.yaml", "manifest.jsonl", "portable.yaml"})  # what a prepared dataset has beside its images
AHEAD = 16  # images decoded before they are asked for


@dataclass(frozen=True, slots=True)
class Task:
    """`final`: where `target` will lie when it is whole.

    `annotations`: the one file below `source` that says what its images show, and which of them are meant.
    `part`: train or val: of a source with a split of its own this part of it, else all of it; all goes there.
    """

    source: Path
    target: Path
    final: str
    classes: list[str] | None
    val_part: float
    seed: int
    most_files: int
    annotations: str | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """Labels by image as the dataset has them; `classes` None: as many as its labels say."""

    layout: str  # yolo, coco, voc, ucd or images
    classes: list[str] | None
    texts: Mapping[str, str]  # image -> its label file
    boxes: Boxes | None
    splits: Mapping[str, str | None]


def prepare(task: Task) -> dict[str, Any]:
    """Raises Unusable."""
    findings = Findings()
    if task.annotations is None:
        source = _whole(task, findings)
        found = _survey(source, task, findings)
    else:
        source, found = _annotated(task, task.annotations, findings)
    found = _meant(found, task.part)
    if not found.splits:
        why = f": {_told(findings)}" if findings.issues else ""
        raise Unusable(f"there is no image in it (jpg, jpeg, png, bmp, webp, tif, tiff){why}")
    thumbs = task.target / ".thumbs"
    thumbs.mkdir()
    kept = list(_checked(source, found, thumbs, findings))
    if not kept:
        raise Unusable("none of its images can be used: " + _told(findings))
    classes = found.classes if found.classes is not None else _numbered(kept)
    split, made = _split([each for each, _ in kept], task)
    draft = Draft(source, task.target)
    manifest = [draft.add(replace(each, split=split[each.source]), thumb) for each, thumb in kept]
    thumbs.rmdir()
    draft.finish(manifest, classes, task.final)
    return {
        **_counts(manifest),
        "classes": classes,
        "class_counts": _class_counts([each for each, _ in kept], classes),
        **findings.told(),
        **_duplicates(manifest),
        "layout": found.layout,
        "split": "made" if made else "kept",
        "seed": task.seed,
        "category_map": found.boxes.category_map if found.boxes else None,
        "sample_images": [line["image"] for line in manifest[:: max(1, len(manifest) // SAMPLES)][:SAMPLES]],
    }


def _whole(task: Task, findings: Findings) -> Source:
    """A dataset that was prepared here has a thumbnail of each image beside them."""
    source = Source(task.source, task.most_files)
    for name in source.unnamed:
        findings.add("name", name, "is passed over: its name has control characters in it, or is no UTF-8")
    if set(source.names) >= PREPARED:
        source.names = [name for name in source.names if not name.startswith("thumbs/")]
    return source


def _annotated(task: Task, file: str, findings: Findings) -> tuple[Source, Labelled]:
    given = naming.checked(task.classes, "classes") if task.classes else None
    source, kind, boxes = annotated.read(task.source, file, given, task.most_files, findings)
    return source, Labelled(
        kind, boxes.classes, {}, boxes, {image: boxes.splits.get(image) for image in boxes.by_image}
    )


def _meant(found: Labelled, part: str | None) -> Labelled:
    if part is None:
        return found
    divided = {"train", "val"} <= set(found.splits.values())
    wanted = (part,) if divided else ("train", "val", None)
    return replace(found, splits={image: part for image, split in found.splits.items() if split in wanted})


def _told(findings: Findings) -> str:
    return "; ".join(f"{issue['file']} {issue['problem']}" for issue in findings.issues[:3])


def _survey(source: Source, task: Task, findings: Findings) -> Labelled:
    names, folders = naming.described(source, findings)
    given = naming.checked(task.classes, "classes") if task.classes else None
    layout = layouts.survey(source.names, folders)
    images = list(layout.splits)
    if layout.labels:
        for stray in layout.strays:
            findings.add("label_without_image", stray, "is a label file without an image")
        return Labelled("yolo", given or names, layout.labels, None, layout.splits)
    boxes = coco.read(source, images, given, findings)
    kind = "coco"
    if boxes is None:
        boxes, kind = voc.read(source, images, given, findings), "voc"
    if boxes is None:
        return Labelled("images", given or names or [], {}, None, layout.splits)
    splits = {image: boxes.splits.get(image) or split for image, split in layout.splits.items()}
    return Labelled(kind, boxes.classes, {}, boxes, splits)


def _checked(source: Source, found: Labelled, thumbs: Path, findings: Findings) -> Iterator[tuple[Kept, Path]]:
    """Images that can be trained on, each with its thumbnail, in the order of their names."""
    for number, (image, picture) in enumerate(_pictures(source, sorted(found.splits))):
        if isinstance(picture, BadPicture):
            findings.add("image", image, str(picture))
            continue
        try:
            known = _labels(source, found, image, picture)
        except (BadLabel, OSError, ValueError) as problem:
            findings.add("label", found.texts.get(image, image), str(problem))
            continue
        thumbnail = thumbs / str(number)
        thumbnail.write_bytes(picture.thumbnail)
        yield Kept(image, found.splits[image] or "", picture.size, picture.digest, known), thumbnail


def _pictures(source: Source, images: Sequence[str]) -> Iterator[tuple[str, Picture | BadPicture]]:
    def one(image: str) -> Picture | BadPicture:
        try:
            return look(source, image)
        except BadPicture as problem:
            return problem

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for start in range(0, len(images), AHEAD):
            batch = images[start : start + AHEAD]
            yield from zip(batch, pool.map(one, batch), strict=True)


def _labels(source: Source, found: Labelled, image: str, picture: Picture) -> tuple[Label, ...] | None:
    if found.boxes is None:
        file = found.texts.get(image)
        if file is None:
            return None
        return labels.parse(source.text(file, labels.MOST_BYTES), None if found.classes is None else len(found.classes))
    if image in found.boxes.unread:
        raise BadLabel("its annotation is not read")
    if image not in found.boxes.by_image:
        return None
    told = found.boxes.sizes.get(image, picture.size)
    if told != picture.size:
        raise BadLabel(
            f"its annotation is for {told[0]} x {told[1]} pixels; it has {picture.size[0]} x {picture.size[1]}"
        )
    return tuple(labels.box_label(index, box, picture.size) for index, box in found.boxes.by_image[image])


def _numbered(kept: Sequence[tuple[Kept, Path]]) -> list[str]:
    last = max((label.index for each, _ in kept for label in each.labels or ()), default=-1)
    return [f"class_{number}" for number in range(last + 1)]


def _split(kept: Sequence[Kept], task: Task) -> tuple[dict[str, str], bool]:
    """Image -> split, and whether it was made: where the dataset has a train and a val of its own, those stay."""
    if task.part is not None or {"train", "val"} <= {each.split for each in kept}:
        return {each.source: each.split or "train" for each in kept}, False
    groups: dict[str, list[str]] = defaultdict(list)
    for each in kept:
        if each.split != "test":
            groups[each.digest].append(each.source)
    if not groups:  # it has tests only
        return {each.source: "train" for each in kept}, True
    val = draw_val(groups, task.val_part, task.seed)
    word = {each.source: "test" if each.split == "test" else "train" for each in kept}
    return {**word, **dict.fromkeys(val, "val")}, True


def _counts(manifest: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sizes = Counter(line["split"] for line in manifest)
    return {
        **{f"{split}_count": sizes[split] for split in layouts.SPLITS},
        "image_count": len(manifest),
        "label_count": sum(line["boxes"] is not None for line in manifest),
        "box_count": sum(line["boxes"] or 0 for line in manifest),
        "empty_count": sum(line["boxes"] == 0 for line in manifest),
    }


def _class_counts(kept: Sequence[Kept], classes: Sequence[str]) -> dict[str, int]:
    counted = Counter(label.index for each in kept for label in each.labels or ())
    return {name: counted[index] for index, name in enumerate(classes)}


def _duplicates(manifest: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Images that are there more than once, and how many of those lie in two splits."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in manifest:
        groups[line["sha256"]].append(line)
    copies = [group for group in groups.values() if len(group) > 1]
    return {
        "duplicate_count": sum(len(group) - 1 for group in copies),
        "leak_count": sum(len({line["split"] for line in group}) > 1 for group in copies),
        "duplicates": [[line["source"] for line in group[:10]] for group in copies[:DUPLICATES]],
    }
