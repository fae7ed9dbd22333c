"""The README in both languages says the same, as far as a machine can compare it, and every link leads somewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest

from api.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
ENGLISH, CHINESE = "README.md", "README.zh-CN.md"
PAGES = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Section:
    """What must not differ between languages: all but the words and their order."""

    level: str
    fences: list[str]
    code: list[str]
    links: list[str]
    items: list[str]  # one mark for each row of a table (with its number of cells) and each item of a list


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def anchors(text: str) -> list[str]:
    """Of each heading, as GitHub makes them."""
    return [
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in HEADING.findall(FENCE.sub("", text))
    ]


def links_of(text: str) -> list[str]:
    return LINK.findall(CODE.sub("", FENCE.sub("", text)))


def sections(page: str) -> list[Section]:
    text = read(page)
    fences = FENCE.findall(text)
    bare = FENCE.sub("\0", text)
    starts = [heading.start() for heading in HEADING.finditer(bare)]
    places = {f"#{anchor}": f"section {number}" for number, anchor in enumerate(anchors(text))}
    found = []
    for start, end in zip(starts, [*starts[1:], len(bare)], strict=True):
        part = bare[start:end]
        here = [fences.pop(0) for _ in range(part.count("\0"))]
        links = sorted(_common(places.get(link, link)) for link in LINK.findall(part))
        code = sorted(" ".join(span.split()) for span in CODE.findall(part))
        items = [_item(line) for line in part.splitlines() if line.startswith(("|", "- "))]
        found.append(Section(part.split(" ", 1)[0], here, code, links, items))
    return found


def _item(line: str) -> str:
    return f"{line.count('|') - 1} cells" if line.startswith("|") else "-"


def _common(link: str) -> str:
    """Where the languages link to different files on purpose."""
    return link.replace("-zh-dark", "").replace(CHINESE, ENGLISH)


def test_both_languages_have_the_same_sections_code_links_and_tables() -> None:
    english, chinese = sections(ENGLISH), sections(CHINESE)
    assert [one.level for one in chinese] == [one.level for one in english]
    titles = [title for _, title in HEADING.findall(FENCE.sub("", read(ENGLISH)))]
    for title, here, there in zip(titles, english, chinese, strict=True):
        assert there == here, f"section {title!r} of {CHINESE} differs"


@pytest.mark.parametrize("page", [ENGLISH, CHINESE])
def test_the_settings_of_the_readme_are_all_there_are(page: str) -> None:
    assert set(re.findall(r"TRAINYARD_\w+", read(page))) == {row.variable for row in SETTINGS}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    broken = []
    for link in links_of(read(page)):
        target, _, anchor = unquote(link).partition("#")
        file = (ROOT / page).parent / target if target else ROOT / page
        if re.match(r"https?://", link):
            continue
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []
