"""What a row of the table of words is; the rows are in `words` and the modules it gathers, the effects in `effects`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Family = Literal["tone", "space", "grit", "pitch", "time", "mood"]


@dataclass(frozen=True)
class Step:
    """One effect with its numbers; `place` overrides where it stands in the chain (see `effects.EFFECTS`)."""

    effect: str
    params: dict[str, Any]
    place: int | None = None


@dataclass(frozen=True)
class Word:
    """A word that is understood: its name, its family, the forms it is heard in and the steps it stands for."""

    name: str
    family: Family
    forms: tuple[str, ...]
    steps: tuple[Step, ...]


def step(effect: str, place: int | None = None, **params: Any) -> Step:
    """Write a step as a call."""
    return Step(effect, params, place)


def forms(text: str) -> tuple[str, ...]:
    """Write a row's forms as one text with commas."""
    return tuple(form.strip() for form in text.split(","))


def tone(*points: tuple[float, float], move: float = 0.35, place: int | None = None) -> Step:
    """Write a tone curve as its points (Hz, dB)."""
    return step("tone", place, points=points, move=move)
