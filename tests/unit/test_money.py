"""What a request will cost, and that a limit is a limit."""

from __future__ import annotations

import pytest

from bridge import money
from bridge.errors import ClipError
from bridge.providers.base import FREE, Knob, Model, Price
from bridge.request import Request

PAID = Model(
    "paid",
    kinds=frozenset({"transform"}),
    steps=Knob(10, 50, 1),
    price=Price(0.10, per_step_usd=0.01, default_steps=20),
)


def request(**fields: object) -> Request:
    return Request.model_validate({"source": "/clip.wav", **fields})


def test_each_take_is_a_call_that_costs() -> None:
    price = money.estimate(request(variations=3), PAID)
    assert price.calls == 3
    assert price.usd_per_call == pytest.approx(0.30)
    assert price.usd == pytest.approx(0.90)


def test_steps_count_as_the_model_will_take_them() -> None:
    assert money.estimate(request(steps=30), PAID).usd == pytest.approx(0.40)
    assert money.estimate(request(steps=900), PAID).usd == pytest.approx(0.60)
    assert money.estimate(request(steps=1), PAID).usd == pytest.approx(0.20)


def test_what_runs_on_this_computer_is_free() -> None:
    free = Model("free", kinds=frozenset({"transform"}), price=FREE)
    price = money.estimate(request(variations=8), free)
    assert price.usd == 0
    money.check(price, request(max_price_usd=0), per_job_usd=0)


def test_the_requests_own_limit_and_the_budgets_both_hold() -> None:
    price = money.Estimate(1, 0.50)
    money.check(price, request(max_price_usd=0.5), per_job_usd=0.5)
    for wish, per_job_usd, named in [
        (request(max_price_usd=0.49), 1.0, "max_price_usd"),
        (request(), 0.49, "per_job_usd"),
        (request(max_price_usd=9.0), 0.49, "per_job_usd"),
    ]:
        with pytest.raises(ClipError, match=named) as caught:
            money.check(price, wish, per_job_usd)
        assert caught.value.code == "over_budget"
        assert caught.value.charged == "no"
