"""What a service is asked: each take its own call and seed, each knob where the model takes it, and said where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.job import Call, Job
from bridge.pipeline.prepare import Prepared
from bridge.pipeline.submit import plan, question
from bridge.providers.base import Knob, Model, Price, Question
from bridge.request import SEED_MAX, Request

RICH = Model(
    "rich",
    kinds=frozenset({"transform"}),
    strength_min=0.1,
    steps=Knob(10, 100, 10),
    guidance=Knob(1, 15),
    price=Price(0.2, per_step_usd=0.01, default_steps=50),
)
PLAIN = Model("plain", kinds=frozenset({"transform"}), takes_seed=False, takes_negative_prompt=False)
PREPARED = Prepared(
    frames=48_000, lead_frames=0, samplerate=48_000, channels=2, subtype="PCM_24", frames_sha256="", sent_file="sent.wav",
    peak=0.5, seconds=1.0,
)  # fmt: skip


def job(calls: tuple[Call, ...] = (), **wish: Any) -> Job:
    return Job(
        id="0123456789", created_at="", updated_at="", trigger="http", provider="x", calls=calls,
        request=Request.model_validate({"source": "/music/Loop 90.wav", "seed": 5, **wish}),
    )  # fmt: skip


def asked(model: Model, **wish: Any) -> tuple[Question, list[str]]:
    one = job(**wish)
    return question(one, plan(one, model)[0], model, PREPARED, Path("/home/jobs/x"))


def test_each_take_is_one_call_with_its_own_seed_and_price() -> None:
    calls = plan(job(seed=SEED_MAX, variations=3), RICH)
    assert [(call.take, call.seed) for call in calls] == [(1, SEED_MAX), (2, 1), (3, 2)]
    assert [call.estimated_usd for call in calls] == pytest.approx([0.7, 0.7, 0.7])


def test_calls_that_are_known_are_not_planned_again() -> None:
    known = (Call(take=2, state="done"), Call(take=1, state="uncertain"))
    assert [call.take for call in plan(job(known, variations=3), RICH)] == [3]


def test_a_service_is_told_what_was_asked() -> None:
    made, notes = asked(
        RICH, prompt="{name} as tape, {key}", negative_prompt="no {name}", strength=0.5, steps=20, guidance=3.5
    )
    assert notes == []
    assert made == Question(
        kind="transform",
        model="rich",
        prompt="Loop 90 as tape",
        negative_prompt="no Loop 90",
        strength=0.5,
        seed=5,
        steps=20,
        guidance=3.5,
        seconds=1.0,
        audio=Path("/home/jobs/x/sent.wav"),
        work_dir=Path("/home/jobs/x"),
        label="1-1",
    )


def test_a_knob_that_was_not_turned_is_left_to_the_model() -> None:
    made, notes = asked(RICH)
    assert (made.steps, made.guidance, notes) == (None, None, [])


def test_a_value_outside_its_range_or_grid_is_brought_to_the_nearest_and_said() -> None:
    made, notes = asked(RICH, steps=1_000, guidance=0.0, strength=0.05)
    assert (made.steps, made.guidance, made.strength) == (100, 1, 0.1)
    assert len(notes) == 3
    assert any("steps" in note and "100" in note and "1000" in note for note in notes)
    assert asked(RICH, steps=44)[0].steps == 40
    assert asked(RICH, steps=45)[0].steps == 50


def test_a_knob_that_the_service_lacks_is_left_out_and_said() -> None:
    made, notes = asked(PLAIN, steps=20, guidance=2, negative_prompt="drums")
    assert (made.steps, made.guidance, made.negative_prompt, made.seed) == (None, None, "", None)
    for word in ("steps", "guidance", "negative prompt", "seed"):
        assert any(word in note for note in notes), word
    assert asked(PLAIN)[1] == [note for note in notes if "seed" in note]
