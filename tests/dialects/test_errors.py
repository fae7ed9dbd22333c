"""Every error under /api/v1 is enveloped, and nothing that a client sends makes one of the service's own."""

from __future__ import annotations

import gc
import re
from pathlib import Path
from typing import Any

import pytest

from api.models.dialect import RESERVED_IDS
from api.services.access import RequestHead
from api.services.gpus.fake import FakeSource
from api.web import build_gate
from tests.dialects.conftest import Site, envelope, make_site

JSON = "application/json"


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/training", "/api/v1/training/", "/api/v1/training/list/",
            "/api/v1/training//list", "/api/v1/gpu/status/", "/api/v1/system", "/api/v1/engines/", "/api/v1/docs/",
            "/api/v1/training/x/nothing", "/api/v1/training/x/progress/", "/api/v1/../healthz", "/API/v1/engines",
            "/api/v1/training/%00", "/api/v1/training/%ff", "/api/v1/training/a%0a", "/api/v1/training/a%20b",
            "/api/v1/training/..%2f..%2fetc%2fpasswd", "/api/v1/training/.hidden", "/api/v1/training/-x",
            "/api/v1/training/x'%20OR%20'1'='1", "/api/v1/training/%3Cscript%3E", "/api/v1/training/" + "x" * 101,
            "/api/v1/training/%D9%A1", "/api/v1/training/%F0%9F%98%80", "/api/v1/training/%ED%A0%80",
            "/api/v1/training/" + "x/" * 2000,
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_there_is_nothing(self, site: Site, method: str, path: str) -> None:
        assert site.error(method, path, 404)["data"] is None

    @pytest.mark.parametrize("job_id", ["x", "job-abcdefgh", "task_1", "17", "a.b", "list2", "x" * 100, "null", "None"])
    def test_ids_of_nobody(self, site: Site, job_id: str) -> None:
        assert job_id in site.error("GET", f"/{job_id}", 404)["message"]

    def test_words_are_no_ids(self, site: Site) -> None:
        for method, path, allowed in (
            ("DELETE", "/list", {"GET", "HEAD", "OPTIONS"}),
            ("GET", "/start", {"POST", "OPTIONS"}),
            ("DELETE", "/start", {"POST", "OPTIONS"}),
            ("DELETE", "/events", {"GET", "HEAD", "OPTIONS"}),
        ):
            response = site.call(method, path)
            assert response.status_code == 405 and envelope(response)
            assert set(response.headers["Allow"].split(", ")) == allowed
        for word in RESERVED_IDS:
            for path in (f"/{word}/progress", f"/stop/{word}"):
                method = "POST" if "stop" in path else "GET"
                assert site.call(method, path).status_code == 404

    def test_a_path_without_its_slash_is_another(self, site: Site) -> None:
        """But in the one dialect whose paths end with one."""
        for path in ("/api/v1/training/list/", "/api/v1/ocr/documents/", "/api/v1/ocr/models/1/"):
            assert site.error("GET", path, 404)
        response = site.call("GET", "/api/token-auth")  # a GET of it there is not, with or without
        assert (response.status_code, list(response.get_json())) == (404, ["error"])
        response = site.call("POST", "/api/token-auth?a=b%20c", who=None)
        assert (response.status_code, response.headers["Location"]) == (308, "/api/token-auth/?a=b%20c")


