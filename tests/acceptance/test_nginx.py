"""deploy/nginx.conf, for real: TLS, streams that are not held back, uploads larger than nginx would take."""

from __future__ import annotations

import io
import os
import shutil
import socket
import ssl
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Maker
from tests.acceptance.harness import REPO, parse_events, wait_for

pytestmark = pytest.mark.deploy
NAME = "trainyard.example.org"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def front(make_service: Maker, tmp_path: Path) -> Iterator[tuple[httpx.Client, str]]:
    """A client of nginx, and a token of an admin."""
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert program, "there is no nginx; `make test-deploy` installs it as root on Debian"
    service = make_service(environ={"TRAINYARD_TRUSTED_HOSTS": NAME, "TRAINYARD_AUTH": "required"}).start()
    run = ["run.py", "token", "create", "boss", "--data-dir", str(service.data)]
    add = ["run.py", "user", "add", "boss", "--admin", "--data-dir", str(service.data)]
    python = str(REPO / ".venv" / "bin" / "python")
    subprocess.run(
        [python, *add], cwd=REPO, input="correct horse battery\n", text=True, check=True, capture_output=True
    )
    token = subprocess.run([python, *run], cwd=REPO, text=True, check=True, capture_output=True).stdout.split()[-1]
    pem, key = tmp_path / "t.pem", tmp_path / "t.key"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={NAME}", "-days", "2"]
    make += ["-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key), "-out", str(pem)]
    subprocess.run(make, check=True, capture_output=True)
    https, http = free_port(), free_port()
    text = (REPO / "deploy" / "nginx.conf").read_text()
    for old, new in (
        ("listen 443", f"listen 127.0.0.1:{https}"), ("listen 80", f"listen 127.0.0.1:{http}"),
        ("/etc/ssl/trainyard.pem", str(pem)), ("/etc/ssl/trainyard.key", str(key)),
        ("http://127.0.0.1:8080", service.url),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    config = tmp_path / "nginx.conf"
    paths = "".join(
        f"{name}_temp_path {tmp_path}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    config.write_text(
        f"{user}daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{text}}}\n"
    )
    nginx = subprocess.Popen([program, "-p", str(tmp_path), "-c", str(config)], stderr=subprocess.PIPE)
    trust = ssl.create_default_context(cafile=str(pem))
    transport = httpx.HTTPTransport(verify=trust)
    client = httpx.Client(base_url=f"https://127.0.0.1:{https}", transport=transport, timeout=30, trust_env=False)
    client.headers["Host"] = NAME

    def up() -> bool:
        assert nginx.poll() is None, nginx.stderr.read() if nginx.stderr else ""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", https)) == 0

    wait_for(up, 20, "nginx to listen")
    try:
        yield client, token
    finally:
        client.close()
        nginx.terminate()
        nginx.communicate(timeout=10)


def test_through_nginx(front: tuple[httpx.Client, str], make_service: Maker) -> None:
    client, token = front
    known = {"Authorization": f"Bearer {token}"}
    extensions = {"extensions": {"sni_hostname": NAME}}
    assert client.get("/readyz", **extensions).status_code == 200
    for path in ("/api/v1/training/list", "/metrics"):
        assert client.get(path, **extensions).status_code == 401, "a proxy's client is never the local operator"
    assert client.get("/readyz", headers={"Host": "evil.example"}, **extensions).status_code == 400

    body = {"name": "sleep", "framework": "pytorch", "script_path": "/nowhere"}
    assert client.post("/api/v1/training/jobs", json=body, headers=known, **extensions).status_code in (403, 422)

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("images/a.png", b"\x89PNG" + os.urandom(4_000_000))
    files = {"file": ("set.zip", packed.getvalue())}
    sent = client.post("/api/v1/datasets/upload", files=files, headers=known, **extensions)
    assert sent.status_code in (200, 201), sent.text
    refused = client.post("/api/v1/datasets/upload", files=files, **extensions)
    assert refused.status_code == 401

    began = time.monotonic()
    with client.stream("GET", "/api/v1/training/events", headers=known, **extensions) as answer:
        if answer.status_code == 404:
            pytest.fail("there is no stream of all events")
        assert answer.headers["content-type"].startswith("text/event-stream")
        first = next(answer.iter_raw())
    assert first and time.monotonic() - began < 10, "the stream is not held back"
    assert parse_events(iter([first])) is not None
