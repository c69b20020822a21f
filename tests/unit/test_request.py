"""What a person may ask for, and what they are told when they ask for something else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import ClipError
from bridge.request import (
    CONTEXT_MAX_BYTES,
    PRESET_KEYS,
    SEED_MAX,
    SEED_MIN,
    Request,
    Span,
    fingerprint,
    resolve,
)

CLIP = "/music/clip.wav"


def refused(wish: object, preset: dict[str, Any] | None = None) -> ClipError:
    with pytest.raises(ClipError) as caught:
        resolve(wish, preset or {})
    assert caught.value.code == "bad_request"
    assert caught.value.charged == "no"
    assert caught.value.hint
    return caught.value


# ---- what counts ------------------------------------------------------------------------------------------------------


def test_what_is_not_said_has_the_contracts_default() -> None:
    request = resolve({"source": CLIP}, {})
    assert request.model_dump(exclude={"source"}) == {
        "region": None,
        "preset": None,
        "prompt": "",
        "negative_prompt": "",
        "provider": "auto",
        "model": None,
        "strength": 0.6,
        "seed": None,
        "variations": 1,
        "steps": None,
        "guidance": None,
        "duration": None,
        "mask": None,
        "extend": None,
        "tempo": None,
        "key": None,
        "meter": None,
        "detect": False,
        "loop": False,
        "match_loudness": True,
        "fit_tempo": False,
        "channels": "as_source",
        "deliver_to": None,
        "max_price_usd": None,
        "batch": None,
        "context": {},
        "client_id": None,
    }


def test_what_is_said_counts_before_the_preset() -> None:
    request = resolve({"source": CLIP, "prompt": "mine"}, {"prompt": "the preset's", "strength": 0.9})
    assert (request.prompt, request.strength) == ("mine", 0.9)


def test_every_key_of_a_preset_is_a_key_of_a_request() -> None:
    assert {"prompt", "strength", "provider", "variations"} <= PRESET_KEYS
    assert not PRESET_KEYS & {"source", "region", "preset", "client_id", "deliver_to", "context", "batch"}


def test_a_request_cannot_be_changed_afterwards() -> None:
    request = resolve({"source": CLIP}, {})
    with pytest.raises(ValueError, match="frozen"):
        request.strength = 1.0


# ---- what is refused --------------------------------------------------------------------------------------------------


def test_all_mistakes_are_named_at_once_with_what_was_meant() -> None:
    error = refused({"source": CLIP, "strenght": 0.5, "seed": 0, "variations": 9, "provider": "stabilty"})
    for part in ('strenght is an unknown key (did you mean "strength"?)', "seed", "variations", "stabilty"):
        assert part in error.message


def test_an_unknown_key_inside_a_region_is_named() -> None:
    error = refused({"source": CLIP, "region": {"start": 0, "end": 1, "units": "frames", "unit": "frames"}})
    assert 'region.units is an unknown key (did you mean "unit"?)' in error.message


@pytest.mark.parametrize("wish", [[], [{"source": CLIP}], "text", 5, None, True])
def test_only_an_object_is_a_request(wish: object) -> None:
    assert "JSON object" in refused(wish).message


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": "clip.wav"},
        {"source": "./clip.wav"},
        {"source": "~/clip.wav"},
        {"source": "file:///clip.wav"},
        {"source": ""},
        {"source": "/clip\0.wav"},
        {"source": 5},
        {"source": ["/clip.wav"]},
        {"deliver_to": "takes"},
        {"deliver_to": "/takes\0"},
        {"strength": -0.01},
        {"strength": 1.01},
        {"strength": "0.5"},
        {"strength": True},
        {"strength": float("nan")},
        {"strength": float("inf")},
        {"seed": 0},
        {"seed": SEED_MAX + 1},
        {"seed": 5.0},
        {"seed": True},
        {"seed": "5"},
        {"variations": 0},
        {"variations": 9},
        {"variations": 1.0},
        {"steps": 0},
        {"guidance": -1},
        {"duration": 3},
        {"tempo": 0},
        {"tempo": float("nan")},
        {"meter": "four"},
        {"meter": "4/4\n"},
        {"detect": 1},
        {"loop": "yes"},
        {"match_loudness": 0},
        {"channels": "mono"},
        {"provider": "nobody"},
        {"provider": "Loopback"},
        {"model": ""},
        {"preset": ""},
        {"max_price_usd": -1},
        {"max_price_usd": float("inf")},
        {"batch": ""},
        {"client_id": ""},
        {"client_id": 5},
        {"context": []},
        {"context": "text"},
        {"prompt": None},
        {"prompt": 5},
        {"region": [0, 1]},
        {"region": {"start": 0, "end": 1}},
        {"region": {"start": 1, "end": 1, "unit": "seconds"}},
        {"region": {"start": 2, "end": 1, "unit": "frames"}},
        {"region": {"start": -1, "end": 1, "unit": "frames"}},
        {"region": {"start": 0.5, "end": 2, "unit": "frames"}},
        {"region": {"start": 0, "end": float("inf"), "unit": "seconds"}},
        {"region": {"start": 0, "end": 1, "unit": "beats"}},
        {"extend": {"before": 1, "after": 0}, "strength": 0},
        {"extend": {"before": -1}},
    ],
)
def test_a_value_that_is_not_allowed_is_refused_and_its_key_named(wrong: dict[str, Any]) -> None:
    error = refused({"source": CLIP, **wrong})
    assert any(key in error.message for key in wrong)


def test_without_a_source_a_duration_is_needed_and_nothing_of_a_file() -> None:
    assert "duration" in refused({"prompt": "rain"}).message
    assert "source" in refused({"duration": 3, "region": {"start": 0, "end": 1, "unit": "seconds"}}).message
    assert resolve({"prompt": "rain", "duration": 3}, {}).kind == "generate"


def test_half_a_character_is_refused_in_words() -> None:
    # JSON can hold them, no file name on disk and no answer over HTTP can
    assert "source" in refused({"source": "/music/\udcff.wav"}).message
    refused({"source": CLIP, "context": {"mine": "\ud800"}})
    refused({"source": CLIP, "context": {"\ud800": 1}})
    refused({"source": CLIP, "prompt": "\udfff"})


# ---- context: the sender's own ----------------------------------------------------------------------------------------


def test_context_may_hold_two_thousand_bytes_of_json() -> None:
    fitting = {"a": "x" * (CONTEXT_MAX_BYTES - len('{"a":""}'))}
    assert resolve({"source": CLIP, "context": fitting}, {}).context == fitting
    error = refused({"source": CLIP, "context": {"a": fitting["a"] + "x"}})
    assert "2000 bytes" in error.message.replace(",", "")


def test_contexts_bytes_are_counted_not_its_letters() -> None:
    refused({"source": CLIP, "context": {"a": "é" * 1_000}})


def test_a_context_that_is_no_json_is_refused() -> None:
    refused({"source": CLIP, "context": {"a": float("nan")}})
    refused({"source": CLIP, "context": {"a": float("-inf")}})


def test_a_context_of_endless_boxes_in_boxes_is_refused() -> None:
    nested: Any = []
    for _ in range(900):
        nested = [nested]
    assert "context" in refused({"source": CLIP, "context": {"a": nested}}).message


def test_a_context_comes_back_untouched() -> None:
    context = {"track": 3, "big": 2**70, "float": 1.0, "none": None, "deep": {"list": [1, "é", True, "🥁"]}}
    request = resolve({"source": CLIP, "context": context}, {})
    again = Request.model_validate_json(request.model_dump_json())
    assert json.dumps(again.model_dump(mode="json")["context"]) == json.dumps(context)


# ---- regions ----------------------------------------------------------------------------------------------------------


def test_seconds_go_to_the_nearest_frame_and_halves_up() -> None:
    assert Span(start=0.5, end=1.5, unit="seconds").in_frames(1) == (1, 2)
    assert Span(start=0.1, end=0.3, unit="seconds").in_frames(44_100) == (4_410, 13_230)


def test_frames_are_frames_whatever_the_rate() -> None:
    assert Span(start=3, end=7, unit="frames").in_frames(8_000) == (3, 7)


@settings(deadline=None)
@given(
    start=st.floats(0, 1e308, allow_nan=False),
    length=st.floats(1e-9, 1e308, allow_nan=False),
    samplerate=st.sampled_from([4_000, 44_100, 48_000, 384_000]),
)
def test_any_region_that_is_accepted_has_frames(start: float, length: float, samplerate: int) -> None:
    try:
        span = Span(start=start, end=start + length, unit="seconds")
    except ValueError:
        return
    first, last = span.in_frames(samplerate)
    assert 0 <= first <= last


# ---- seeds ------------------------------------------------------------------------------------------------------------


def test_each_take_has_the_next_seed_and_the_largest_is_followed_by_one() -> None:
    request = resolve({"source": CLIP, "seed": SEED_MAX - 1, "variations": 4}, {})
    assert [request.seed_of_take(take) for take in (1, 2, 3, 4)] == [SEED_MAX - 1, SEED_MAX, 1, 2]


@settings(deadline=None)
@given(seed=st.integers(SEED_MIN, SEED_MAX), take=st.integers(1, 8))
def test_a_takes_seed_is_always_an_allowed_one(seed: int, take: int) -> None:
    found = Request(source=CLIP, seed=seed).seed_of_take(take)
    assert found is not None
    assert SEED_MIN <= found <= SEED_MAX
    assert Request(source=CLIP, seed=seed).seed_of_take(1) == seed


def test_there_is_no_seed_before_one_is_chosen() -> None:
    assert Request(source=CLIP).seed_of_take(2) is None


# ---- placeholders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("pad, {key}, soft", "pad, A minor, soft"),
        ("{name} at {tempo} bpm, {meter}", "drums at 90.5 bpm, 7/8"),
        ("no placeholder, {unknown}", "no placeholder, {unknown}"),
        ("{key}{key}", "A minorA minor"),
    ],
)
def test_placeholders_are_filled(text: str, filled: str) -> None:
    request = Request(source=CLIP, tempo=90.5, key="A minor", meter="7/8")
    assert request.filled_prompt(text, "drums") == filled


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("pad, {key}, soft", "pad, soft"),
        ("pad,{key},soft", "pad,soft"),
        ("{key}, soft", "soft"),
        ("pad, {key}", "pad"),
        ("pad {key} soft", "pad soft"),
        ("{key}", ""),
        ("{key} {tempo}", ""),
        ("{key}, {tempo}, {meter}", ""),
        ("pad, {key}, {tempo}, soft", "pad, soft"),
    ],
)
def test_a_placeholder_without_a_value_vanishes_with_its_comma_or_space(text: str, filled: str) -> None:
    assert Request(source=CLIP).filled_prompt(text, "drums") == filled


def test_what_fills_a_placeholder_is_not_filled_again() -> None:
    assert Request(source=CLIP, key="{name}", tempo=120).filled_prompt("{key} {tempo}", "drums") == "{name} 120"


# ---- kinds and repeats ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "kind"),
    [
        ({"source": CLIP}, "transform"),
        ({"source": CLIP, "strength": 0}, "copy"),
        ({"source": CLIP, "strength": 0, "mask": {"start": 0, "end": 1, "unit": "seconds"}}, "copy"),
        ({"source": CLIP, "mask": {"start": 0, "end": 1, "unit": "seconds"}}, "inpaint"),
        ({"source": CLIP, "extend": {"after": 2}}, "outpaint"),
        ({"source": CLIP, "extend": {"before": 0, "after": 0}}, "transform"),
        ({"duration": 2.0}, "generate"),
    ],
)
def test_what_is_wanted_follows_from_the_request(wish: dict[str, Any], kind: str) -> None:
    assert resolve(wish, {}).kind == kind


def test_equal_requests_have_equal_fingerprints_whatever_the_order_of_their_keys() -> None:
    one = {"source": CLIP, "region": {"start": 0, "end": 48_000, "unit": "frames"}, "strength": 1}
    two = {"strength": 1.0, "region": {"unit": "frames", "end": 48_000.0, "start": 0}, "source": CLIP}
    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(one) != fingerprint({**one, "strength": 0.5})
    assert fingerprint({"loop": True}) != fingerprint({"loop": 1})
