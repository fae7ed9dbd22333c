"""Settings: who wins, and that a wrong value stops the start with one line that names the setting."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from api.cli import main
from api.settings import SettingError, load


def test_flag_then_environment_then_file_then_default(tmp_path: Path) -> None:
    (tmp_path / "trainyard.toml").write_text('threads = 3\nworkers = 3\nstop_grace = 3\ntrusted_hosts = ["a", "b:1"]\n')
    environ = {"TRAINYARD_DATA_DIR": str(tmp_path), "TRAINYARD_THREADS": "4", "TRAINYARD_WORKERS": "4"}
    found = load({"threads": "5", "port": ["1", "2"]}, environ)
    assert (found.threads, found.workers, found.stop_grace, found.stall_seconds) == (5, 4, 3.0, 120.0)
    assert (found.port, found.trusted_hosts) == ((1, 2), ("a", "b:1"))


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "example.org", "https://example.org/", "https://example.org/ui", "HTTPS://example.org",
     "https://Example.org", "ftp://example.org", "https://", "https://a b", "https://example.org:port"],
)  # fmt: skip
def test_an_origin_that_no_browser_sends_is_refused(tmp_path: Path, origin: str) -> None:
    with pytest.raises(SettingError, match=r"^TRAINYARD_CORS_ORIGINS names .* no origin"):
        load({"data_dir": str(tmp_path)}, {"TRAINYARD_CORS_ORIGINS": f"https://fine.example,{origin}"})


@pytest.mark.parametrize("origin", ["https://example.org", "http://localhost:5173", "http://[::1]:8080"])
def test_an_origin(tmp_path: Path, origin: str) -> None:
    assert load({"data_dir": str(tmp_path), "cors_origins": f" {origin} ,"}, {}).cors_origins == (origin,)


@pytest.mark.parametrize("host", ["gpu.lab", "gpu.lab:8443", "10.0.0.5", "fd00::5", "[fd00::5]", "[fd00::5]:8080"])
def test_a_host(tmp_path: Path, host: str) -> None:
    assert load({"data_dir": str(tmp_path), "trusted_hosts": host}, {}).trusted_hosts == (host,)


@pytest.mark.parametrize("host", ["a b", "https://example.org", "example.org/x", "*", "example.org:", "[::1"])
def test_a_host_that_is_none_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingError, match=r"^TRAINYARD_TRUSTED_HOSTS names .* no host"):
        load({"data_dir": str(tmp_path)}, {"TRAINYARD_TRUSTED_HOSTS": host})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("data_dir", "/proc/nothing"), ("config_dir", "/proc/nothing"), ("log_dir", "/proc/nothing"),
        ("output_dir", "/dev/null/x"), ("database_url", "sqlite:////proc/nothing.db"), ("host", "192.0.2.1"),
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    value: str,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)  # a start moves it, for the whole process
    monkeypatch.setattr("api.logs.configure", lambda kind: None)
    monkeypatch.setenv("TRAINYARD_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TRAINYARD_PORT", "0")
    monkeypatch.setenv(f"TRAINYARD_{setting.upper()}", value)
    assert main([]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"TRAINYARD_{setting.upper()}" in err and value.removeprefix("sqlite:///") in err


def test_a_word_that_is_no_command_is_told_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["users"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "users" in told and "workspace" in told
