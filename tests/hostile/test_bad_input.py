"""What people really drop into a folder: a sentence for each, nothing lost, and the daemon goes on.

Each file goes both ways: into Drop of a real daemon, and by name over HTTP.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.running import RunningDaemon, running_daemon, until

RATE = 48_000
UNFINISHED_SECONDS = "1.5"


def tone(frames: int = RATE // 2, channels: int = 2, rate: int = RATE) -> np.ndarray[Any, Any]:
    """Half a second of two tones, shape (frames, channels)."""
    seconds = np.arange(frames)[:, None] / rate
    return 0.3 * np.sin(2 * np.pi * 220 * seconds * np.arange(1, channels + 1)).astype(np.float32)


def sound(path: Path, data: np.ndarray[Any, Any] | None = None, rate: int = RATE, **how: Any) -> None:
    soundfile.write(path, tone() if data is None else data, rate, **how)


def half(path: Path, **how: Any) -> None:
    """The first half of a real file's bytes: a copy that broke off."""
    sound(path, tone(RATE * 4), **how)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def nan(path: Path) -> None:
    data = tone()
    data[1000] = np.nan
    sound(path, data, subtype="FLOAT")


def no_frames(path: Path) -> None:
    head = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 2, RATE, RATE * 4, 4, 16) + b"data" + struct.pack("<I", 0)
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(head)) + b"WAVE" + head)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


@dataclass(frozen=True)
class Case:
    """A file, how it is made, and what becomes of it: "delivered" or an error code."""

    make: Callable[[Path], None]
    becomes: str
    name: str = "clip.wav"


