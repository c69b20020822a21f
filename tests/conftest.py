"""What every test stands on: no keys and settings of the person who runs it, a fresh home, and what Debian brings.

A test is skipped only where a tool that it needs is missing on somebody's own computer; in CI a skip is a failure, so
that a green run there means that every promise was looked at. Fixtures of one room live with that room's tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROVIDER_KEYS = ("STABILITY_API_KEY", "FAL_KEY", "WAVESPEED_API_KEY", "EMPIRIOLABS_API_KEY")
# the one honest reason to skip in CI: a promise made for a system that CI is not
OTHER_SYSTEM = "only on "


def _installed_files(package: str) -> list[Path]:
    """All files of an installed Debian package; none if it is not installed or this is no Debian system."""
    if shutil.which("dpkg-query") is None:
        return []
    listed = subprocess.run(["dpkg-query", "--listfiles", package], capture_output=True, text=True, check=False)
    return [path for path in map(Path, listed.stdout.splitlines()) if path.is_file()]


def _recordings() -> list[Path]:
    return sorted(path for path in _installed_files("sonic-pi-samples") if path.suffix == ".flac")


DEBIAN_PACKAGES: dict[str, Callable[[], bool]] = {
    "ffmpeg": lambda: shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None,
    "sonic-pi-samples": lambda: bool(_recordings()),
}


def _in_ci() -> bool:
    return os.environ.get("CI") == "true"


def _need_debian(package: str) -> None:
    if not DEBIAN_PACKAGES[package]():
        pytest.skip(f"needs {package}, which scripts/install-test-packages installs on Debian and Ubuntu")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs_debian"):
        for package in marker.args:
            _need_debian(package)


def _skip_is_failure_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not _in_ci() or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if reason.startswith(OTHER_SYSTEM):
        return
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped in CI, where every test has to run: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[misc]
    _skip_is_failure_in_ci(report)
    return report  # type: ignore[return-value]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report: pytest.CollectReport = yield  # type: ignore[misc]
    _skip_is_failure_in_ci(report)
    return report  # type: ignore[return-value]


@pytest.fixture(scope="session", autouse=True)
def _clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test, and no process that a test starts, sees the person's keys, settings or home folder."""
    with pytest.MonkeyPatch.context() as patch:
        # pip's downloads are worth keeping between runs, and are the only thing taken from the real home
        if "PIP_CACHE_DIR" not in os.environ and (Path.home() / ".cache" / "pip").is_dir():
            patch.setenv("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip"))
        for name in os.environ.copy():
            if name.startswith("CLIPBRIDGE_") or name in PROVIDER_KEYS:
                patch.delenv(name)
        _move_in(patch, tmp_path_factory.mktemp("person"))
        yield


def _move_in(patch: pytest.MonkeyPatch, person: Path) -> None:
    patch.setenv("HOME", str(person))
    patch.setenv("USERPROFILE", str(person))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_MUSIC_DIR"):
        patch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty clipbridge home of this test's own, named in CLIPBRIDGE_HOME; the person's home folder is fresh too."""
    person = tmp_path / "person"
    person.mkdir()
    _move_in(monkeypatch, person)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("CLIPBRIDGE_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def recordings() -> list[Path]:
    """Real recordings as FLAC files: loops and single sounds, mono and stereo, sorted by name.

    They are the system's: copy one before you change or move it.
    """
    _need_debian("sonic-pi-samples")
    return _recordings()
