"""ALTO and PAGE: what a trainer would read in them is read, what is written is read back, hostile files are refused."""

from __future__ import annotations

import resource
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.utils.pagexml import BadXml, TextLine, XmlPage, is_writable, read_page, write_alto, write_page
from tests.unit.pages import HOSTILE, MOMENT, page

ALTO = (
    '<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description><MeasurementUnit>{unit}</MeasurementUnit>'
    "<sourceImageInformation><fileName>p.png</fileName></sourceImageInformation></Description><Layout>"
    '<Page ID="p" WIDTH="600" HEIGHT="200"><PrintSpace><TextBlock ID="b">{lines}</TextBlock></PrintSpace></Page>'
    "</Layout></alto>"
)
PAGE = (
    '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/{year}"><Page imageFilename="p.png" '
    'imageWidth="600" imageHeight="200"><TextRegion id="r"><Coords points="0,0 600,0 600,200 0,200"/>{lines}'
    "<TextEquiv><Unicode>of the region</Unicode></TextEquiv></TextRegion></Page></PcGts>"
)


def alto(lines: str, unit: str = "pixel") -> XmlPage:
    return read_page(ALTO.format(lines=lines, unit=unit).encode())


def pcgts(lines: str, year: str = "2019-07-15") -> XmlPage:
    return read_page(PAGE.format(lines=lines, year=year).encode())


def test_the_smallest_alto_that_kraken_takes() -> None:
    found = alto(
        '<TextLine ID="l" BASELINE="10 50 300 50"><Shape><Polygon POINTS="8 20 302 20 302 60 8 60"/></Shape>'
        '<String CONTENT="hello"><Shape><Polygon POINTS="1 1 2 2 3 3"/></Shape></String><SP/><String CONTENT="world"/>'
        "</TextLine>"
    )
    corners = ((8, 20), (302, 20), (302, 60), (8, 60))
    assert found == XmlPage("p.png", 600, 200, (TextLine("l", ((10, 50), (300, 50)), corners, "hello world"),))


@pytest.mark.parametrize("year", ["2013-07-15", "2017-07-15", "2019-07-15"])
def test_the_smallest_page_that_kraken_takes(year: str) -> None:
    found = pcgts(
        '<TextLine id="l"><Coords points="8,20 302,20 302,60 8,60"/><Baseline points="10,50 300,50"/>'
        '<Word id="w"><Coords points="1,1 2,2 3,3"/><TextEquiv><Unicode>hello</Unicode></TextEquiv></Word>'
        "<TextEquiv><Unicode>hello world</Unicode></TextEquiv></TextLine>",
        year,
    )
    corners = ((8, 20), (302, 20), (302, 60), (8, 60))
    assert found == XmlPage("p.png", 600, 200, (TextLine("l", ((10, 50), (300, 50)), corners, "hello world"),))