CASES: dict[str, Case] = {
    "empty file": Case(lambda path: path.touch(), "source_unreadable"),
    "text named .wav": Case(lambda path: path.write_text("This is my best song.\n" * 9) and None, "source_unreadable"),
    "half a WAV": Case(half, "source_unreadable"),
    "half an AIFF": Case(half, "source_unreadable", "clip.aiff"),
    "half a FLAC": Case(half, "source_unreadable", "clip.flac"),
    "half an Ogg": Case(half, "source_unreadable", "clip.ogg"),
    "no frames": Case(no_frames, "source_unreadable"),
    "one frame": Case(lambda path: sound(path, tone(1)), "delivered"),
    "samples that are no numbers": Case(nan, "source_unreadable"),
    "eight channels": Case(lambda path: sound(path, tone(channels=8)), "source_unsupported"),
    "192 kHz": Case(lambda path: sound(path, tone(rate=192_000), 192_000), "delivered"),
    "8 kHz": Case(lambda path: sound(path, tone(rate=8_000), 8_000), "delivered"),
    "float above full scale": Case(lambda path: sound(path, tone() * 9, subtype="FLOAT"), "delivered"),
    "RF64": Case(lambda path: sound(path, format="RF64", subtype="PCM_24"), "delivered"),
    "emoji": Case(sound, "delivered", "🥁 beat 🎛️.wav"),
    "250 characters": Case(sound, "delivered", "x" * 246 + ".wav"),
    "newline": Case(sound, "delivered", "first\nsecond.wav"),
    "trailing dot": Case(sound, "delivered", "what now..wav"),
    "quotes and colons": Case(sound, "delivered", 'a "b": <c>?*|\\.wav'),
    "link to itself": Case(link_to_itself, "source_unreadable"),
    "a folder": Case(lambda path: path.mkdir(), "source_unreadable"),
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    home = tmp_path_factory.mktemp("hostile") / "home"
    with running_daemon(home, settings={"CLIPBRIDGE_DAEMON__UNFINISHED_SECONDS": UNFINISHED_SECONDS}) as daemon:
        yield daemon


@pytest.fixture
def lives(daemon: RunningDaemon, tmp_path: Path) -> Iterator[None]:
    """After whatever the test did, the daemon still does a good clip."""
    yield
    good = tmp_path / "good after all.wav"
    sound(good)
    job = daemon.ended(daemon.submit(source=str(good), provider="loopback")["id"])
    assert job["state"] == "delivered", job
    assert daemon.process.poll() is None


def assert_fits(job: dict[str, Any], source: Path) -> None:
    """The take is as long as its source, at its rate, with its channels and its sample format."""
    (take,) = job["takes"]
    made, given = soundfile.info(take["path"]), soundfile.info(os.fsencode(source))
    assert (made.frames, made.samplerate, made.channels) == (given.frames, given.samplerate, given.channels)
    assert made.subtype == given.subtype
    assert np.isfinite(soundfile.read(take["path"])[0]).all()


@pytest.mark.parametrize("title", CASES)
@pytest.mark.usefixtures("lives")
def test_by_name_it_ends_in_a_take_or_in_a_sentence(title: str, daemon: RunningDaemon, tmp_path: Path) -> None:
    case = CASES[title]
    source = tmp_path / case.name
    case.make(source)
    job = daemon.submit(source=str(source), provider="dsp")
    if "error" in job and "id" not in job:
        outcome, error = job["error"]["code"], job["error"]
    else:
        job = daemon.ended(job["id"])
        outcome, error = (job["error"]["code"], job["error"]) if job["error"] else (job["state"], None)
    assert outcome == case.becomes, job
    assert os.path.lexists(source), "the original is where the person left it"
    if error is None:
        assert_fits(job, source)
    else:
        assert error["message"].endswith(".")
        assert error["hint"].endswith(".")
        assert error["charged"] == "no"


@pytest.mark.parametrize("title", CASES)
@pytest.mark.usefixtures("lives")
def test_in_drop_it_ends_in_done_or_in_failed_with_the_reason(
    title: str, daemon: RunningDaemon, tmp_path: Path
) -> None:
    case = CASES[title]
    # made outside and moved in, as a file manager does
    made = tmp_path / case.name
    case.make(made)
    made.rename(daemon.drop / case.name)
    done, failed = daemon.drop / "_Done" / case.name, daemon.drop / "_Failed" / case.name
    until(lambda: os.path.lexists(done) or os.path.lexists(failed), f"{title} to leave Drop")
    assert os.path.lexists(done) == (case.becomes == "delivered")
    if case.becomes == "delivered":
        job = next(job for job in daemon.jobs() if job["request"]["source"] == str(daemon.drop / case.name))
        assert_fits(job, done)
        done.unlink()
        return
    note = until(lambda: _notes(daemon.drop / "_Failed", case.name), "the reason beside it")
    assert case.becomes in note
    assert failed.rename(tmp_path / "seen")
    for file in (daemon.drop / "_Failed").glob("*.error.txt"):
        file.unlink()


def _notes(folder: Path, name: str) -> str | None:
    for file in folder.glob("*.error.txt"):
        if file.name.startswith(name[:20]):
            return file.read_text("utf-8")
    return None


@pytest.mark.usefixtures("lives")
def test_a_region_outside_the_file_is_refused_with_its_length(daemon: RunningDaemon, tmp_path: Path) -> None:
    source = tmp_path / "clip.wav"
    sound(source)
    region = {"start": 0, "end": RATE, "unit": "frames"}
    error = daemon.submit(source=str(source), region=region)["error"]
    assert error["code"] == "region_out_of_range"
    assert str(RATE // 2) in error["message"].replace(",", "")


def test_an_unknown_preset_is_refused_with_the_nearest(daemon: RunningDaemon, tmp_path: Path) -> None:
    source = tmp_path / "clip.wav"
    sound(source)
    error = daemon.submit(source=str(source), preset="defalt")["error"]
    assert error["code"] == "bad_request"
    assert '"default"' in error["message"]


@pytest.mark.usefixtures("lives")
def test_an_unknown_preset_folder_puts_the_clip_into_failed(daemon: RunningDaemon) -> None:
    folder = daemon.drop / "no such preset"
    folder.mkdir()
    sound(folder / "clip in it.wav")
    note = until(lambda: _notes(daemon.drop / "_Failed", "clip in it.wav"), "the reason")
    assert "no such preset" in note
    assert (daemon.drop / "_Failed" / "clip in it.wav").is_file()


@pytest.mark.usefixtures("lives")
def test_an_unknown_key_in_a_side_file_puts_the_clip_into_failed(daemon: RunningDaemon, tmp_path: Path) -> None:
    (daemon.drop / "sided.wav.json").write_text('{"strenght": 0.4}')
    sound(tmp_path / "sided.wav")
    (tmp_path / "sided.wav").rename(daemon.drop / "sided.wav")
    note = until(lambda: _notes(daemon.drop / "_Failed", "sided.wav"), "the reason")
    assert '"strength"' in note
    assert (daemon.drop / "_Failed" / "sided.wav.json").is_file(), "the side file stays with its clip"


@pytest.mark.usefixtures("lives")
def test_a_source_that_is_not_there_is_not_found(daemon: RunningDaemon, tmp_path: Path) -> None:
    assert daemon.submit(source=str(tmp_path / "gone.wav"))["error"]["code"] == "source_not_found"


@pytest.mark.usefixtures("lives")
def test_a_file_that_vanishes_while_it_is_waited_for_ends_as_not_found(daemon: RunningDaemon, tmp_path: Path) -> None:
    source = tmp_path / "fleeting.wav"
    half(source)
    job = daemon.submit(source=str(source))
    assert (job["state"], job["held"]["reason"]) == ("held", "source_unfinished")
    source.unlink()
    assert daemon.ended(job["id"])["error"]["code"] == "source_not_found"


@pytest.mark.usefixtures("lives")
def test_results_that_are_gone_are_made_again(daemon: RunningDaemon, tmp_path: Path) -> None:
    source = tmp_path / "clip.wav"
    sound(source)
    daemon.results.rename(tmp_path / "moved away")
    job = daemon.ended(daemon.submit(source=str(source), provider="loopback")["id"])
    assert job["state"] == "delivered"
    assert Path(job["takes"][0]["path"]).parent == daemon.results


@pytest.mark.usefixtures("lives")
def test_a_place_that_cannot_take_results_is_said_and_a_retry_delivers(daemon: RunningDaemon, tmp_path: Path) -> None:
    source, blocked = tmp_path / "clip.wav", tmp_path / "blocked"
    sound(source)
    blocked.write_text("a file where a folder should be")
    job = daemon.ended(daemon.submit(source=str(source), provider="loopback", deliver_to=str(blocked / "in"))["id"])
    assert (job["state"], job["error"]["code"]) == ("failed", "delivery_failed")
    blocked.unlink()
    daemon.http.post(f"/jobs/{job['id']}/retry").raise_for_status()
    job = daemon.ended(job["id"])
    assert job["state"] == "delivered", job
    assert len(job["calls"]) == 1, "what was made is delivered, not made again"


is_root = hasattr(os, "geteuid") and os.geteuid() == 0
# root may read and write everything, unless these two powers are taken from the process
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


@pytest.mark.skipif(sys.platform == "win32", reason="only on systems with POSIX permissions")
def test_without_permission_there_is_a_sentence(tmp_path: Path) -> None:
    source, good, read_only = tmp_path / "mine.wav", tmp_path / "yours.wav", tmp_path / "read only"
    sound(source)
    sound(good)
    source.chmod(0)
    read_only.mkdir(mode=0o555)
    with running_daemon(tmp_path / "home", wrapper=AS_ANYBODY if is_root else None) as daemon:
        refused = daemon.submit(source=str(source))["error"]
        assert refused["code"] == "source_unreadable", refused
        assert "not allowed" in refused["message"]
        job = daemon.ended(daemon.submit(source=str(good), provider="loopback", deliver_to=str(read_only))["id"])
        assert (job["state"], job["error"]["code"]) == ("failed", "delivery_failed")
        source.rename(daemon.drop / "mine.wav")
        note = until(lambda: _notes(daemon.drop / "_Failed", "mine.wav"), "the reason beside it")
        assert "not allowed" in note


needs_root = pytest.mark.skipif(not is_root, reason="only on a system where the test may mount a small disk")


@needs_root
def test_a_full_disk_is_said_and_a_retry_goes_on_when_there_is_space(daemon: RunningDaemon, tmp_path: Path) -> None:
    small = tmp_path / "small disk"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("only on a system where the test may mount a small disk")
    try:
        source = tmp_path / "clip.wav"
        sound(source, tone(RATE * 5))
        job = daemon.ended(daemon.submit(source=str(source), provider="loopback", deliver_to=str(small))["id"])
        assert (job["state"], job["error"]["code"]) == ("failed", "disk_full"), job
        assert [file.name for file in small.iterdir()] == [], "no part of a take is left behind"
        subprocess.run(["mount", "-o", "remount,size=8m", str(small)], check=True)
        daemon.http.post(f"/jobs/{job['id']}/retry").raise_for_status()
        job = daemon.ended(job["id"])
        assert job["state"] == "delivered", job
        assert soundfile.info(job["takes"][0]["path"]).frames == RATE * 5
    finally:
        subprocess.run(["umount", str(small)], check=True)
