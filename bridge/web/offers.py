"""The routes of what is on offer: the providers with what they can do now, and the presets."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from bridge.request import Request
from bridge.web.answers import answer
from bridge.web.bodies import NamedQueries
from bridge.web.rooms import Preset, Rooms
from bridge.web.schema import refusals, reply

_SHOWN = ("prompt", "negative_prompt", "provider", "strength")  # what is asked for most; the rest is in `values`


def routes(rooms: Rooms) -> APIRouter:
    """`/providers` and `/presets`."""
    router = APIRouter(route_class=NamedQueries, tags=["offers"], default_response_class=Response)

    @router.get("/providers", response_model=None, responses=reply(200, "ProviderList", "The providers.") | refusals())
    async def list_providers() -> Response:
        """Every provider: whether it is ready, why not, its models' limits and prices."""
        return answer({"providers": rooms.providers.overview()})

    @router.get("/presets", response_model=None, responses=reply(200, "PresetList", "The presets.") | refusals())
    async def list_presets() -> Response:
        """Every preset, built in or the user's own."""
        found, broken = rooms.presets.all()
        return answer(
            {
                "presets": [_preset(preset) for preset in found],
                "broken": {name: error.to_dict() for name, error in broken.items()},
            }
        )

    return router


def _preset(preset: Preset) -> dict[str, Any]:
    values = {key: preset.values.get(key, Request.model_fields[key].default) for key in _SHOWN}
    return {
        "name": preset.name,
        "description": preset.description,
        **values,
        "built_in": preset.built_in,
        "values": dict(preset.values),
    }
