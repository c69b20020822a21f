"""Old work leaves the disk; nothing that somebody still needs does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.config import Retention
from bridge.pipeline.retention import DAY_SECONDS, GB, clear

NOW = 1_800_000_000.0
MakeFolder = Callable[..., Path]


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    (tmp_path / "jobs").mkdir()
    return tmp_path / "jobs"


@pytest.fixture
def make(jobs: Path) -> MakeFolder:
    def make(name: str, *, age_days: float, size_bytes: int = 10) -> Path:
        folder = jobs / name
        folder.mkdir()
        file = folder / "source.wav"
        with file.open("wb") as opened:
            opened.truncate(size_bytes)
        for path in (file, folder):
            os.utime(path, (NOW - age_days * DAY_SECONDS,) * 2)
        return folder

    return make


def names(jobs: Path) -> set[str]:
    return {path.name for path in jobs.iterdir()}


def test_what_is_older_than_the_days_goes(jobs: Path, make: MakeFolder) -> None:
    make("old", age_days=31)
    make("young", age_days=29)
    assert clear(jobs, frozenset(), Retention(), NOW) == ["old"]
    assert names(jobs) == {"young"}


def test_what_lives_waits_or_is_uncertain_stays_whatever_its_age(jobs: Path, make: MakeFolder) -> None:
    make("old", age_days=400, size_bytes=30 * GB)
    assert clear(jobs, frozenset({"old"}), Retention(keep_days=0, keep_gb=0), NOW) == []
    assert names(jobs) == {"old"}


def test_a_job_that_came_a_moment_ago_keeps_its_folder_whatever_the_limits(jobs: Path, make: MakeFolder) -> None:
    make("new", age_days=0.001, size_bytes=30 * GB)
    assert clear(jobs, frozenset(), Retention(keep_days=0, keep_gb=0), NOW) == []


def test_over_the_size_the_oldest_go_first_and_no_more_than_needed(jobs: Path, make: MakeFolder) -> None:
    for name, age_days in [("c", 1), ("a", 3), ("b", 2)]:
        make(name, age_days=age_days, size_bytes=GB)
    assert clear(jobs, frozenset(), Retention(keep_gb=2), NOW) == ["a"]
    assert names(jobs) == {"b", "c"}


def test_what_must_stay_counts_too(jobs: Path, make: MakeFolder) -> None:
    make("living", age_days=9, size_bytes=2 * GB)
    make("ended", age_days=1, size_bytes=GB)
    assert clear(jobs, frozenset({"living"}), Retention(keep_gb=2), NOW) == ["ended"]


def test_a_folder_is_as_young_as_its_youngest_file(jobs: Path, make: MakeFolder) -> None:
    late = make("old", age_days=60) / "result.wav"
    late.touch()
    os.utime(late, (NOW, NOW))
    assert clear(jobs, frozenset(), Retention(), NOW) == []


def test_what_a_link_points_to_is_left_alone(jobs: Path, make: MakeFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "music"
    elsewhere.mkdir()
    (elsewhere / "mine.wav").write_bytes(b"mine")
    os.utime(elsewhere / "mine.wav", (0, 0))
    os.utime(elsewhere, (0, 0))
    (jobs / "link").symlink_to(elsewhere, target_is_directory=True)
    clear(jobs, frozenset(), Retention(keep_days=0, keep_gb=0), NOW)
    assert (elsewhere / "mine.wav").read_bytes() == b"mine"


def test_files_beside_the_folders_and_no_folder_at_all_are_no_trouble(jobs: Path, tmp_path: Path) -> None:
    (jobs / ".DS_Store").write_bytes(b"")
    assert clear(jobs, frozenset(), Retention(keep_days=0), NOW) == []
    assert clear(tmp_path / "nowhere", frozenset(), Retention(), NOW) == []


def test_a_folder_that_cannot_be_removed_does_not_stop_the_rest(
    jobs: Path, make: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    real = shutil.rmtree

    def rmtree(path: Path) -> None:
        if path.name == "stuck":
            raise PermissionError(13, "Permission denied")
        real(path)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    make("stuck", age_days=90)
    make("old", age_days=60)
    assert clear(jobs, frozenset(), Retention(), NOW) == ["old"]


def test_a_folder_that_goes_away_while_it_is_looked_at_is_no_trouble(
    jobs: Path, make: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("going", age_days=90)
    make("old", age_days=60)
    real = Path.rglob

    def rglob(self: Path, pattern: str) -> object:
        if self.name == "going":
            raise PermissionError(13, "Permission denied")
        return real(self, pattern)

    monkeypatch.setattr(Path, "rglob", rglob)
    assert "old" in clear(jobs, frozenset(), Retention(), NOW)
