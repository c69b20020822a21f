"""What a person reads: short words for values, tables that fit a terminal, and no file name that can steer one."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from bridge.cli import show
from bridge.job import Job, Take, timestamp
from bridge.request import Request

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def job(**changes: Any) -> dict[str, Any]:
    now = timestamp()
    request = Request(source="/music/my loop.wav", preset="warm", strength=0.5)
    made = Job(id="0123456789", created_at=now, updated_at=now, trigger="cli", request=request, provider="dsp")
    return made.model_copy(update=changes).public()


@pytest.mark.parametrize(
    ("seconds", "word"),
    [(0.2, "0 s"), (59, "59 s"), (61, "1 min"), (3 * 3600 + 5, "3 h"), (50 * 3600, "2 d"), (-5, "0 s")],
)
def test_an_age_is_one_short_word(seconds: float, word: str) -> None:
    assert show.age(timestamp(1_000_000), 1_000_000 + seconds) == word


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "free"), (0.2, "$0.20"), (1, "$1.00"), (0.0625, "$0.0625"), (0.005, "$0.005"), (12.34, "$12.34")],
)
def test_an_amount_is_shown_to_the_cent_or_as_fine_as_it_is(amount: float, text: str) -> None:
    assert show.usd(amount) == text


def test_a_price_says_whether_it_is_charged_estimated_or_unknown() -> None:
    assert show.price(job()) == "free"
    assert show.price(job(estimated_usd=0.2)) == "about $0.20"
    assert show.price(job(estimated_usd=0.2, charged_usd=0.25, state="delivered")) == "$0.25"
    assert show.price(job(estimated_usd=0.2, charged_usd=0.0, state="cancelled")) == "free"
    assert show.price(job(estimated_usd=0.2, charged_usd=None, state="uncertain")) == "unknown"


@pytest.mark.parametrize(
    ("subtype", "words"),
    [("PCM_16", "16 bit"), ("PCM_24", "24 bit"), ("FLOAT", "32 bit float"), ("PCM_U8", "8 bit"), ("VORBIS", "Vorbis")],
)
def test_sample_formats_have_the_names_that_producers_use(subtype: str, words: str) -> None:
    assert show.sample_format(subtype) == words


def test_a_take_is_told_in_one_line() -> None:
    take = Take(
        path="/t.wav", take=1, seed=7, frames=66150, samplerate=44100, channels=2, subtype="PCM_24", lufs=-14.04
    )
    assert show.take_facts(take.model_dump()) == "1.500 s, 44,100 Hz, stereo, 24 bit, -14.0 LUFS"


def test_a_file_name_cannot_steer_the_terminal() -> None:
    assert show.safe("a\nb\x1b[2Jc\u2028") == "a\\nb\\x1b[2Jc\\u2028"
    assert show.clip_name({"source": "/x/evil\x07name.wav"}) == "evil\\x07name.wav"
    assert show.clip_name({"source": r"C:\Sounds\kick.wav"}) == "kick.wav"


def test_a_clip_made_from_words_is_named_by_the_first_five() -> None:
    assert show.clip_name({"source": None, "prompt": "one two three four five six"}) == "one two three four five"


def test_a_refused_file_is_told_with_what_to_do() -> None:
    refused = {
        "id": None,
        "state": "failed",
        "request": {"source": "/music/gone.wav"},
        "error": {
            "code": "source_not_found",
            "message": "It was not found.",
            "hint": "Check the path.",
            "charged": "no",
        },
    }
    lines = [ANSI.sub("", line) for line in show.outcome_lines(refused)]
    assert lines == ["refused     -           gone.wav", "  It was not found.", "  Check the path."]


def test_a_table_shortens_only_what_may_be_shortened() -> None:
    rows = [
        show.Row(["0123456789", "a very long name of a loop that goes on and on.wav", "$0.20"], {1: "cyan"}),
        show.Row(["9876543210", "短い名前.wav", "free"], below=["why it waits " * 10]),
    ]
    lines = [
        ANSI.sub("", line)
        for line in show.table_lines(["ID", "CLIP", "PRICE"], rows, right={2}, flexible={1}, width=40)
    ]
    assert lines == [
        "ID          CLIP                   PRICE",
        "0123456789  a very long name of…   $0.20",
        "9876543210  短い名前.wav            free",
        "  why it waits why it waits why it wait…",
    ]


def test_a_table_for_a_program_is_never_cut() -> None:
    name = "x" * 300
    lines = show.table_lines(["CLIP"], [show.Row([name])], flexible={0})
    assert lines[1] == name


def test_no_colour_where_a_person_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ANSI.search(show.painted("delivered", "green"))
    monkeypatch.setenv("NO_COLOR", "1")
    assert show.painted("delivered", "green") == "delivered"


def test_a_name_that_is_no_text_survives_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    show.document({"source": "/music/\udcff.wav"})
    assert json.loads(capsys.readouterr().out) == {"source": "/music/\udcff.wav"}


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: names are bytes there")
def test_a_name_that_is_no_text_can_be_printed(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with open(1, "w", encoding="utf-8", closefd=False) as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        show.prepare_output()
        show.line("\udcff.wav")
    assert capfdbinary.readouterr().out == b"\xff.wav\n"