class TestMethods:
    @pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "CONNECT", "FOO", "post"])
    def test_not_allowed(self, site: Site, method: str) -> None:
        response = site.call(method, "/list")
        assert response.status_code == 405 and envelope(response)
        assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}

    def test_options(self, site: Site) -> None:
        response = site.call("OPTIONS", "/api/v1/training/x")
        assert (response.status_code, response.data) == (200, b"")
        assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "DELETE", "PATCH"}
        site.error("OPTIONS", "/api/v1/nothing", 404)

    def test_heads(self, site: Site) -> None:
        job = site.queued()
        for path in ("/list", f"/{job.id}", f"/{job.id}/logs", "/api/v1/engines", "/api/v1/gpu/status"):
            full, head = site.call("GET", path), site.call("HEAD", path)
            assert (head.status_code, head.data) == (200, b"")
            assert head.mimetype == full.mimetype
        assert site.call("HEAD", "/nobody").status_code == 404
        assert site.call("HEAD", "/start").status_code == 405


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"{", b"}", b"\xff", b"{'a': 1}", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 1e999}',
            '{"a": 1}'.encode("utf-16"), '{"a": 1}'.encode("utf-32-le"), b'{"a": 1,}', b'{"a": 1} x', b'{"a": ' + b"9" * 5000 + b"}", b'"\\ud8', b" ", b"[" * 100_000,
            b'{"model_type": "sdxl", "dataset": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
        ],
    )  # fmt: skip
    def test_no_json(self, site: Site, body: bytes) -> None:
        assert "JSON" in site.error("POST", "/start", 400, data=body, content_type=JSON)["message"]

    @pytest.mark.parametrize("depth", [10, 100, 500, 900, 950, 990])
    def test_deep_but_json(self, site: Site, depth: int) -> None:
        for where in ('"dataset"', '"config"', '"env"', '"tags"', '"surprise"', '"gpu_id"'):
            for opening, closing in (("[", "]"), ('{"a":', "}")):
                text = '{"model_type":"sdxl",' + where + ":" + opening * depth + "1" + closing * depth + "}"
                response = site.call("POST", "/start", data=text.encode(), content_type=JSON)
                assert response.status_code in (400, 422) and envelope(response)

    @pytest.mark.parametrize("body", [b"[]", b'"x"', b"5", b"true", b"[[]]", b"null"])
    def test_json_but_no_object(self, site: Site, body: bytes) -> None:
        refused = site.error("POST", "/start", 422, data=body, content_type=JSON)
        assert refused["data"]["errors"][0]["field"] == "body"

    @pytest.mark.parametrize("body", [b"", b"{}"])
    def test_nothing(self, site: Site, body: bytes) -> None:
        refused = site.error("POST", "/start", 422, data=body, content_type=JSON)
        assert {e["field"] for e in refused["data"]["errors"]} == {"model_type", "dataset"}

    @pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml", "x"])
    def test_not_called_json(self, site: Site, kind: str | None) -> None:
        site.error("POST", "/start", 415, data=b"{}", content_type=kind)

    @pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/vnd.x+json", "APPLICATION/JSON"])
    def test_called_json(self, site: Site, kind: str) -> None:
        site.error("POST", "/start", 422, data=b"{}", content_type=kind)

    def test_too_long(self, site: Site) -> None:
        limit = site.app.config["MAX_CONTENT_LENGTH"]
        site.app.config["MAX_CONTENT_LENGTH"] = 1000
        try:
            site.error("POST", "/start", 413, data=b" " * 1001, content_type=JSON)
        finally:
            site.app.config["MAX_CONTENT_LENGTH"] = limit

    def test_an_answer_is_no_longer_than_it_need_be(self, site: Site) -> None:
        """Whatever was asked: so many mistakes, so long names."""
        for body in ({f"k{n}": 1 for n in range(20_000)}, {"k" * 100_000: 1}, {"tags": [1] * 10_000}):
            response = site.call("POST", "/start", body)
            told = envelope(response)["data"]["errors"]
            assert response.status_code == 422 and 1 <= len(told) <= 50
            assert len(response.data) < 20_000
        assert envelope(site.call("POST", "/start", {f"k{n}": 1 for n in range(60)}))["message"].endswith("and 12 more")

    def test_a_refused_body_is_forgotten_at_once(self, site: Site) -> None:
        """And not when Python's collector comes: the frames of marshmallow that hold it are gone with the answer."""
        gc.collect()
        gc.disable()
        try:
            assert site.call("POST", "/start", {"tags": {"x": 918273645}}).status_code == 422
            dicts = [each for each in gc.get_objects() if type(each) is dict]
        finally:
            gc.enable()
        assert not [each for each in dicts if each.get("tags") == {"x": 918273645}]

    def test_strings_that_are_hard_to_say(self, site: Site) -> None:
        for text in ("\ud800", "a\0b", "\u202e", "😀", "\x1b[31m", "'; DROP TABLE jobs; --", "\r\nX-Evil: 1"):
            body = {"model_type": text, "dataset": {text: text}, "config": {text: text}, text: text}
            response = site.call("POST", "/start", body)
            assert response.status_code == 422 and envelope(response)
            assert "X-Evil" not in response.headers

    def test_large_whole_numbers(self, site: Site) -> None:
        for number in (2**63, -(2**63) - 1, 10**30, 10**4000):
            for body in ({"gpu_id": number}, {"priority": number}, {"num_gpus": number}, {"description": number}):
                assert site.call("POST", "/start", site.request(**body)).status_code == 422
            dataset = {**site.request()["dataset"], "num_repeats": number}
            assert site.call("POST", "/start", site.request(dataset=dataset)).status_code == 422


