"""What a person installs is whole: the wheel carries all that clipbridge needs, and runs where nothing else is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
RUNTIME_LOCK = ROOT / "requirements" / "runtime.txt"
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Runs a command to its end; gives its output, or fails with all that it said."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, f"{command} left with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pins(lock: Path) -> dict[str, Version]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): Version(version) for name, version in found}


# ---------------------------------------------------------------- the lock files


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_exact_versions_with_hashes_and_no_place_of_anybodys_computer(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")

    assert not re.search(r"://|^-|file:/| @ |(?:^|\s)/\w", text, re.MULTILINE)
    entries = re.split(r"\n(?=[A-Za-z0-9])", "\n" + text)[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==\S+ ", entry)
        assert "--hash=sha256:" in entry


def test_the_lock_holds_every_library_that_clipbridge_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = pins(RUNTIME_LOCK)

    for wanted in map(Requirement, project["dependencies"]):
        assert wanted.specifier.contains(locked[wanted.name.lower()]), wanted


def test_the_developers_tools_bring_no_other_version_of_what_a_person_runs() -> None:
    everything = pins(ROOT / "requirements" / "dev.txt")

    assert {name: everything[name] for name in pins(RUNTIME_LOCK)} == pins(RUNTIME_LOCK)


# ---------------------------------------------------------------- wheel and sdist


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel, the wheel made from the sdist as a package index would."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [wheel] = built.glob("clipbridge-*.whl")
    return wheel


def in_the_tree(folder: str, pattern: str) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob(pattern)}


def test_the_wheel_carries_modules_presets_migrations_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [metadata] = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
        [scripts] = [archive.read(name).decode() for name in names if name.endswith(".dist-info/entry_points.txt")]

    presets = in_the_tree("bridge/presets", "*.toml")
    migrations = in_the_tree("bridge/store/migrations/versions", "*.py")
    assert len(presets) >= 12
    assert migrations
    assert in_the_tree("bridge", "*.py") | presets | migrations <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert "License-Expression: MIT" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert "clipbridge = bridge.cli:main" in scripts


def test_the_wheel_carries_nothing_that_is_not_the_program(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"bridge"}


def test_the_sdist_carries_all_that_make_test_needs_and_nothing_made_by_it(built: Path) -> None:
    [sdist] = built.glob("clipbridge-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"pyproject.toml", "README.md", "LICENSE", "Makefile", "tests/conftest.py"} <= names
    assert in_the_tree("requirements", "*.txt") | in_the_tree("bridge", "*.py") <= names
    assert not [name for name in names if name.startswith((".venv", ".git/", "dist")) or "__pycache__" in name]


# ---------------------------------------------------------------- a clean computer


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the commands of a fresh environment: the wheel and the locked libraries, nothing else."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, with_pip=True)
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = (commands / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    run(*pip, "--require-hashes", "-r", RUNTIME_LOCK, cwd=folder)
    run(*pip, "--no-deps", wheel, cwd=folder)
    run(commands / "python", "-m", "pip", "check", cwd=folder)
    return commands


@pytest.fixture
def empty_home(tmp_path: Path) -> dict[str, str]:
    """The environment of a person who has never run clipbridge and set nothing."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP", "TMP") if name in os.environ}
    return {**kept, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "PYTHONUTF8": "1"}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "command", [("clipbridge",), ("python", "-m", "bridge")], ids=["clipbridge", "python -m bridge"]
)
def test_the_installed_command_says_what_it_can_do(
    installed: Path, empty_home: dict[str, str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    said = run(installed / command[0], *command[1:], "--help", cwd=tmp_path, env=empty_home)

    for name in ("run", "demo", "send", "jobs", "presets", "providers"):
        assert re.search(rf"\b{name}\b", said)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_installed_demo_takes_a_clip_there_and_back(
    installed: Path, empty_home: dict[str, str], tmp_path: Path
) -> None:
    said = run(installed / "clipbridge", "demo", cwd=tmp_path, env=empty_home)

    assert "delivered" in said
    assert ".png" in said
