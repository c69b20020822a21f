"""Who does it: the named one or nobody, with `auto` the first that can, and always why not the others."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.errors import ClipError
from bridge.providers import Providers
from bridge.providers.base import Settings
from bridge.request import Request


async def no_task(*_: Any, **__: Any) -> dict[str, Any]:
    raise AssertionError("choosing runs nothing")


def providers(*order: str, **settings: Settings) -> Providers:
    return Providers(order or ("stability", "fal", "dsp"), settings, no_task)


def request(**wish: Any) -> Request:
    return Request.model_validate({"source": "/clip.wav", **wish})


def refused(wish: Request, known: Providers) -> ClipError:
    with pytest.raises(ClipError) as caught:
        known.choose(wish, 5.0)
    assert caught.value.hint
    return caught.value


def test_auto_takes_the_first_that_can_and_says_why_not_the_others() -> None:
    choice = providers().choose(request(), 5.0)
    assert (choice.provider.name, choice.model.name) == ("dsp", "dsp")
    assert set(choice.why_not) == {"stability", "fal"}
    assert all(choice.why_not.values())


def test_a_named_provider_is_taken_without_looking_at_others() -> None:
    choice = providers().choose(request(provider="loopback"), 5.0)
    assert (choice.provider.name, choice.why_not) == ("loopback", {})


def test_a_named_provider_is_never_replaced_by_another() -> None:
    assert refused(request(provider="stability"), providers()).code == "no_provider"


def test_loopback_is_never_taken_by_auto() -> None:
    error = refused(request(), providers("loopback"))
    assert error.code == "no_provider"
    assert "only by name" in error.message


def test_one_that_is_switched_off_is_not_taken() -> None:
    off = providers(dsp=Settings(enabled=False))
    assert "switched off" in refused(request(provider="dsp"), off).message
    assert "switched off" in refused(request(), off).message
    shown = {one["name"]: one for one in off.overview()}
    assert shown["dsp"]["ready"] is False
    assert "switched off" in shown["dsp"]["why_not"]


def test_what_nobody_can_do_is_refused_with_everybodys_reason() -> None:
    error = refused(request(mask={"start": 0, "end": 1, "unit": "seconds"}), providers())
    assert error.code == "no_provider"
    for name in ("stability", "fal", "dsp"):
        assert name in error.message


def test_a_model_that_is_not_there_is_the_requests_mistake() -> None:
    assert refused(request(provider="dsp", model="huge"), providers()).code == "bad_request"


def test_the_settings_model_counts_where_the_request_names_none() -> None:
    assert refused(request(provider="dsp"), providers(dsp=Settings(model="huge"))).code == "bad_request"
    assert providers(dsp=Settings(model="huge")).choose(request(provider="dsp", model="dsp"), 1.0).model.name == "dsp"


def test_the_overview_shows_every_provider_in_the_order_of_the_settings() -> None:
    shown = providers("stability", "loopback", "dsp").overview()
    assert [one["name"] for one in shown][:2] == ["loopback", "dsp"]
    for one in shown:
        assert one["ready"] is True
        assert one["why_not"] is None
        assert one["local"] is True
        assert one["models"][0]["price_usd"] == 0
    assert {one["name"]: one["in_auto"] for one in shown} == {"loopback": False, "dsp": True}
