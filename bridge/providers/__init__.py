"""The services by name, and the choice among them: the first that is ready and can do it, and why the others were not taken.

A new service is one new module and one line in `Providers.__init__`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.errors import ClipError
from bridge.providers.base import Kind, Model, Provider, Settings
from bridge.providers.dsp import Dsp
from bridge.providers.loopback import Loopback
from bridge.request import Request


@dataclass(frozen=True)
class Choice:
    """Who does it, with which model, and why those before it in the order do not."""

    provider: Provider
    model: Model
    why_not: dict[str, str]


class Providers:
    """All services of this daemon."""

    def __init__(
        self,
        order: Sequence[str],
        settings: Mapping[str, Settings],
        run_task: Callable[..., Awaitable[dict[str, Any]]],
    ) -> None:
        self._order = tuple(order)
        self._settings = settings
        known: list[Provider] = [Dsp(run_task), Loopback()]
        self._by_name = {provider.name: provider for provider in known}

    def get(self, name: str) -> Provider:
        """The service of that name. Raises ClipError `no_provider`."""
        if name not in self._by_name:
            raise ClipError(
                "no_provider",
                f'This version of clipbridge has no provider "{name}"; it has {", ".join(sorted(self._by_name))}.',
                hint='Name one of those, or "auto".',
            )
        return self._by_name[name]

    def choose(self, request: Request, seconds: float) -> Choice:
        """The provider for a request over a clip of that length; `auto` takes the first in the config's order that can.

        Raises ClipError: the named provider's own refusal, or `no_provider` with every reason when `auto` finds none.
        """
        assert request.kind != "copy"
        if request.provider != "auto":
            provider = self.get(request.provider)
            return Choice(provider, self._checked(provider, request, request.kind, seconds), {})
        why_not: dict[str, str] = {}
        for name in self._order:
            try:
                provider = self.get(name)
                if provider.only_by_name:
                    why_not[name] = f"{name} is taken only by name."
                    continue
                return Choice(provider, self._checked(provider, request, request.kind, seconds), why_not)
            except ClipError as error:
                why_not[name] = error.message
        raise ClipError(
            "no_provider",
            "No provider can do this: " + " ".join(why_not.values()),
            hint="`clipbridge providers` shows what each can do and what it needs.",
        )

    def _checked(self, provider: Provider, request: Request, kind: Kind, seconds: float) -> Model:
        service = self._settings.get(provider.name, Settings())
        if not service.enabled:
            raise ClipError(
                "no_provider",
                f"{provider.name} is switched off in config.toml.",
                hint=f"Set enabled = true under [providers.{provider.name}], or choose another provider.",
            )
        refusal = provider.why_not()
        if refusal is not None:
            raise refusal
        model = provider.model(request.model or service.model)
        refusal = model.refusal(kind, seconds)
        if refusal is not None:
            raise refusal
        return model

    def overview(self) -> list[dict[str, Any]]:
        """Every provider as `clipbridge providers` and HTTP show it: ready or why not, its models' limits and prices."""
        order: dict[str, int] = {name: place for place, name in enumerate(self._order)}
        return [
            self._shown(self._by_name[name])
            for name in sorted(self._by_name, key=lambda name: (order.get(name, len(order)), name))
        ]

    def _shown(self, provider: Provider) -> dict[str, Any]:
        service = self._settings.get(provider.name, Settings())
        refusal = provider.why_not()
        why_not = "switched off in config.toml" if not service.enabled else refusal.message if refusal else None
        return {
            "name": provider.name,
            "ready": why_not is None,
            "why_not": why_not,
            "local": provider.local,
            "in_auto": provider.name in self._order and not provider.only_by_name,
            "model": service.model or provider.models[0].name,
            "models": [
                {
                    "name": model.name,
                    "kinds": sorted(model.kinds),
                    "input_min_seconds": model.input_min_seconds,
                    "input_max_seconds": model.input_max_seconds,
                    "price_usd": model.price.of(None),
                    "price_source": model.price.source,
                    "price_as_of": model.price.as_of,
                }
                for model in provider.models
            ],
        }

    async def close(self) -> None:
        for provider in self._by_name.values():
            await provider.close()
