"""A job's public face, its name for a person, and its times."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import ClipError
from bridge.job import (
    ENDS,
    ID_ALPHABET,
    LIVING,
    Call,
    Held,
    Job,
    Problem,
    Take,
    new_id,
    seconds_of,
    timestamp,
)
from bridge.request import Request

NOW = "2026-01-02T03:04:05.678Z"


def job(**fields: object) -> Job:
    return Job.model_validate(
        {
            "id": "0123456789",
            "created_at": NOW,
            "updated_at": NOW,
            "trigger": "http",
            "request": Request(source="/music/clip.wav"),
            "provider": "dsp",
            **fields,
        }
    )


def take(**fields: object) -> Take:
    known = {"path": "/t.wav", "take": 1, "seed": 7, "frames": 10, "samplerate": 48_000, "channels": 2}
    return Take.model_validate({**known, "subtype": "PCM_24", **fields})


def test_a_job_is_shown_with_exactly_the_keys_of_the_contract() -> None:
    shown = job(
        calls=(Call(take=1, handle={"secret": "x"}, seed=7, result_file="r.wav"),),
        takes=(take(placed=True, sha256="ab"),),
        origin={"folder": "/x"},
        given="{}",
        priority=10,
        cut={"frames": 1},
        why_not={"stability": "no key"},
    ).public()
    keys = (
        "id state progress message created_at updated_at trigger request provider model estimated_usd charged_usd held"
        " calls takes error"
    )
    assert set(shown) - {"why_not"} == set(keys.split())
    assert set(shown["calls"][0]) == {"take", "piece", "provider_job_id", "state", "charged_usd", "available_until"}
    take_keys = "path take seed frames samplerate channels subtype lufs source_lufs true_peak_dbtp notes"
    assert set(shown["takes"][0]) == set(take_keys.split())
    assert set(shown["request"]) == set(Request.model_fields)
    json.dumps(shown, allow_nan=False)


def test_a_take_is_shown_only_once_its_file_has_its_name() -> None:
    shown = job(takes=(take(take=1, placed=False), take(take=2, placed=True))).public()
    assert [one["take"] for one in shown["takes"]] == [2]


def test_a_job_either_lives_or_has_ended() -> None:
    assert set(LIVING) | ENDS == {
        "queued", "preparing", "submitting", "rendering", "fetching", "conforming", "delivered",
        "held", "failed", "cancelled", "uncertain",
    }  # fmt: skip
    assert not set(LIVING) & ENDS
    assert "held" in LIVING
    assert job(state="held", held=Held(reason="network", until=NOW)).living
    assert not job(state="uncertain").living


def test_a_job_comes_back_from_json_as_it_was() -> None:
    error = Problem.of(ClipError("bad_result", "It came back empty.", hint="Try again.", charged="yes"))
    known = job(calls=(Call(take=1, error=error, charged_usd=0.1),), takes=(take(lufs=-14.0),), error=error)
    assert Job.model_validate_json(known.model_dump_json()) == known
    assert error.as_error().to_dict() == error.model_dump()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/music/Loop 90.wav", "Loop 90"),
        ("/music/archive.tar.gz", "archive.tar"),
        ("/music/noending", "noending"),
        ("/music/.hidden", ".hidden"),
        ("C:\\Music\\drums.wav", "drums"),
        ("/music/trailing..wav", "trailing."),
    ],
)
def test_a_clip_is_called_after_its_file(source: str, name: str) -> None:
    assert job(request=Request(source=source)).clip_name == name


def test_without_a_file_a_clip_is_called_after_the_prompts_first_five_words() -> None:
    wish = Request(duration=2.0, prompt="  warm\n rain on a tin roof tonight ")
    assert job(request=wish).clip_name == "warm rain on a tin"


def test_an_id_is_short_and_holds_nothing_to_mistake() -> None:
    made = {new_id() for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(re.fullmatch(f"[{ID_ALPHABET}]{{10}}", one) for one in made)
    assert not set("ilou") & set(ID_ALPHABET)


def test_times_are_rfc_3339_in_utc() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamp())


@settings(deadline=None)
@given(st.integers(0, 4_000_000_000_000))
def test_a_time_is_read_back_to_the_millisecond(milliseconds: int) -> None:
    assert abs(seconds_of(timestamp(milliseconds / 1_000)) - milliseconds / 1_000) < 0.0011
