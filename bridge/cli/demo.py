"""`clipbridge demo`: the whole round trip before one's eyes, in a home of its own that nobody else sees.

A real daemon, a clip dropped into its Drop folder, its states as they happen, and at the end source and take compared.
What they sound and look like is measured and drawn in `bridge.audio`.
"""

from __future__ import annotations

import os
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from bridge.cli import options, show, status
from bridge.errors import ClipError, internal

if TYPE_CHECKING:
    from bridge.cli.client import Listener

PRESET: Final = "lo-fi-tape"
START_SECONDS: Final = 30.0
END_SECONDS: Final = 15.0
TAKEN_SECONDS: Final = 30.0  # from the drop to the first sign of life
PATIENCE_SECONDS: Final = 300.0  # from one sign of life to the next; a long FILE on an old laptop takes its time
LOOK_SECONDS: Final = 0.05
SETTINGS: Final = """\
# the demo's own settings: any free ports, and only the effects on this computer, so that nothing can be charged
[daemon]
osc_port = 0
http_port = 0

[providers]
order = ["dsp"]
"""


def demo(
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="A clip of your own instead of the built-in loop."),
    ] = None,
) -> None:
    """See a clip make the round trip, offline."""
    with options.reporting():
        raise typer.Exit(_demo(None if file is None else Path(file).expanduser().absolute()))


def _demo(file: Path | None) -> int:
    if file is not None and not file.is_file():
        raise ClipError(
            "source_not_found", f"There is no file {show.safe(str(file))}.", hint="Name an audio file, or none at all."
        )
    signal.signal(signal.SIGTERM, _leave)  # the daemon has to be ended then, too
    # it stays when this ends: the take is there to be listened to
    home = Path(tempfile.mkdtemp(prefix="clipbridge-demo-")).resolve()
    (home / "config.toml").write_text(SETTINGS, "utf-8")
    with _daemon(home) as facts:
        show.line(f"A clipbridge of its own is running in {home}", colour=show.DIM)
        job = _round_trip(facts, home, file)
    if job is None or job["state"] != "delivered":
        if job is not None:
            show.outcome(job)
        return status.FAILED
    _tell(job, _source_of(job, facts), home)
    return status.DONE


def _round_trip(facts: Mapping[str, Any], home: Path, file: Path | None) -> dict[str, Any] | None:
    """Makes or copies the clip, drops it, and watches it until the end."""
    from bridge.cli.client import Client, Listener

    listener = Listener(Client(str(home), facts))
    listener.start()
    name = "demo loop.wav" if file is None else file.name.lstrip(".")  # a hidden file would not be taken
    drop = Path(facts["drop_dir"]) / PRESET
    drop.mkdir(parents=True, exist_ok=True)
    if file is None:
        from bridge.audio.demo_clip import write_demo_clip

        show.line("Making a clip: eight seconds of house music, written by code.")
        made = home / name
        write_demo_clip(str(made))
        made.replace(drop / name)
    else:
        shutil.copyfile(file, drop / name)
    show.line(f"Dropped it into {drop}")
    show.line()
    job = _watched(listener, drop.parent, name)
    listener.close()
    show.line()
    return job


def _watched(listener: Listener, drop_dir: Path, name: str) -> dict[str, Any] | None:
    """Shows the clip's states as they come; its job at the end, or None where the clip was refused at the door."""
    from bridge.cli.waiting import over

    dropped_at = heard_at = time.monotonic()
    state = ""
    while time.monotonic() - heard_at < (PATIENCE_SECONDS if state else TAKEN_SECONDS):
        job = listener.next()
        if job is None:
            for refusal in () if state else (drop_dir / "_Failed").glob("*.error.txt"):
                show.line(refusal.read_text("utf-8", "replace").rstrip())
                return None
            continue
        heard_at = time.monotonic()
        if job["state"] != state:
            state = job["state"]
            seconds = show.painted(f"{heard_at - dropped_at:6.2f} s", show.DIM)
            word = show.painted(state.ljust(10), show.colour_of(state))
            show.line(f"{seconds}  {word}  {show.safe(job['message'])}")
        if over(job):
            return job
    raise internal(f"Nothing was heard of {show.safe(name)} in {drop_dir} for a long time.")


def _tell(job: Mapping[str, Any], source: Path, home: Path) -> None:
    """Source and take in numbers, where they lie, and a picture of both."""
    from bridge.audio.loudness import measure
    from bridge.audio.picture import write_comparison
    from bridge.audio.source import inspect

    take = Path(job["takes"][0]["path"])
    rows = []
    for name, path in (("source", source), ("take", take)):
        facts, loudness = inspect(str(path)), measure(str(path))
        rows.append(
            show.Row(
                [
                    name,
                    f"{facts.frames:,}",
                    f"{facts.samplerate:,} Hz",
                    f"{facts.container.upper()}, {show.sample_format(facts.subtype)}, {show.channels(facts.channels)}",
                    _level(loudness.lufs),
                    _level(loudness.true_peak_dbtp),
                ],
                {0: show.WORK_COLOUR},
            )
        )
    show.table(["", "FRAMES", "RATE", "FORMAT", "LUFS", "TRUE PEAK"], rows, right=(1, 2, 4, 5))
    show.line()
    picture = home / f"{take.stem}.png"
    write_comparison(str(source), str(take), str(picture), title=f"{source.name}: {PRESET}")
    for name, path in (("source", source), ("take", take), ("picture", picture)):
        show.line(f"{show.painted(name.ljust(8), show.DIM)} {show.safe(str(path))}")
    for note in job["takes"][0]["notes"]:
        show.line(f"{show.painted('note'.ljust(8), show.DIM)} {show.safe(note)}")
    show.line()
    show.line("Listen to both. Your own is started with `clipbridge run`.")
    show.line("The demo's folder can be thrown away.", colour=show.DIM)


def _level(value: float | None) -> str:
    return "silent" if value is None else f"{value:.1f}"


def _source_of(job: Mapping[str, Any], facts: Mapping[str, Any]) -> Path:
    """Where the clip lies now: a worked-off file is moved to `_Done`."""
    named = Path(job["request"]["source"])
    return next((place for place in (Path(facts["drop_dir"]) / "_Done" / named.name, named) if place.is_file()), named)


@contextmanager
def _daemon(home: Path) -> Iterator[dict[str, Any]]:
    """A daemon in that home as a process of its own; what it says of itself. It has ended when this is left."""
    said = home / "daemon output.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bridge", "run", "--home", str(home)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_environment(home), cwd=home,
        )  # fmt: skip
    try:
        yield _announced(process, home, said)
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _announced(process: subprocess.Popen[bytes], home: Path, said: Path) -> dict[str, Any]:
    from bridge.home import living_daemon

    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at:
        facts = living_daemon(home / "daemon.json")
        if facts is not None:
            return facts
        if process.poll() is not None:
            break
        time.sleep(LOOK_SECONDS)
    text = said.read_text("utf-8", "replace").strip()
    raise internal(
        f"The demo's daemon did not start: {text or f'nothing was heard of it for {START_SECONDS:g} seconds'}"
    )


def _leave(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _environment(home: Path) -> dict[str, str]:
    """This process's environment without any setting of clipbridge's, and with a home directory of its own.

    So the demo's daemon is in nobody's way: the file by which DAWs find a daemon lies in the person's own directory.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLIPBRIDGE_")}
    package = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    environment["HOME"] = environment["USERPROFILE"] = str(home)
    if site.ENABLE_USER_SITE:
        # libraries that were installed for this person only are found by their home directory otherwise
        environment["PYTHONUSERBASE"] = site.getuserbase()
    return environment