class TestUnexpected:
    def test_500_says_where_to_look_and_nothing_else(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def explode(*_: Any, **__: Any) -> None:
            raise RuntimeError("a secret of the house")

        monkeypatch.setattr(type(site.services.jobs), "page", explode)
        response = site.client.get(
            "/api/v1/training/list",
            headers={"X-Request-ID": "abc-123"},
            environ_overrides={"trainyard.actor": site.operator},
        )
        assert response.status_code == 500
        body = envelope(response)
        assert body["data"] is None and "abc-123" in body["message"]
        assert response.headers["X-Request-ID"] == "abc-123"
        assert "secret" not in response.text and "Traceback" not in response.text
        assert "a secret of the house" in caplog.text

    def test_request_ids(self, site: Site) -> None:
        assert site.call("GET", "/list", headers={"X-Request-ID": "mine.1"}).headers["X-Request-ID"] == "mine.1"
        for bad in ("a b", "x" * 65, "<script>", ""):
            given = site.call("GET", "/list", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
            assert re.fullmatch(r"[0-9a-f]{16}", given)
        ids = {site.call("GET", path).headers["X-Request-ID"] for path in ("/list", "/nobody", "/x/y/z", "/healthz")}
        assert len(ids) == 4

    def test_without_an_actor(self, site: Site) -> None:
        for method, path in (("GET", "/list"), ("POST", "/start"), ("GET", "/x"), ("GET", "/events")):
            response = site.call(method, path, site.request() if method == "POST" else None, who=None)
            assert response.status_code == 401 and response.headers["WWW-Authenticate"] == "Token"
            assert envelope(response)


def head(origin: str) -> RequestHead:
    headers = {"host": "127.0.0.1", "origin": origin}
    return RequestHead("GET", "/api/v1/training/jobs", "", headers, frozenset(), "127.0.0.1", 4000, "127.0.0.1", 80)


def test_what_a_page_of_a_configured_origin_may_send_and_read(tmp_path: Path) -> None:
    ui = "https://ui.example"
    site = make_site(tmp_path, FakeSource(0), cors_origins=ui)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,idempotency-key"}
    try:
        preflight = site.call("OPTIONS", "/api/v1/training/jobs", headers={"Origin": ui, **asked}, who=None)
        assert preflight.headers["Access-Control-Allow-Origin"] == ui
        may = {name.strip().lower() for name in preflight.headers["Access-Control-Allow-Headers"].split(",")}
        assert {"authorization", "content-type", "idempotency-key"} <= may
        answer = site.call("GET", "/list", headers={"Origin": ui})
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
        gate = build_gate(site.services)  # in front of the application, with answers of its own
        refused = gate.refusal(head("https://ui.example"), 401, "no")
        assert ("Access-Control-Allow-Origin", ui) in refused.headers
        assert "Access-Control-Allow-Origin" not in dict(gate.refusal(head("https://evil.example"), 401, "no").headers)
        for other in ("https://evil.example", "null", "https://ui.example.evil"):
            assert "Access-Control-Allow-Origin" not in site.call("GET", "/list", headers={"Origin": other}).headers
    finally:
        site.services.db.close()
