"""How the console's files are served; what they do is tested in a browser (tests/console)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.routes.console import STATIC
from tests.dialects.conftest import Site


def build_of(site: Site) -> str:
    found = re.search(r"/ui/([0-9a-f]{12})/app\.js", site.client.get("/").text)
    assert found
    return found[1]


@pytest.mark.parametrize("path", ["/", "/ui/"])
def test_the_page(site: Site, path: str) -> None:
    first = site.client.get(path)
    assert first.status_code == 200 and first.mimetype == "text/html"
    assert first.headers["Cache-Control"] == "no-cache"
    assert "default-src 'self'" in first.headers["Content-Security-Policy"]
    assert "unsafe" not in first.headers["Content-Security-Policy"]
    again = site.client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


def test_every_file_it_names_is_there(site: Site) -> None:
    named = re.findall(r'(?:src|href)="([^"]+)"', site.client.get("/").text)
    assert len(named) > 3
    for path in named:
        response = site.client.get(path, buffered=True)
        assert response.status_code == 200, path
        assert "immutable" in response.headers["Cache-Control"]


def test_types_and_caching(site: Site) -> None:
    build = build_of(site)
    for name, kind in (("app.js", "text/javascript"), ("app.css", "text/css"), ("icon.svg", "image/svg+xml")):
        response = site.client.get(f"/ui/{build}/{name}", buffered=True)
        assert response.mimetype == kind
        old = site.client.get(f"/ui/000000000000/{name}", buffered=True)
        assert old.data == response.data and "immutable" not in old.headers["Cache-Control"]
        headers = {"If-None-Match": response.headers["ETag"]}
        assert site.client.get(f"/ui/{build}/{name}", headers=headers, buffered=True).status_code == 304


@pytest.mark.parametrize(
    "name", ["../docs/index.html", "..%2f..%2fapp.py", "%2e%2e/%2e%2e/app.py", "nothing.js", "core"]
)
def test_nothing_else_is_served(site: Site, name: str) -> None:
    assert site.client.get(f"/ui/{build_of(site)}/{name}", buffered=True).status_code == 404


def test_only_the_local_operator_is_given_a_session(site: Site) -> None:
    response = site.call("POST", "/api/v1/auth/session", {})
    assert response.status_code == 201 and response.get_json()["data"]["csrf_token"]
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie


def test_no_file_brings_scripts_or_styles_from_elsewhere() -> None:
    own = [p for p in STATIC.rglob("*") if p.suffix in (".js", ".css", ".html") and "vendor" not in p.parts]
    assert len(own) > 20
    for path in own:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://", text), path
        assert "innerHTML" not in text and "eval(" not in text, path


def test_libraries_have_their_licences() -> None:
    listed = (Path(STATIC) / "vendor" / "README.md").read_text(encoding="utf-8")
    for path in (Path(STATIC) / "vendor").glob("*.js"):
        assert path.name in listed
    for name in re.findall(r"`([\w-]+\.LICENSE)`", listed):
        assert (Path(STATIC) / "vendor" / name).is_file()
