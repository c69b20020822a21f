"""The command line as people and scripts use it: real processes, a real daemon, real files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

ROOT = Path(__file__).parents[2]
GUARD_SECONDS = 60.0  # ends a test that would wait for ever; nothing is measured by it
COMMAND = [sys.executable, "-P", "-m", "bridge"]
SETTINGS = "[daemon]\nosc_port = 0\nhttp_port = 0\n"
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: Ctrl-C is sent as a signal")

Json = dict[str, Any]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def clipbridge(*words: str | Path, expect: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end and holds it to its exit status."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        env=environment(**more), capture_output=True, encoding="utf-8", timeout=GUARD_SECONDS, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == expect, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def answer(*words: str | Path, expect: int = 0) -> Any:
    """The one JSON document of a command with `--json`."""
    return json.loads(clipbridge(*words, "--json", expect=expect).stdout)


class Running:
    """A command at work."""

    def __init__(self, *words: str | Path) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, words)],
            env=environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        )  # fmt: skip
        self.said = ""

    def until(self, text: str) -> str:
        """Reads until a line holds `text`, and returns that line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if text in line:
                return line
        raise AssertionError(f'it ended without "{text}":\n{self.said}')

    def ended(self) -> int:
        """Waits for its end; its exit status."""
        rest, _ = self.process.communicate(timeout=GUARD_SECONDS)
        self.said += rest
        return self.process.returncode

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(ValueError):  # read to its end already
            self.process.communicate(timeout=GUARD_SECONDS)


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts commands that are ended with the test."""
    started: list[Running] = []

    def begin(*words: str | Path) -> Running:
        started.append(Running(*words))
        return started[-1]

    yield begin
    for running in reversed(started):
        running.stop()


@pytest.fixture
def settled(home: Path) -> Path:
    """A home whose daemon takes any free port."""
    (home / "config.toml").write_text(SETTINGS)
    return home


@pytest.fixture
def daemon(settled: Path, start: Callable[..., Running]) -> Running:
    running = start("run")
    running.until("is running at")
    return running


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """One second of stereo noise that fades away: it has a level, and no two of its parts are alike."""
    path = tmp_path / "my clip.wav"
    noise = np.random.default_rng(1).normal(0, 0.1, (44_100, 2)) * np.linspace(1, 0.2, 44_100)[:, None]
    sf.write(path, noise, 44_100, subtype="PCM_24")
    return path


@pytest.fixture
def growing(clip: Path, tmp_path: Path) -> Path:
    """A file that somebody is still writing: half of what its header promises."""
    path = tmp_path / "still growing.wav"
    path.write_bytes(clip.read_bytes()[:100_000])
    return path


def complete(growing: Path, clip: Path) -> None:
    with growing.open("ab") as file:
        file.write(clip.read_bytes()[growing.stat().st_size :])


# ---- send with a daemon ---------------------------------------------------------------------------------------------


def test_send_says_what_was_accepted_and_leaves(daemon: Running, clip: Path) -> None:
    done = clipbridge("send", clip, "--provider", "dsp")
    job = answer("jobs", "list")["jobs"][0]
    assert done.stdout.split() == ["accepted", job["id"], "my", "clip.wav", "default,", "dsp,", "free"]
    assert (job["trigger"], job["request"]["source"]) == ("cli", str(clip))


def test_send_and_wait_ends_with_the_take(daemon: Running, clip: Path, settled: Path) -> None:
    done = clipbridge("send", clip, "--wait", "--provider", "dsp")
    take = settled / "Results" / "my clip [default].wav"
    assert sf.info(take).frames == 44_100
    assert str(take) in done.stdout
    assert "free" in done.stdout
    # plain lines where no terminal is: one for each step, no control characters
    assert [line.split()[0] for line in done.stdout.splitlines() if "my clip.wav" in line][-1] == "delivered"
    assert "\x1b" not in done.stdout


@posix_only
def test_on_a_terminal_there_are_bars_and_then_the_takes(daemon: Running, clip: Path, settled: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    waiting = subprocess.Popen(
        [*COMMAND, "send", str(clip), str(clip), "--wait", "--strength", "0"],
        env=environment(TERM="xterm-256color", COLUMNS="80"), stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # what a terminal says when nobody is left at its other side
        while block := os.read(ours, 65_536):
            seen += block
    os.close(ours)
    assert waiting.wait(GUARD_SECONDS) == 0
    text = seen.decode()
    assert "━" in text
    assert "\x1b[32mdelivered" in text
    for name in ("my clip [default].wav", "my clip [default] take 2.wav"):
        assert f"{settled / 'Results' / name}\r\n" in text  # not wrapped, however long: it can be copied


def test_all_that_is_asked_for_arrives(daemon: Running, clip: Path, tmp_path: Path) -> None:
    [job] = answer(
        "send", clip, "--wait", "--prompt", "warm tape", "--preset", "default", "--provider", "dsp",
        "--strength", "0.4", "--start", "0.25", "--end", "0.5", "--seed", "7", "--variations", "2", "--loop",
        "--to", tmp_path / "my takes",
    )  # fmt: skip
    knobs = {"prompt": "warm tape", "preset": "default", "provider": "dsp", "strength": 0.4, "seed": 7, "loop": True}
    request = job["request"]
    assert request["region"] == {"start": 0.25, "end": 0.5, "unit": "seconds"}
    assert {key: request[key] for key in knobs} == knobs
    assert [(take["frames"], take["seed"]) for take in job["takes"]] == [(11_025, 7), (11_025, 8)]
    assert {Path(take["path"]).parent for take in job["takes"]} == {tmp_path / "my takes"}


def test_a_start_alone_means_to_the_end_of_the_file_and_an_end_alone_from_its_start(
    daemon: Running, clip: Path
) -> None:
    [late] = answer("send", clip, "--wait", "--strength", "0", "--start", "0.75")
    assert late["request"]["region"] == {"start": 33_075, "end": 44_100, "unit": "frames"}
    assert late["takes"][0]["frames"] == 11_025
    [early] = answer("send", clip, "--wait", "--strength", "0", "--end", "0.5")
    assert early["takes"][0]["frames"] == 22_050
    [beyond] = answer("send", clip, "--start", "5", expect=1)
    assert beyond["error"]["code"] == "region_out_of_range"


def test_several_files_are_one_batch_and_the_worst_decides(daemon: Running, clip: Path, tmp_path: Path) -> None:
    jobs = answer("send", clip, tmp_path / "gone.wav", tmp_path, clip, "--wait", "--strength", "0", expect=1)
    assert [job["state"] for job in jobs] == ["delivered", "failed", "failed", "delivered"]
    assert [job["id"] is None for job in jobs] == [False, True, True, False]
    assert [(job["error"] or {}).get("code") for job in jobs] == [None, "source_not_found", "source_unreadable", None]
    [batch] = {job["request"]["batch"] for job in jobs}
    assert len(answer("jobs", "list", "--batch", batch)["jobs"]) == 2


def test_a_relative_path_and_a_tilde_are_understood(
    daemon: Running, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.parent)
    [job] = answer("send", clip.name, "--strength", "0", "--to", "takes here")
    assert job["request"]["source"] == str(clip)
    assert job["request"]["deliver_to"] == str(clip.parent / "takes here")
    at_home = Path(os.environ["HOME"]) / clip.name
    at_home.write_bytes(clip.read_bytes())
    [job] = answer("send", f"~/{clip.name}", "--strength", "0")
    assert job["request"]["source"] == str(at_home)


def test_a_refusal_is_a_sentence_and_an_exit_status(daemon: Running, clip: Path) -> None:
    for words, code, status in (
        (["--strength", "2"], "bad_request", 2),
        (["--preset", "no such preset"], "bad_request", 2),
        (["--variations", "9"], "bad_request", 2),
        (["--provider", "stability"], "no_provider", 4),
        (["--start", "0.5", "--end", "9"], "region_out_of_range", 1),
    ):
        [refused] = answer("send", clip, *words, expect=status)
        assert (refused["id"], refused["state"], refused["error"]["code"]) == (None, "failed", code)
    done = clipbridge("send", clip, *words, expect=1)
    assert done.stdout == ""
    assert refused["error"]["message"] in done.stderr
    assert refused["error"]["hint"] in done.stderr


def test_words_that_make_no_sense_are_refused_before_anything_happens(clip: Path) -> None:
    for words in (["--strength", "much"], ["--strength", "nan"], ["--start", "inf"], ["--sped", "1"]):
        done = clipbridge("send", clip, *words, expect=2)
        assert words[0] in done.stderr
    assert "FILE" in clipbridge("send", expect=2).stderr


def test_cancelling_ends_whoever_waits(daemon: Running, growing: Path, start: Callable[..., Running]) -> None:
    waiting = start("send", growing, "--wait")
    waiting.until("held")
    [job] = answer("jobs", "list", "--state", "held")["jobs"]
    assert "cancelled" in clipbridge("jobs", "cancel", job["id"][:8]).stdout
    assert waiting.ended() == 1
    assert "cancelled" in waiting.said.splitlines()[-1] or "cancelled" in waiting.said


@posix_only
def test_leaving_a_wait_leaves_the_job_alone(
    daemon: Running, growing: Path, clip: Path, start: Callable[..., Running]
) -> None:
    waiting = start("send", growing, "--wait", "--strength", "0")
    job_id = waiting.until("held").split()[1]
    waiting.process.send_signal(signal.SIGINT)
    assert waiting.ended() == 130
    assert "goes on" in waiting.said
    assert answer("jobs", "show", job_id)["state"] == "held"
    following = start("send", clip, growing, "--wait", "--strength", "0")
    following.until("held")
    complete(growing, clip)
    assert following.ended() == 0


@posix_only
def test_a_wait_outlives_a_restart_of_the_daemon(
    daemon: Running, growing: Path, clip: Path, start: Callable[..., Running], settled: Path
) -> None:
    waiting = start("send", growing, "--wait", "--strength", "0")
    waiting.until("held")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.ended() == 0
    assert not (settled / "daemon.json").exists()
    start("run").until("is running at")
    complete(growing, clip)
    assert waiting.ended() == 0
    assert str(settled / "Results" / "still growing [default].wav") in waiting.said


# ---- send without a daemon ------------------------------------------------------------------------------------------


def test_without_a_daemon_send_does_it_itself(settled: Path, clip: Path) -> None:
    done = clipbridge("send", clip, "--provider", "dsp")
    assert str(settled / "Results" / "my clip [default].wav") in done.stdout
    assert answer("jobs", "list")["jobs"][0]["trigger"] == "cli"
    [job] = answer("send", clip, "--strength", "0")
    assert job["state"] == "delivered"
    assert not (settled / "daemon.json").exists()


def test_without_a_daemon_a_refusal_is_the_same(settled: Path, clip: Path, tmp_path: Path) -> None:
    jobs = answer("send", tmp_path / "gone.wav", clip, "--strength", "0", expect=1)
    assert [(job["state"], (job["error"] or {}).get("code")) for job in jobs] == [
        ("failed", "source_not_found"),
        ("delivered", None),
    ]
    assert answer("send", clip, "--provider", "fal", expect=4)[0]["error"]["code"] == "no_provider"


@posix_only
def test_a_second_send_waits_its_turn(settled: Path, growing: Path, clip: Path, start: Callable[..., Running]) -> None:
    first = start("send", growing, "--strength", "0")
    first.until("held")
    second = start("send", clip, "--strength", "0")
    assert f"process {first.process.pid}" in second.until("Waiting until another clipbridge")
    complete(growing, clip)
    assert first.ended() == 0
    assert second.ended() == 0
    assert {job["state"] for job in answer("jobs", "list")["jobs"]} == {"delivered"}


@posix_only
def test_without_a_daemon_ctrl_c_cancels(settled: Path, growing: Path, start: Callable[..., Running]) -> None:
    sending = start("send", growing)
    job_id = sending.until("held").split()[1]
    sending.process.send_signal(signal.SIGINT)
    assert sending.ended() == 130
    assert answer("jobs", "show", job_id)["state"] == "cancelled"


# ---- run ------------------------------------------------------------------------------------------------------------


def test_run_says_in_one_line_where_it_is_and_where_drop_is(daemon: Running, settled: Path) -> None:
    facts = json.loads((settled / "daemon.json").read_text())
    assert daemon.said.splitlines() == [
        f"clipbridge is running at http://127.0.0.1:{facts['http_port']}; drop clips into {settled / 'Drop'}"
    ]


def test_a_second_daemon_names_the_first(daemon: Running, settled: Path) -> None:
    done = clipbridge("run", expect=2)
    assert f"process {daemon.process.pid}" in done.stderr


def test_wrong_settings_are_all_told_at_once(settled: Path, clip: Path) -> None:
    (settled / "config.toml").write_text("[daemon]\nhttp_prot = 1\nosc_port = 99999\n\n[budget]\nper_day_usd = -1\n")
    for words in (["run"], ["send", clip], ["providers"]):
        told = clipbridge(*words, expect=2).stderr
        for key in ("daemon.http_prot", "daemon.osc_port", "budget.per_day_usd"):
            assert key in told
        assert str(settled / "config.toml") in told
    told = clipbridge("run", expect=2, CLIPBRIDGE_RETENTION__KEEP_DAYS="-1").stderr
    assert "CLIPBRIDGE_RETENTION__KEEP_DAYS" in told


@posix_only
def test_a_daemon_ends_cleanly_at_ctrl_c(daemon: Running, settled: Path) -> None:
    daemon.process.send_signal(signal.SIGINT)
    assert daemon.ended() == 0
    assert "Traceback" not in daemon.said
    assert not (settled / "daemon.json").exists()


def test_a_home_can_be_named_before_and_after_the_command(settled: Path, clip: Path, tmp_path: Path) -> None:
    for number, words in enumerate((["--home", "{}", "send", clip], ["send", clip, "--home", "{}"])):
        other = tmp_path / f"other {number}"
        clipbridge(*(str(word).format(other) for word in words), "--strength", "0")
        assert (other / "Results" / "my clip [default].wav").is_file()
        assert len(answer("jobs", "list", "--home", other)["jobs"]) == 1
    assert answer("jobs", "list")["jobs"] == []


# ---- jobs -----------------------------------------------------------------------------------------------------------


def test_jobs_can_be_read_without_a_daemon(settled: Path, clip: Path) -> None:
    assert clipbridge("jobs", "list").stdout == "No jobs.\n"
    [job] = answer("send", clip, "--strength", "0")
    listed = clipbridge("jobs", "list").stdout
    assert listed.splitlines()[0].split() == ["ID", "AGE", "STATE", "CLIP", "PRESET", "BY", "PRICE"]
    assert job["id"] in listed
    assert answer("jobs", "show", job["id"][:5]) == job
    shown = clipbridge("jobs", "show", job["id"]).stdout
    assert job["takes"][0]["path"] in shown
    assert "44,100 Hz, stereo, 24 bit" in shown


def test_jobs_are_the_same_with_and_without_a_daemon(settled: Path, clip: Path, start: Callable[..., Running]) -> None:
    answer("send", clip, clip, "--strength", "0")
    [failed] = answer("send", clip, "--strength", "0")
    alone = answer("jobs", "list")
    start("run").until("is running at")
    assert answer("jobs", "list") == alone
    assert answer("jobs", "show", failed["id"][:6]) == failed
    assert len(answer("jobs", "list", "--limit", "1")["jobs"]) == 1
    assert answer("jobs", "list", "--state", "failed")["jobs"] == []


def test_an_unknown_or_ambiguous_id_is_told(settled: Path, clip: Path) -> None:
    answer("send", *[clip] * 34, "--strength", "0")  # more than there are first letters
    assert answer("jobs", "show", "zzzzzzzzzz", expect=1)["error"]["code"] == "unknown_job"
    first_letters = [job["id"][0] for job in answer("jobs", "list", "--limit", "34")["jobs"]]
    twice = next(letter for letter in first_letters if first_letters.count(letter) > 1)
    assert f"More than one job begins with {twice}" in clipbridge("jobs", "show", twice, expect=2).stderr
    assert "The states are" in clipbridge("jobs", "list", "--state", "lost", expect=2).stderr


def test_what_needs_a_daemon_says_how_to_start_one(settled: Path) -> None:
    for verb in ("cancel", "retry", "forget"):
        assert "clipbridge run" in clipbridge("jobs", verb, "0123456789", expect=3).stderr
    assert "error" in answer("jobs", "cancel", "0123456789", expect=3)


def test_a_cancelled_job_can_be_taken_up_again(
    daemon: Running, growing: Path, clip: Path, start: Callable[..., Running]
) -> None:
    waiting = start("send", growing, "--wait", "--strength", "0")
    job_id = waiting.until("held").split()[1]
    assert answer("jobs", "cancel", job_id)["state"] == "cancelled"
    assert waiting.ended() == 1
    complete(growing, clip)
    assert answer("jobs", "retry", job_id)["id"] == job_id
    assert "only an uncertain job" in clipbridge("jobs", "forget", job_id, expect=2).stderr


def test_a_batch_is_cancelled_together(daemon: Running, growing: Path, tmp_path: Path) -> None:
    other = tmp_path / "growing too.wav"
    other.write_bytes(growing.read_bytes())
    jobs = answer("send", growing, other)
    clipbridge("jobs", "cancel", jobs[0]["id"], "--batch")
    assert {job["state"] for job in answer("jobs", "list")["jobs"]} == {"cancelled"}


# ---- presets, providers, the rest -----------------------------------------------------------------------------------


def test_presets_are_shown_with_ones_own_among_them(settled: Path) -> None:
    (settled / "presets").mkdir()
    (settled / "presets" / "mine.toml").write_text('description = "My dark one"\nprompt = "dark hall"\n')
    assert "My dark one (yours)" in clipbridge("presets", "list").stdout
    listed = answer("presets", "list")
    assert {preset["name"] for preset in listed["presets"]} >= {"default", "mine"}
    assert listed["broken"] == {}
    assert answer("presets", "show", "mine")["values"] == {"prompt": "dark hall"}
    assert "dark hall" in clipbridge("presets", "show", "mine").stdout
    assert 'did you mean "mine"' in clipbridge("presets", "show", "mien", expect=2).stderr


def test_a_broken_preset_does_not_hide_the_others(settled: Path) -> None:
    (settled / "presets").mkdir()
    (settled / "presets" / "broken.toml").write_text("strenght = 1\n")
    done = clipbridge("presets", "list")
    assert "default" in done.stdout
    assert 'did you mean "strength"' in done.stderr
    assert set(answer("presets", "list")["broken"]) == {"broken"}


def test_providers_are_told_with_and_without_a_daemon(settled: Path, start: Callable[..., Running]) -> None:
    (settled / "config.toml").write_text(SETTINGS + "[providers.dsp]\nenabled = false\n")
    alone = answer("providers")
    assert {one["name"]: one["ready"] for one in alone["providers"]}["dsp"] is False
    assert "switched off" in clipbridge("providers").stdout
    start("run").until("is running at")
    assert answer("providers") == alone


def test_the_version_and_the_help_are_told() -> None:
    assert clipbridge("--version").stdout.startswith("clipbridge 0.")
    told = clipbridge("--help").stdout
    for command in ("demo", "run", "send", "jobs", "presets", "providers"):
        assert command in told
    assert max(map(len, told.splitlines())) <= 80


def test_send_and_jobs_load_no_sound_libraries(daemon: Running, clip: Path) -> None:
    watched = (
        "import sys\nsys.argv = ['clipbridge', *sys.argv[1:]]\nfrom bridge.cli import main\n"
        "try:\n    main()\nfinally:\n    print(*{'numpy', 'soundfile', 'fastapi', 'sqlalchemy'} & set(sys.modules))\n"
    )
    for words in (["send", str(clip), "--strength", "0"], ["jobs", "list"]):
        done = subprocess.run(
            [sys.executable, "-P", "-c", watched, *words], env=environment(), capture_output=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == ""


# ---- demo -----------------------------------------------------------------------------------------------------------


def test_the_demo_shows_the_round_trip_and_touches_nothing_of_the_persons(tmp_path: Path, home: Path) -> None:
    person = Path(os.environ["HOME"])
    done = clipbridge("demo", TMPDIR=str(tmp_path), CLIPBRIDGE_DAEMON__CONCURRENCY="nonsense")
    [place] = tmp_path.glob("clipbridge-demo-*")
    for word in ("queued", "delivered", "FRAMES", "384,000", "48,000 Hz", "24 bit", "LUFS", "TRUE PEAK"):
        assert word in done.stdout
    [take] = (place / "Results").glob("*].wav")  # not the untouched one beside it
    [picture] = place.glob("*.png")
    assert str(take) in done.stdout
    assert str(picture) in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sf.info(take).frames == 384_000
    assert list(person.iterdir()) == []
    assert list(home.iterdir()) == []
    assert not (place / "daemon.json").exists()  # its daemon has ended


def test_the_demo_takes_a_clip_of_ones_own_and_leaves_it_where_it_is(tmp_path: Path, clip: Path) -> None:
    before = clip.read_bytes()
    done = clipbridge("demo", clip, TMPDIR=str(tmp_path))
    assert "44,100 Hz" in done.stdout
    assert clip.read_bytes() == before


def test_the_demo_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "There is no file" in clipbridge("demo", tmp_path / "gone.wav", expect=1).stderr
    text = tmp_path / "text.wav"
    text.write_text("this is no sound")
    assert "source_unreadable" in clipbridge("demo", text, expect=1, TMPDIR=str(tmp_path)).stdout
