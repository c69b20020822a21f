"""What a provider is and can do: the tables that the pipeline reads, and the few verbs that a service must or may speak.

A provider knows its service and nothing of jobs: it is asked one question at a time and answers with a file, or with the name
under which the service works on it. Intents, retries, money and conforming are the pipeline's.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from bridge.errors import ClipError, internal

Kind = Literal["transform", "generate", "inpaint", "outpaint"]


@dataclass(frozen=True)
class Knob:
    """A number that a model takes: its range, and its grid where only some values are allowed (1 for whole numbers)."""

    minimum: float
    maximum: float
    grid: float | None = None

    def nearest(self, value: float) -> float:
        """The allowed value nearest to `value`."""
        value = min(max(value, self.minimum), self.maximum)
        if self.grid is None:
            return value
        most = math.floor((self.maximum - self.minimum) / self.grid + 1e-9)  # the range need not end on the grid
        steps = min(math.floor((value - self.minimum) / self.grid + 0.5), most)
        return min(self.minimum + steps * self.grid, self.maximum)


@dataclass(frozen=True)
class Price:
    """What one call costs, where that is written, and when it was read there."""

    usd: float
    per_step_usd: float = 0.0
    default_steps: int = 0
    source: str = ""
    as_of: str = ""

    def of(self, steps: float | None) -> float:
        return self.usd + self.per_step_usd * (self.default_steps if steps is None else steps)


FREE = Price(0.0, source="runs on this computer")


@dataclass(frozen=True)
class Upload:
    """What a model wants to be sent. None for rate or channels: the source's own."""

    container: Literal["wav", "flac", "mp3"] = "wav"
    subtype: Literal["PCM_16", "PCM_24", "FLOAT"] = "FLOAT"
    samplerate: int | None = None
    channels: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True)
class Model:
    """One model of a service, as a table: kinds of question, limits, formats, knobs, price."""

    name: str
    kinds: frozenset[Kind]
    upload: Upload = Upload()
    input_min_seconds: float = 0.0
    input_max_seconds: float | None = None
    result_samplerate: int | None = None  # None: as sent
    strength_min: float = 0.0  # a smaller strength above 0 is brought up to it
    steps: Knob | None = None
    guidance: Knob | None = None
    takes_seed: bool = True
    takes_negative_prompt: bool = True
    price: Price = FREE

    def refusal(self, kind: Kind, seconds: float) -> ClipError | None:
        """Why this model cannot do it, or None."""
        if kind not in self.kinds:
            can = ", ".join(sorted(self.kinds))
            return ClipError(
                "no_provider",
                f"{self.name} cannot {_VERBS[kind]}; it can {can}.",
                hint="Choose another provider or model; `clipbridge providers` shows what each can do.",
            )
        if self.input_max_seconds is not None and seconds > self.input_max_seconds:
            return ClipError(
                "too_long",
                f"The clip is {seconds:.1f} s long and {self.name} takes at most {self.input_max_seconds:g} s.",
                hint="Choose a shorter region.",
            )
        return None


_VERBS: Mapping[Kind, str] = {
    "transform": "transform a clip",
    "generate": "make a clip from words alone",
    "inpaint": "re-make a part of a clip",
    "outpaint": "continue a clip at its ends",
}


@dataclass(frozen=True)
class Question:
    """One call: everything that a provider is told, with every knob already brought to what the model allows."""

    kind: Kind
    model: str
    prompt: str
    negative_prompt: str
    strength: float
    seed: int | None
    steps: float | None
    guidance: float | None
    seconds: float
    audio: Path | None  # in the model's upload format; None for `generate`
    work_dir: Path  # where a result may be put; names in it are the provider's own choice
    label: str  # distinguishes the job's calls in `work_dir`
    priority: int = 0  # lower goes first where the work is done on this computer


@dataclass(frozen=True)
class Finished:
    """The result lies in a file on this computer."""

    file: Path
    charged_usd: float | None = 0.0
    seed: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Running:
    """The service works on it under this name; `handle` is what `look` needs, kept across restarts."""

    provider_job_id: str
    handle: Mapping[str, Any] = field(default_factory=dict)
    progress: float | None = None
    look_again_seconds: float = 1.0
    available_until: str | None = None


Answer = Finished | Running


@dataclass(frozen=True)
class Settings:
    """What a person set for one service; None where nothing was set."""

    enabled: bool = True
    model: str | None = None
    base_url: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Provider(ABC):
    """A service that transforms audio. One instance lives as long as the daemon."""

    name: ClassVar[str]
    #: runs on this computer: nothing leaves it, it needs no key, and asking the same question again costs nothing
    local: ClassVar[bool] = False
    #: taken only where a person names it, never by `auto`
    only_by_name: ClassVar[bool] = False
    models: ClassVar[tuple[Model, ...]]

    def why_not(self) -> ClipError | None:
        """MAY be written: why the service cannot be used now (no key), or None. The default says it can."""
        return None

    def model(self, name: str | None) -> Model:
        """The model of that name, the first one for None. Raises ClipError `bad_request`."""
        if name is None:
            return self.models[0]
        for model in self.models:
            if model.name == name:
                return model
        raise ClipError(
            "bad_request",
            f'{self.name} has no model "{name}"; it has {", ".join(model.name for model in self.models)}.',
            hint="Leave the model out to take the provider's own choice.",
        )

    @abstractmethod
    async def ask(self, question: Question) -> Answer:
        """MUST be written: asks once, and never again by itself. Raises ClipError that says whether it was charged."""

    async def look(self, question: Question, running: Running) -> Answer:
        """MUST be written where `ask` can answer `Running`: how far it is, or the result. May be asked as often as needed."""
        raise internal(f"{self.name} was asked how far {running.provider_job_id} is, but it never answers later.")

    async def stop(self, running: Running) -> bool:
        """MAY be written: stops the service's work; whether it could. The default says that it cannot."""
        return False

    async def close(self) -> None:
        """MAY be written: lets go of connections at the daemon's end."""
