"""How the command line speaks: calm lines and tables, colours only on terminals, nothing cut where a program reads.

Turns jobs, presets and providers into text; where they come from is the commands' business.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import typer

from bridge.errors import ClipError

COLOURS: Final = {
    "delivered": "green",
    "failed": "red",
    "cancelled": "bright_black",
    "uncertain": "magenta",
    "held": "yellow",
    "refused": "red",
}  # the states in between: cyan
WORK_COLOUR: Final = "cyan"
DIM: Final = "bright_black"
UNCUT_COLUMNS: Final = 10_000
LEAST_COLUMNS: Final = 8  # what a shortened column keeps
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def prepare_output() -> None:
    """Lets any file name be printed: its own bytes where that can be, else a mark for what cannot be shown."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace" if sys.platform == "win32" else "surrogateescape")


def is_terminal() -> bool:
    return sys.stdout.isatty()


def document(content: Any) -> None:
    """The one JSON document of `--json`; escaped to ASCII, so that no terminal and no pipe can spoil it."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def line(text: str = "", *, colour: str | None = None, error: bool = False) -> None:
    """One line, not wrapped: a path in it can be copied."""
    plain = bool(os.environ.get("NO_COLOR"))
    typer.secho(text, fg=None if plain else colour, err=error)


def painted(text: str, colour: str) -> str:
    """A part of a line in a colour; the colour is taken away again where the output is no terminal."""
    return text if os.environ.get("NO_COLOR") else typer.style(text, fg=colour)


def problem(error: ClipError) -> None:
    """What went wrong, and what to do, on stderr."""
    line(safe(error.message, keep_lines=True), colour="red", error=True)
    line(error.hint, error=True)


def safe(text: str, *, keep_lines: bool = False) -> str:
    """The text with control characters made visible, so that no file name can steer a terminal."""
    return _CONTROL.sub(
        lambda match: match[0] if keep_lines and match[0] == "\n" else match[0].encode("unicode_escape").decode(), text
    )


# ---- words for values -----------------------------------------------------------------------------------------------


def colour_of(state: str) -> str:
    return COLOURS.get(state, WORK_COLOUR)


def clip_name(request: Mapping[str, Any]) -> str:
    """What a person calls the clip: the name of its file, or the first words of the prompt it is made from."""
    source = request.get("source")
    if isinstance(source, str):
        return safe(re.split(r"[\\/]", source)[-1])
    return safe(" ".join(str(request.get("prompt", "")).split()[:5])) or "-"


def by(job: Mapping[str, Any]) -> str:
    """Who does it; at strength 0 nobody has to."""
    return "a copy" if job["provider"] == "none" else str(job["provider"])


def price(job: Mapping[str, Any]) -> str:
    """What was charged, or about what will be."""
    charged, estimated = job["charged_usd"], job["estimated_usd"]
    if job["state"] == "uncertain" or charged is None:
        return "unknown"
    if charged:
        return usd(charged)
    return (
        "free" if not estimated or job["state"] in {"delivered", "failed", "cancelled"} else f"about {usd(estimated)}"
    )


def usd(amount: float) -> str:
    """Dollars to the cent, finer where a cent is too coarse."""
    if not amount:
        return "free"
    return (
        f"${amount:.2f}"
        if amount >= 0.01 and abs(amount * 100 - round(amount * 100)) < 1e-6
        else f"${amount:.4f}".rstrip("0")
    )


def age(stamp: str, now_seconds: float | None = None) -> str:
    """How long ago a moment was, in one short word."""
    seconds = max(0.0, (time.time() if now_seconds is None else now_seconds) - _moment(stamp).timestamp())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def moment(stamp: str) -> str:
    """A moment in this computer's time, without the day where it is today."""
    local = _moment(stamp).astimezone()
    return f"{local:%H:%M:%S}" if local.date() == datetime.now().astimezone().date() else f"{local:%Y-%m-%d %H:%M}"


def held_until(job: Mapping[str, Any]) -> str:
    """Why a job waits and until when, as the end of a sentence."""
    why = {
        "budget": "the budget is used up",
        "network": "the network is away",
        "provider_down": "the provider does not answer",
        "rate_limit": "the provider asks to go slower",
        "source_unfinished": "the file is not whole yet",
    }
    held = job["held"]
    return f"{why.get(held['reason'], held['reason'])}; looked at again at {moment(held['until'])}"


def took(job: Mapping[str, Any]) -> str:
    """From its making to its last change."""
    seconds = (_moment(job["updated_at"]) - _moment(job["created_at"])).total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def take_facts(take: Mapping[str, Any]) -> str:
    """Length, format and level of a take in one line."""
    facts = [
        f"{take['frames'] / take['samplerate']:.3f} s",
        f"{take['samplerate']:,} Hz",
        channels(take["channels"]),
        sample_format(take["subtype"]),
    ]
    if take["lufs"] is not None:
        facts.append(f"{take['lufs']:.1f} LUFS")
    if take["true_peak_dbtp"] is not None:
        facts.append(f"{take['true_peak_dbtp']:.1f} dBTP")
    return ", ".join(facts)


