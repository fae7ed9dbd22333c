"""What deploy/ holds, as far as it can be held against something without Docker and without systemd as PID 1."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
VARIABLES = {row.variable for row in SETTINGS}


class Compose(yaml.SafeLoader):
    """YAML with compose's own tag."""


Compose.add_constructor("!reset", lambda loader, node: None)


def compose(name: str) -> dict[str, Any]:
    with open(DEPLOY / name, encoding="utf-8") as file:
        found = yaml.load(file, Compose)  # a safe loader with one tag more
    assert isinstance(found, dict)
    return found


def test_every_variable_is_a_setting() -> None:
    for path in DEPLOY.iterdir():
        named = set(re.findall(r"TRAINYARD_[A-Z0-9_]+", path.read_text("utf-8")))
        assert named <= VARIABLES, path


def test_compose() -> None:
    service = compose("compose.yaml")["services"]["trainyard"]
    assert service["init"] is True and "data:/data" in service["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"]), "published on loopback alone"
    assert (ROOT / "deploy" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert compose("compose.cpu.yaml")["services"]["trainyard"] == {"deploy": None}
    yolo = compose("compose.yolo.yaml")["services"]["trainyard"]
    assert "60067:60067" in yolo["ports"] and "60067" in yolo["environment"]["TRAINYARD_PORT"]
    url = compose("compose.postgres.yaml")["services"]["trainyard"]["environment"]["TRAINYARD_DATABASE_URL"]
    assert url.startswith("postgresql+psycopg://trainyard:")


def test_the_image_has_what_the_service_reads() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    copied = [part for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for part in line.split()[:-1]]
    assert {"run.py", "api", "examples", "requirements.txt", "constraints.txt"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied)
    user = text.index("USER trainyard")
    assert "HEALTHCHECK" in text[user:] and "RUN" not in text[user:], "root ends before the service begins"


def test_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "trainyard.service").read_text("utf-8")
    assert "KillMode=process" in text and "OOMPolicy=continue" in text
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    python = ROOT / ".venv" / "bin" / "python"
    unit = tmp_path / "trainyard.service"
    unit.write_text(text.replace("/opt/trainyard/.venv/bin/python", str(python if python.exists() else "/bin/true")))
    told = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
