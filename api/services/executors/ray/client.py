"""Ray's dashboard, over HTTP: the Jobs API and the state of the nodes."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from api.services.executors.cluster import EngineError

SECONDS = 10.0  # for one answer, all of it
MOST_BYTES = 32 << 20
MOST_NODES = 10_000
Json = dict[str, Any]


class RayError(EngineError):
    """`status`: what Ray answered, if it did."""

    def __init__(self, message: str, *, transient: bool, status: int = 0) -> None:
        super().__init__(message, transient=transient)
        self.status = status


@dataclass(frozen=True, slots=True)
class Row:
    """One job, as Ray has it."""

    status: str  # PENDING, RUNNING, SUCCEEDED, FAILED, STOPPED
    message: str = ""
    node: str | None = None  # the id of its node
    code: int | None = None  # of the entrypoint


class Ray:
    """`address`: of the dashboard (http://head:8265). Each call is one connection, without redirects and proxies."""

    def __init__(self, address: str, token: str = "", *, seconds: float = SECONDS) -> None:
        self.address = address
        self.seconds = seconds
        parts = urlsplit(address)
        self._tls, self._host, self._base = parts.scheme == "https", parts.hostname or "", parts.path
        self._port = parts.port or (443 if self._tls else 8265)
        self._token = token

    # ---- jobs

    def submit(self, name: str, body: Mapping[str, Any]) -> None:
        """Hands it over under a name that it can be found by, once: Ray refuses a second of that name."""
        try:
            self._json("POST", "/api/jobs/", {**body, "submission_id": name}, slow=True)
        except RayError as problem:
            if problem.status and problem.status < 500:
                raise
            if self.job(name) is None:  # the answer may have been lost, and the job not
                raise

    def job(self, name: str) -> Row | None:
        try:
            return _row(self._json("GET", _of(name)))
        except RayError as problem:
            if problem.status == 404:
                return None
            raise

    def jobs(self) -> dict[str, Row]:
        """All of them, ours and others'."""
        found = self._json("GET", "/api/jobs/")
        return {str(each["submission_id"]): _row(each) for each in found if each.get("submission_id")}

    def output(self, name: str) -> str:
        """What the entrypoint printed, as long as its node lives."""
        return str(self._json("GET", f"{_of(name)}/logs").get("logs") or "")

    def stop(self, name: str) -> None:
        """Raises nothing where it is over already."""
        self._json("POST", f"{_of(name)}/stop")

    def delete(self, name: str) -> None:
        self._json("DELETE", _of(name))

    # ---- the cluster

    def version(self) -> str:
        return str(self._json("GET", "/api/version").get("ray_version"))

    def nodes(self) -> list[Json]:
        found = self._json("GET", f"/api/v0/nodes?detail=1&limit={MOST_NODES}")
        rows: list[Json] = found["data"]["result"]["result"]
        return rows

    def status(self) -> Json:
        """What the nodes' resources are used for, with the time of that report."""
        found: Json = self._json("GET", "/api/cluster_status")["data"]["clusterStatus"] or {}
        return found

    # ---- HTTP

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, slow: bool = False) -> Any:
        try:
            status, raw = self._exchange(method, path, body, self.seconds * (3 if slow else 1))
        except (OSError, http.client.HTTPException) as problem:
            told = str(getattr(problem, "strerror", None) or problem) or type(problem).__name__
            raise RayError(f"{self.address} cannot be reached: {told}", transient=True) from problem
        if status in (401, 403):
            what = "does not know the token" if self._token else "asks for a token"
            raise RayError(f"{self.address} {what} (TRAINYARD_RAY_TOKEN)", transient=False, status=status)
        if status != 200:
            words = raw.decode(errors="replace").strip().splitlines() or ["no word of why"]
            raise RayError(f"Ray answered {status}: {words[-1][:300]}", transient=status >= 500, status=status)
        try:
            return json.loads(raw)
        except ValueError:
            raise RayError(f"{self.address} answers what is not Ray's: no JSON", transient=True) from None

    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None, seconds: float) -> tuple[int, bytes]:
        kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=seconds)
        try:
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            data = None if body is None else json.dumps(body).encode()
            if data is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, self._base + path, data, headers)
            response = connection.getresponse()
            return response.status, _all(response, time.monotonic() + seconds)
        finally:
            connection.close()


def _all(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """A socket's timeout holds for one read; this for all of them, and for how much there may be."""
    pieces, size = [], 0
    while piece := response.read1(1 << 16):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES or time.monotonic() > deadline:
            raise TimeoutError("the answer is too long or too slow")
    return b"".join(pieces)


def _of(name: str) -> str:
    return f"/api/jobs/{quote(name, safe='')}"


def _row(found: Json) -> Row:
    code = found.get("driver_exit_code")
    return Row(
        status=str(found.get("status")),
        message=str(found.get("message") or ""),
        node=found.get("driver_node_id"),
        code=code if isinstance(code, int) else None,
    )