def channels(count: int) -> str:
    return {1: "mono", 2: "stereo"}.get(count, f"{count} channels")


def sample_format(subtype: str) -> str:
    """What producers call soundfile's subtypes."""
    names = {"FLOAT": "32 bit float", "DOUBLE": "64 bit float", "PCM_U8": "8 bit", "PCM_S8": "8 bit"}
    bits = re.fullmatch(r"(?:PCM|ALAC)_(\d+)", subtype)
    return names.get(subtype) or (f"{bits[1]} bit" if bits else subtype.replace("_", " ").title())


def _moment(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)


# ---- jobs as lines --------------------------------------------------------------------------------------------------


def accepted(job: Mapping[str, Any]) -> None:
    """A new job in one line: its state at the door, its name for later, and who does it for how much."""
    word = "held" if job["state"] == "held" else "accepted"
    line(_headed(word, job, f"{job['request']['preset']}, {by(job)}, {price(job)}"))
    if job["state"] == "held":
        line(f"  {held_until(job)}", colour=DIM)


def step(job: Mapping[str, Any]) -> None:
    """Where a job is now, in one line."""
    line(_headed(job["state"], job, ""))


def outcome(job: Mapping[str, Any]) -> None:
    """How a job ended (or where it is left waiting): its takes and notes, and what to do where it failed."""
    for text in outcome_lines(job):
        line(text)


def outcome_lines(job: Mapping[str, Any]) -> list[str]:
    if job["id"] is None:
        state, about = "refused", ""
    else:
        state, about = job["state"], f"{job['request']['preset']}, {by(job)}, {price(job)}, {took(job)}"
    lines = [_headed(state, job, about)]
    for take in job.get("takes", ()):
        lines.append(f"  {safe(take['path'])}")
        lines += [painted(f"    {safe(note)}", DIM) for note in take["notes"]]
    if state == "held":
        lines.append(f"  {held_until(job)}.")
        lines.append("  It goes on by itself while clipbridge runs.")
    if job["error"] is not None:
        lines.append(f"  {safe(job['error']['message'])}")
        lines.append(f"  {job['error']['hint']}")
    return lines


def _headed(state: str, job: Mapping[str, Any], about: str) -> str:
    head = f"{painted(state.ljust(10), colour_of(state))}  {(job['id'] or '-').ljust(10)}  {clip_name(job['request'])}"
    return f"{head}  {painted(about, DIM)}" if about else head


# ---- tables ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One row of a table: its cells, a colour for some of them by column, and lines that go below it, indented."""

    cells: Sequence[str]
    colours: Mapping[int, str] = field(default_factory=dict)
    below: Sequence[str] = ()


def table(
    heads: Sequence[str], rows: Sequence[Row], *, right: Collection[int] = (), flexible: Collection[int] = ()
) -> None:
    """Prints columns two spaces apart, those in `right` to the right.

    On a terminal the `flexible` ones are shortened, the widest first, until all fits; where a program reads, none is.
    """
    for text in table_lines(heads, rows, right=right, flexible=flexible, width=columns_of_terminal()):
        line(text)


def table_lines(
    heads: Sequence[str],
    rows: Sequence[Row],
    *,
    right: Collection[int] = (),
    flexible: Collection[int] = (),
    width: int = UNCUT_COLUMNS,
) -> list[str]:
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(heads, *(row.cells for row in rows), strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > width:
        widest = max(flexible, key=lambda place: widths[place], default=None)
        if widest is None or widths[widest] <= LEAST_COLUMNS:
            break
        widths[widest] -= 1

    def laid_out(cells: Sequence[str], colours: Mapping[int, str]) -> str:
        texts = []
        for place, cell in enumerate(cells):
            text = shortened(cell, widths[place])
            space = " " * (widths[place] - cell_len(text))
            if place in colours:
                text = painted(text, colours[place])
            texts.append(space + text if place in right else text + space)
        return "  ".join(texts).rstrip()

    lines = [laid_out(heads, dict.fromkeys(range(len(heads)), DIM))]
    for row in rows:
        lines.append(laid_out(row.cells, row.colours))
        lines += [painted(shortened(f"  {text}", width), DIM) for text in row.below]
    return lines


def shortened(text: str, width: int) -> str:
    """The text in at most `width` columns of a terminal, with a mark where it was cut."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def columns_of_terminal() -> int:
    return shutil.get_terminal_size().columns if is_terminal() else UNCUT_COLUMNS
