"""Datasets through a real service: large uploads, uploads that stop half-way, and crashes in between."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.acceptance.harness import Service, wait_for
from tests.unit import yolo_sets as sets

Maker = Callable[..., Service]
MIB = 1 << 20


def upload(service: Service, content: bytes | None = None) -> Any:
    files = {"file": ("x.zip", content or sets.packed(sets.flat()))}
    return service.call("POST", "/api/v1/datasets/upload", files=files)


def listed(service: Service) -> list[Any]:
    return list(service.get("/api/v1/datasets")["datasets"])


def places(service: Service) -> list[str]:
    """What lies among the datasets, the folder of drafts aside; that must be empty."""
    root = service.data / "datasets"
    assert list((root / ".yolo-drafts").iterdir()) == []
    return sorted(f"{path.parent.name}/{path.name}" for path in root.glob("ds_*/*"))


@pytest.mark.parametrize("point", ["dataset.unpacked", "dataset.named", "dataset.prepared", "dataset.removed"])
def test_a_crash_leaves_nothing_half(make_service: Maker, point: str) -> None:
    """F38."""
    service = make_service().start(fault=point)
    with contextlib.suppress(httpx.TransportError):  # the answer dies with the service
        made = upload(service).expect(200)["dataset_id"]
        if point == "dataset.prepared":
            service.call("POST", f"/api/v1/datasets/{made}/prepare", {})
        service.call("DELETE", f"/api/v1/datasets/{made}")
    assert service.wait_dead() == -signal.SIGKILL
    service.start()
    found = listed(service)
    if point != "dataset.prepared":
        assert found == [] and places(service) == []
        made = upload(service).expect(200)["dataset_id"]
    else:
        assert [(dataset["status"], dataset["versions"]) for dataset in found] == [("uploaded", [])]
        assert places(service) == [f"{made}/source"]
    assert service.call("POST", f"/api/v1/datasets/{made}/prepare", {}).expect(200)["version"] == "v1"
    assert places(service) == [f"{made}/source", f"{made}/v1"]


def test_a_child_does_not_outlive_the_service(make_service: Maker) -> None:
    service = make_service().start()
    large = sets.picture(1, (5000, 5000))  # some time to decode
    files = {f"{number}.png": large for number in range(16)}
    made = upload(service, sets.packed(files)).expect(200)["dataset_id"]
    parent = psutil.Process(service.pid)
    with contextlib.suppress(httpx.TimeoutException):
        httpx.post(f"{service.url}/datasets/{made}/prepare", json={}, timeout=0.5)
    (child,) = wait_for(lambda: [p for p in parent.children() if "yolo_prepare" in " ".join(p.cmdline())], 10)
    service.kill()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10, "the child to end")
    service.start()
    assert places(service) == [f"{made}/source"]
    assert [dataset["status"] for dataset in listed(service)] == ["uploaded"]


def body(size: int) -> Iterator[bytes]:
    """A form with a zip of random images of about this many bytes, made while it is sent."""
    yield b'--XX\r\nContent-Disposition: form-data; name="file"; filename="big.zip"\r\n\r\n'
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", allowZip64=True) as archive:  # type: ignore[arg-type]
        for number in range(size // (8 * MIB)):
            archive.writestr(f"images/{number}.bmp", os.urandom(8 * MIB))
            yield pipe.taken()
    yield pipe.taken() + b"\r\n--XX--\r\n"


class _Pipe(io.RawIOBase):
    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        data, self.parts = b"".join(self.parts), []
        return data


def peak(pid: int) -> int:
    """The most memory (bytes) that a process had since `forget_peak`."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", [300 * MIB, pytest.param(2048 * MIB, marks=pytest.mark.slow)], ids=["300MB", "2GB"])
def test_a_large_upload_takes_no_memory(make_service: Maker, size: int) -> None:
    service = make_service().start()
    upload(service).expect(200)
    forget_peak(service.pid)
    before = peak(service.pid)
    headers = {"Content-Type": "multipart/form-data; boundary=XX"}
    answer = httpx.post(f"{service.url}/datasets/upload", content=body(size), headers=headers, timeout=500)
    grown = peak(service.pid) - before
    assert answer.status_code == 200, answer.text
    print(f"memory grew by {grown / MIB:.1f} MiB over an upload of {answer.json()['size'] / MIB:.0f} MiB")
    assert answer.json()["size"] >= size * 0.9 and answer.json()["image_count"] == size // (8 * MIB)
    assert grown < 48 * MIB
    assert list((service.data / "tmp").iterdir()) == []


def test_an_upload_that_stops_half_way(make_service: Maker) -> None:
    """F37."""
    service = make_service().start()
    where = urlsplit(service.url)
    with socket.create_connection((where.hostname, where.port)) as client:
        head = f"POST /datasets/upload HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {900 * MIB}\r\n"
        client.sendall(f"{head}Content-Type: multipart/form-data; boundary=XX\r\n\r\n".encode())
        chunks = body(64 * MIB)
        for chunk in chunks:
            client.sendall(chunk)
    assert listed(service) == [] and places(service) == []

    def freed() -> bool:
        opened = [os.readlink(f"/proc/{service.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{service.pid}/fd")]
        return not any("/tmp/" in name and "deleted" in name for name in opened)

    wait_for(freed, 20, "the spool to be freed")


def test_more_than_may_be_sent(make_service: Maker) -> None:
    service = make_service(environ={"TRAINYARD_MAX_UPLOAD_BYTES": str(32 * MIB)}).start()
    headers = {"Content-Type": "multipart/form-data; boundary=XX", "Content-Length": str(64 * MIB)}
    for path, told in (
        ("/datasets/upload", {"detail"}),
        ("/api/v1/datasets/upload", {"code", "message", "data", "timestamp"}),
    ):
        client = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=20)
        client.request("POST", path, headers=headers)  # of the body nothing is sent
        answer = client.getresponse()
        assert answer.status == 413 and set(json.loads(answer.read())) == told
        client.close()
    big = b"x" * (17 * MIB)
    refused = httpx.post(f"{service.url}/datasets/register", content=big, headers={"Content-Type": "application/json"})
    assert refused.status_code == 413
