"""A service's tables: what follows from its knobs, its price and its limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import ClipError
from bridge.providers.base import Answer, Knob, Model, Price, Provider, Question, Running


class Plain(Provider):
    name = "plain"
    models = (Model("small", kinds=frozenset({"transform"})), Model("large", kinds=frozenset({"generate"})))

    async def ask(self, question: Question) -> Answer:
        return Running("1")


@settings(deadline=None)
@given(
    minimum=st.floats(-100, 100),
    width=st.floats(0, 100),
    grid=st.none() | st.floats(0.01, 10),
    value=st.floats(-1_000, 1_000),
)
def test_a_knob_never_leaves_its_range(minimum: float, width: float, grid: float | None, value: float) -> None:
    knob = Knob(minimum, minimum + width, grid)
    nearest = knob.nearest(value)
    assert knob.minimum <= nearest <= knob.maximum
    assert knob.nearest(nearest) == pytest.approx(nearest)


def test_a_knob_with_a_grid_only_takes_values_on_it() -> None:
    knob = Knob(1, 10, 3)
    assert [knob.nearest(value) for value in (0, 1, 2, 2.5, 4, 9, 99)] == [1, 1, 1, 4, 4, 10, 10]


@pytest.mark.parametrize("value", [0, 5, 9.9, 10, 11, 99])
def test_a_grid_that_does_not_meet_the_range_s_end_is_kept_all_the_same(value: float) -> None:
    assert Knob(0, 10, 4).nearest(value) in {0, 4, 8}


def test_steps_cost_where_the_price_says_so() -> None:
    assert Price(0.2).of(None) == Price(0.2).of(500) == 0.2
    assert Price(0.1, 0.01, 50).of(None) == pytest.approx(0.6)
    assert Price(0.1, 0.01, 50).of(10) == pytest.approx(0.2)


def test_a_model_says_what_it_cannot_do() -> None:
    model = Model("m", kinds=frozenset({"transform"}), input_max_seconds=10)
    assert model.refusal("transform", 10) is None
    other, long = model.refusal("inpaint", 1), model.refusal("transform", 10.5)
    assert other is not None
    assert long is not None
    assert (other.code, long.code) == ("no_provider", "too_long")
    assert "transform" in other.message
    assert "10.5 s" in long.message


def test_a_model_is_found_by_name_and_the_first_is_the_services_own_choice() -> None:
    plain = Plain()
    assert plain.model(None).name == "small"
    assert plain.model("large").name == "large"
    with pytest.raises(ClipError, match="small, large") as caught:
        plain.model("huge")
    assert caught.value.code == "bad_request"


async def test_a_service_that_says_nothing_else_cannot_stop_and_never_answers_later() -> None:
    plain = Plain()
    assert plain.why_not() is None
    assert await plain.stop(Running("1")) is False
    question = Question("transform", "small", "", "", 0.5, 1, None, None, 1.0, None, Path(), "1-1")
    with pytest.raises(ClipError) as caught:
        await plain.look(question, Running("1"))
    assert caught.value.code == "internal"
    await plain.close()
