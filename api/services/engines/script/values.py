"""Names and numbers as they stand in printed lines. Pure; every pattern is linear."""

from __future__ import annotations

import re
import sys
from functools import lru_cache

PAIRS = 64  # values of a line
LARGEST_COUNT = 10**12  # of an epoch, a step, a total
NUMBER = r"[-+]?(?:(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,4})?|[Nn]a[Nn]|NAN|[Ii]nf(?:inity)?|INF)"
Value = tuple[str, float | None]

_STAGES = {
    "train": "train", "training": "train", "test": "test", "val": "val", "valid": "val", "validation": "val",
    "dev": "dev", "eval": "eval", "evaluation": "eval",
}  # fmt: skip
_STAGE = "|".join(sorted(_STAGES, key=len, reverse=True))
_END = r"(?=[\s,;|)\]}%`]|\Z)"
_PAIR = re.compile(  # `loss: 0.41`, `val loss = 0.41`
    rf"(?<![\w./@-])([A-Za-z_][\w./@-]{{0,79}}+) ?[=:]\s{{0,20}}+({NUMBER}){_END}"
)
_WORDED = re.compile(  # `loss 0.41`, for well-known names
    rf"(?<![\w./@-])([A-Za-z_][\w./@-]{{0,79}}+)(?: ?[=:]\s{{0,20}}+|(?<=(?i:loss)) |(?<=(?i:acc)) |(?<=(?i:lr)) "
    rf"|(?<=(?i:ppl)) |(?<=(?i:accuracy)) )({NUMBER}){_END}"
)
_BARE = re.compile(r"(?:oss|OSS|acc|Acc|ACC|racy|lr|LR|ppl|PPL) [-+.\dniNI]")
_BEFORE = re.compile(rf"(?i:(?<![\w./@-])({_STAGE})) \Z")
_HAS_STAGE = re.compile(rf"(?i)(?:{_STAGE})[_/ .-]")
_POSTFIX = re.compile(rf"(?:\A|, ?)\s?([A-Za-z_][\w ./@-]{{0,79}})=({NUMBER})(?=,|\s*\Z)")
_LIKE_METRIC = re.compile(
    r"(?i)loss|(?:^|[_/.])(?:acc|lr|kl|wer|cer|f1|map|iou|miou|auc|err|fid|is)(?:$|[^a-z])|accuracy|learning_rate|error"
    r"|auroc|bleu|rouge|perplexity|ppl|mse|mae|psnr|ssim|lpips|dice|precision|recall|score|grad_norm|reward|elbo|nll"
)
_NOT_METRICS = frozenset(
    "epoch epochs step steps global_step iter iters iteration iterations batch batches it eta time data mem memory"
    " elapsed seed rank local_rank world_size gpu pid port v_num version line total timestamp ts id device size"
    " num_epochs max_epochs total_epochs n_epochs num_train_epochs max_steps total_steps num_steps duration".split()
)
_TOTAL_EPOCHS = frozenset(("epochs", "num_epochs", "max_epochs", "total_epochs", "n_epochs", "num_train_epochs"))
_CODE = (".py", ".cc", ".cpp", ".cu", ".c", ".h")


def number(text: str) -> float | None:
    """A finite number, else None."""
    try:
        value = float(text)
    except (ValueError, OverflowError):
        return None
    return value if -sys.float_info.max <= value <= sys.float_info.max else None


def count(text: str | None) -> int | None:
    """A count of something that can be counted."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 12:
        return None
    return int(text)


@lru_cache(maxsize=4096)
def metric_name(name: str) -> str | None:
    """The name of a metric, changed as little as possible; None where it names something else."""
    plain = name.lower()
    if plain in _NOT_METRICS or plain.endswith(_CODE):
        return None
    if plain in ("lr", "learning_rate", "learning rate"):
        return "lr"
    return plain if plain == "loss" or name.istitle() else name


@lru_cache(maxsize=4096)
def like_metric(name: str) -> bool:
    return _LIKE_METRIC.search(name) is not None


def stage_of(word: str) -> str:
    """`val` for `Validation`."""
    return _STAGES[word.lower()]


def staged(stage: str | None, name: str) -> str:
    """`val_loss` for the `loss` of a line about the validation."""
    return name if stage is None or name == "lr" or _HAS_STAGE.match(name) else f"{stage}_{name}"


def pairs(text: str, stage: str | None = None) -> tuple[list[Value], int | None]:
    """The metrics of a line, and how many epochs it says there will be. A stage holds for the names after it."""
    found: list[Value] = []
    epochs: int | None = None
    pattern = _WORDED if worded(text) else _PAIR
    for taken, match in enumerate(pattern.finditer(text)):
        if taken == PAIRS:
            break
        given, digits = match.groups()
        if given in _TOTAL_EPOCHS:
            epochs = count(digits)
            continue
        shown = metric_name(given)
        if shown is not None:
            start = match.start()
            if start > 3 and text[start - 1] == " " and text[start - 2].isalpha():
                word = _BEFORE.search(text, max(0, start - 12), start)
                stage = stage if word is None else stage_of(word[1])
            found.append((staged(stage, shown), number(digits)))
    return found, epochs


def worded(text: str) -> bool:
    """Whether it may hold `loss 0.41`, without a sign between."""
    return _BARE.search(text) is not None


def postfix(text: str) -> list[Value]:
    """The metrics behind a bar of tqdm, whose names may hold spaces."""
    found = ((metric_name(match[1].strip()), number(match[2])) for match in _POSTFIX.finditer(text[:2000]))
    return [(name, value) for name, value in found if name is not None]
