"""Real recordings make the round trip by folder, by HTTP and by command line, and each take fits its clip's hole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.running import RunningDaemon, running_daemon, until

pytestmark = pytest.mark.needs_debian("sonic-pi-samples")
EVERY = 12  # of the recordings: about a dozen, from short drum sounds to loops of some seconds


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path_factory.mktemp("recordings") / "home") as daemon:
        yield daemon


@pytest.fixture
def clips(recordings: list[Path], tmp_path: Path) -> list[Path]:
    """Some recordings, as they are (FLAC)."""
    return [Path(shutil.copy(path, tmp_path)) for path in recordings[::EVERY]]


def assert_fits(take: dict[str, Any], clip: Path) -> None:
    made, given = soundfile.info(take["path"]), soundfile.info(clip)
    assert made.format == "WAV"
    assert (made.frames, made.samplerate, made.channels) == (given.frames, given.samplerate, given.channels)
    assert made.subtype == given.subtype
    if take["lufs"] is not None and take["source_lufs"] is not None:
        below_ceiling = any("ceiling" in note for note in take["notes"])
        assert abs(take["lufs"] - take["source_lufs"]) <= 0.3 or below_ceiling, take


def test_by_folder(daemon: RunningDaemon, clips: list[Path]) -> None:
    folder = daemon.drop / "lo-fi-tape"
    folder.mkdir()
    kept = {clip.name: Path(shutil.copy(clip, clip.with_suffix(".kept"))) for clip in clips}
    for clip in clips:
        clip.rename(folder / clip.name)
    done = daemon.drop / "_Done"
    until(lambda: all((done / name).is_file() for name in kept), "all clips to be done")
    by_source = {Path(job["request"]["source"]).name: job for job in daemon.jobs() if job["trigger"] == "folder"}
    for name, original in kept.items():
        (take,) = by_source[name]["takes"]
        assert_fits(take, original)
        assert Path(take["path"]).name == f"{Path(name).stem} [lo-fi-tape].wav"
        assert (done / name).read_bytes() == original.read_bytes(), "the clip itself is untouched"


def test_by_http_with_regions(daemon: RunningDaemon, clips: list[Path]) -> None:
    for clip in clips:
        given = soundfile.info(clip)
        start, end = given.frames // 4, given.frames * 3 // 4
        region = {"start": start, "end": end, "unit": "frames"}
        job = daemon.ended(daemon.submit(source=str(clip), region=region, preset="dub-space", seed=7)["id"])
        assert job["state"] == "delivered", job
        made = soundfile.info(job["takes"][0]["path"])
        assert (made.frames, made.samplerate, made.channels) == (end - start, given.samplerate, given.channels)


def test_by_command_line(daemon: RunningDaemon, clips: list[Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bridge", "--home", daemon.facts["home"], "send", *map(str, clips)]
    command += ["--preset", "warm-tube", "--to", str(tmp_path / "takes"), "--wait", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    sent = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert sent.returncode == 0, sent.stderr
    jobs = json.loads(sent.stdout)
    assert [job["state"] for job in jobs] == ["delivered"] * len(clips)
    for job, clip in zip(jobs, clips, strict=True):
        assert_fits(job["takes"][0], clip)
        assert Path(job["takes"][0]["path"]).parent == tmp_path / "takes"