@pytest.mark.parametrize(
    ("baseline", "points"),
    [
        ('BASELINE="10,50 300,50"', ((10, 50), (300, 50))),
        ('BASELINE="10.7 50.2 300 50"', ((10, 50), (300, 50))),
        ('BASELINE=""', None),
        ("", None),
        ('BASELINE="50"', None),
        ('BASELINE="50 60"', ((50, 60),)),  # one point is kept, and is no baseline
        ('BASELINE="1 2 3"', None),
        ('BASELINE="a b c d"', None),
        ('BASELINE="1e999 2 3 4"', None),
        ('BASELINE="99999999999 2 3 4"', None),
        ('BASELINE="-3 2 3 4"', ((-3, 2), (3, 4))),
    ],
)
def test_baselines_of_altos(baseline: str, points: object) -> None:
    (line,) = alto(f'<TextLine ID="l" {baseline}/>').lines
    assert (line.baseline, line.boundary, line.text) == (points, None, "")


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<TextEquiv><Unicode>a</Unicode></TextEquiv>", "a"),
        ('<TextEquiv index="1"><Unicode>b</Unicode></TextEquiv><TextEquiv index="0"><Unicode>a</Unicode></TextEquiv>', "a"),
        ("<TextEquiv><Unicode>a &amp; <![CDATA[<b>]]></Unicode></TextEquiv>", "a & <b>"),
        ("<TextEquiv><PlainText>p</PlainText><Unicode></Unicode></TextEquiv>", ""),
        ("<Word><TextEquiv><Unicode>a</Unicode></TextEquiv></Word><Word><TextEquiv><Unicode>b</Unicode></TextEquiv></Word>", "a b"),
        ("<Word><Glyph><TextEquiv><Unicode>g</Unicode></TextEquiv></Glyph></Word>", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_texts_of_pages(inside: str, text: str) -> None:
    (line,) = pcgts(f'<TextLine id="l">{inside}</TextLine>').lines
    assert line.text == text


def test_lines_of_nested_regions_are_there_too() -> None:
    """kraken's own reader passes them over."""
    found = pcgts('<TextLine id="a"/><TextRegion id="in"><TextLine id="b"/></TextRegion>')
    assert [line.external_id for line in found.lines] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (ALTO.format(unit="mm10", lines=""), "mm10"),
        (ALTO.format(unit="pixel", lines="").replace("p.png", ""), "names no image"),
        (ALTO.format(unit="pixel", lines="").replace("p.png", "a\nb"), "no file is named"),
        ("<alto/>", "no page"),
        (PAGE.format(year="x", lines="</TextRegion></Page><Page imageFilename='q'><TextRegion>"), "more than one page"),
        (PAGE.format(year="x", lines="<TextLine/>" * 20_001), "20000 lines"),
        (ALTO.format(unit="pixel", lines=f'<TextLine BASELINE="{"1 2 " * 10_001}"/>'), "10000 points"),
        (ALTO.format(unit="pixel", lines=f'<TextLine><String CONTENT="{"x" * 100_001}"/></TextLine>'), "100000 char"),
        (ALTO.format(unit="x" * 100_001, lines=""), "100000 char"),
    ],
)
def test_what_cannot_be_taken(content: str, word: str) -> None:
    with pytest.raises(BadXml, match=word):
        read_page(content.encode())


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_at_once(name: str) -> None:
    """In seconds of this process' time, and without its memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    with pytest.raises(BadXml) as refused:
        read_page(HOSTILE[name])
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024
    assert "root:" not in str(refused.value)


def test_a_declaration_is_refused_whatever_it_declares() -> None:
    with pytest.raises(BadXml, match="document type declaration"):
        read_page(b"<!DOCTYPE alto><alto/>")


def test_other_encodings() -> None:
    text = ALTO.format(unit="pixel", lines='<TextLine><String CONTENT="ש"/></TextLine>')
    for encoding in ("utf-16", "utf-8-sig"):
        assert read_page(text.encode(encoding)).lines[0].text == "ש"
    marked = '<?xml version="1.0" encoding="iso-8859-1"?>' + text.replace("ש", "é")
    assert read_page(marked.encode("iso-8859-1")).lines[0].text == "é"


numbers = st.integers(0, 10_000)
points = st.one_of(st.none(), st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6).map(tuple))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30).filter(is_writable)
ids = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,20}", fullmatch=True)


@st.composite
def pages(draw: st.DrawFn) -> XmlPage:
    names = draw(st.lists(ids, unique=True, max_size=5).filter(lambda n: not {"page", "block", "region"} & set(n)))
    lines = [TextLine(name, draw(points), draw(points), draw(texts)) for name in names]
    return XmlPage("p.png", draw(st.none() | numbers), draw(numbers), tuple(lines))


@given(pages())
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_again(made: XmlPage) -> None:
    assert read_page(write_page(made, MOMENT)) == made
    assert read_page(write_alto(made)) == made


def test_ids_that_xml_cannot_have_are_replaced() -> None:
    odd = [None, "1", "a b", "same", "same", "page", "line_2"]
    made = XmlPage("p.png", 1, 1, tuple(TextLine(name, None, None, "") for name in odd))
    for written in (write_page(made, MOMENT), write_alto(made)):
        found = [line.external_id for line in read_page(written).lines]
        assert found == ["line_1", "line_2", "line_3", "same", "line_5", "line_6", "line_7"]


def test_characters_that_xml_cannot_have() -> None:
    assert is_writable("a\tb\nc ש 😀") and is_writable("")
    for char in "\0\x01\x0b\x1f\ufffe\uffff":
        assert not is_writable(f"a{char}")


def test_a_page_as_others_would_see_it() -> None:
    """Names that kraken and schemas look for."""
    written = write_page(page("p.png", 1), MOMENT).decode()
    for part in (
        'imageFilename="p.png"',
        'imageWidth="60"',
        "<Baseline points=",
        "<Coords points=",
        "<Unicode>line 1<",
    ):
        assert part in written
    written = write_alto(page("p.png", 1)).decode()
    for part in ("<fileName>p.png<", 'WIDTH="60"', 'BASELINE="2 10 30 11 58 10"', 'CONTENT="line"', "<SP/>"):
        assert part in written
