"""Our list of arguments and names against the ultralytics that is installed."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from api.services.engines.interpreter import Interpreter
from api.services.engines.ultralytics import arguments, models
from tests.yolo.conftest import PYTHON

pytestmark = pytest.mark.yolo
_KINDS = {
    "integer": {"int", "float"},
    "number": {"float", "int"},
    "boolean": {"bool"},
    "text": {"str"},
    "integers": {"list"},
}
_LINE = re.compile(r"^(\w+):.*?# \((.*?)\)", re.MULTILINE)


@pytest.fixture(scope="module")
def package() -> Path:
    path = Interpreter(PYTHON).path
    assert path is not None, PYTHON
    found = list(path.parent.parent.glob("lib*/python3*/site-packages/ultralytics"))
    assert found, f"there is no ultralytics beside {PYTHON} (TRAINYARD_YOLO_PYTHON)"
    return found[0]


def test_every_argument_is_in_the_list_or_refused(package: Path) -> None:
    theirs = set(yaml.safe_load((package / "cfg" / "default.yaml").read_text()))
    ours = set(arguments.known()) | set(arguments.refused()) | set(arguments.other())
    theirs.add("save_dir")  # known to its trainer all the same
    assert theirs == ours, f"new: {sorted(theirs - ours)}; gone: {sorted(ours - theirs)}"
    assert not set(arguments.known()) & (set(arguments.refused()) | set(arguments.other()) | {"device", "pretrained"})


def test_types_are_theirs(package: Path) -> None:
    theirs = dict(_LINE.findall((package / "cfg" / "default.yaml").read_text()))
    for name, rule in arguments.known().items():
        kinds = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
        told = {word.strip().partition("[")[0] for word in re.split(r"[|,]", theirs[name])}
        assert all(_KINDS[kind] & told for kind in kinds), (name, kinds, told)


def test_names_are_theirs(package: Path) -> None:
    code = "import json; from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES as n; print(json.dumps(sorted(n)))"
    told = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert set(models.known_weights()) <= set(json.loads(told.stdout.splitlines()[-1]))
    files = {path.name for path in (package / "cfg" / "models").rglob("*.yaml")}
    for name in models.known_architectures():
        shared = re.sub(r"^(yolo(?:v?\d+))[nsmlx]\.yaml$", r"\1.yaml", name)
        assert {name, shared} & files or name == models.TINY, name
