"""What a request will cost, and whether that is more than a person allowed. Prices come from the providers' own tables."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.errors import ClipError
from bridge.providers.base import Model
from bridge.request import Request


@dataclass(frozen=True)
class Estimate:
    """The price of a request before it is sent: so many calls at so much each."""

    calls: int
    usd_per_call: float

    @property
    def usd(self) -> float:
        return round(self.calls * self.usd_per_call, 6)  # no more digits than a bill has


def estimate(request: Request, model: Model) -> Estimate:
    """One call for each take; the steps a person asked for count where the price grows with them."""
    steps = model.steps.nearest(request.steps) if model.steps and request.steps is not None else None
    return Estimate(request.variations, model.price.of(steps))


def check(price: Estimate, request: Request, per_job_usd: float) -> None:
    """Raises ClipError `over_budget` where the request costs more than its own limit or the budget's for one job."""
    limit, named = per_job_usd, "the budget's per_job_usd"
    if request.max_price_usd is not None and request.max_price_usd < limit:
        limit, named = request.max_price_usd, "this request's max_price_usd"
    if price.usd > limit:
        raise ClipError(
            "over_budget",
            f"This would cost ${price.usd:.2f} and {named} allows ${limit:.2f}.",
            hint="Ask for fewer variations, another provider, or raise the limit.",
        )
