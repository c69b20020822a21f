"""What is asked: the one request that every trigger makes (contract, section 2).

Checks and resolves a request; whether its source exists, what it costs and who can do it is intake's to say.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bridge.errors import ClipError
from bridge.validation import findings

SEED_MIN = 1
SEED_MAX = 4_294_967_294  # the largest seed that Stability's endpoints take; 0 means "random" there and is never ours
CONTEXT_MAX_BYTES = 2_000
VARIATIONS_MAX = 8

ProviderName = Literal[
    "auto", "dsp", "stability", "fal", "wavespeed", "empirio", "stable_audio", "acestep", "loopback"
]
Unit = Literal["seconds", "frames"]


class Frozen(BaseModel):
    """Base of all our data: immutable, strict about types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Span(Frozen):
    """A half-open stretch of a file: `start` ≤ x < `end`, in seconds or in frames at the file's own rate."""

    start: Annotated[float, Field(ge=0)]
    end: Annotated[float, Field(gt=0)]
    unit: Unit

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"end ({self.end:g}) must lie after start ({self.start:g})")
        if self.unit == "frames" and not (self.start.is_integer() and self.end.is_integer()):
            raise ValueError("frames are whole numbers")
        return self

    def in_frames(self, samplerate: int) -> tuple[int, int]:
        """`(start, end)` in frames. Seconds go to the nearest frame, halves up: floor(seconds × rate + 0.5)."""
        if self.unit == "frames":
            return int(self.start), int(self.end)
        return math.floor(self.start * samplerate + 0.5), math.floor(self.end * samplerate + 0.5)


class Extend(Frozen):
    """How much the take goes on beyond the region's ends, in seconds."""

    before: Annotated[float, Field(ge=0)] = 0.0
    after: Annotated[float, Field(ge=0)] = 0.0


class Request(Frozen):
    """One request, resolved: what a person asked for with the preset's values where they asked for nothing."""

    source: str | None = None
    region: Span | None = None
    preset: Annotated[str, Field(min_length=1)] | None = None
    prompt: Annotated[str, Field(max_length=10_000)] = ""
    negative_prompt: Annotated[str, Field(max_length=10_000)] = ""
    provider: ProviderName = "auto"
    model: Annotated[str, Field(min_length=1)] | None = None
    strength: Annotated[float, Field(ge=0, le=1)] = 0.6
    seed: Annotated[int, Field(ge=SEED_MIN, le=SEED_MAX)] | None = None
    variations: Annotated[int, Field(ge=1, le=VARIATIONS_MAX)] = 1
    steps: Annotated[float, Field(gt=0)] | None = None
    guidance: Annotated[float, Field(ge=0)] | None = None
    duration: Annotated[float, Field(gt=0)] | None = None
    mask: Span | None = None
    extend: Extend | None = None
    tempo: Annotated[float, Field(gt=0, le=1_000)] | None = None
    key: Annotated[str, Field(max_length=40)] | None = None
    meter: Annotated[str, Field(pattern=r"^\d{1,2}/\d{1,2}$")] | None = None
    detect: bool = False
    loop: bool = False
    match_loudness: bool = True
    fit_tempo: bool = False
    channels: Literal["as_source", "stereo"] = "as_source"
    deliver_to: str | None = None
    max_price_usd: Annotated[float, Field(ge=0)] | None = None
    batch: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    context: dict[str, Any] = Field(default_factory=dict)
    client_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None

    @field_validator("source", "deliver_to")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        if value is not None:
            if "\0" in value:
                raise ValueError("should be a path without a NUL byte")
            if not (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()):
                raise ValueError("should be an absolute path")
        return value

    @field_validator("context")
    @classmethod
    def _small(cls, value: dict[str, Any]) -> dict[str, Any]:
        size_bytes = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
        if size_bytes > CONTEXT_MAX_BYTES:
            raise ValueError(f"should be at most {CONTEXT_MAX_BYTES} bytes of JSON (it has {size_bytes})")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.source is None and self.duration is None:
            raise ValueError("without a source a duration (in seconds) is needed")
        if self.source is not None and self.duration is not None:
            raise ValueError("duration is only for requests without a source; a take is as long as its region")
        if self.source is None and (self.region or self.mask or self.extend):
            raise ValueError("region, mask and extend need a source")
        if self.extend is not None and self.strength == 0:
            raise ValueError("extend needs a strength above 0: at 0 the take is a copy of the region")
        return self

    @property
    def kind(self) -> Literal["copy", "generate", "inpaint", "outpaint", "transform"]:
        """What is wanted of a provider; `copy` (strength 0) needs none."""
        if self.source is None:
            return "generate"
        if self.strength == 0:
            return "copy"
        if self.mask is not None:
            return "inpaint"
        if self.extend is not None and (self.extend.before or self.extend.after):
            return "outpaint"
        return "transform"

    def seed_of_take(self, take: int) -> int | None:
        """Take k of several has seed + k − 1, wrapping from the largest to 1; None while the seed is not chosen."""
        return None if self.seed is None else (self.seed - SEED_MIN + take - 1) % SEED_MAX + SEED_MIN

    def filled_prompt(self, text: str, name: str) -> str:
        """`text` with `{tempo}`, `{key}`, `{meter}`, `{name}` put in.

        One without a value vanishes with its neighbouring comma or space, so that "pad, {key}, soft" reads "pad, soft".
        """
        tempo = None if self.tempo is None else f"{self.tempo:g}"
        for placeholder, value in (("tempo", tempo), ("key", self.key), ("meter", self.meter), ("name", name or None)):
            text = _fill(text, "{" + placeholder + "}", value)
        return text


# what only the one request can say, never a preset
NOT_IN_A_PRESET = frozenset(
    {"source", "region", "preset", "duration", "mask", "deliver_to", "batch", "context", "client_id"}
)
PRESET_KEYS = frozenset(Request.model_fields) - NOT_IN_A_PRESET


def resolve(given: object, preset_values: Mapping[str, Any]) -> Request:
    """The request that `given` (parsed JSON) makes with a preset's values below it.

    Raises ClipError `bad_request` that names every wrong key at once.
    """
    if not isinstance(given, Mapping):
        raise ClipError(
            "bad_request",
            f"A request is a JSON object, and this is {'a list' if isinstance(given, list) else repr(given)[:40]}.",
            hint='Send an object such as {"source": "/path/clip.wav", "preset": "lo-fi-tape"}.',
        )
    try:
        return Request.model_validate({**preset_values, **given})
    except ValidationError as error:
        wrong = [f"{key} {text}" if key else text for key, text in findings(error, Request)]
        raise ClipError(
            "bad_request",
            "The request cannot be used: " + "; ".join(wrong) + ".",
            hint="Correct what is named and send it again; nothing was made and nothing was charged.",
        ) from None


def fingerprint(given: Mapping[str, Any]) -> str:
    """The same text for two equal requests, whatever the order of their keys: how a repeated `client_id` is judged."""
    return json.dumps(given, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _fill(text: str, placeholder: str, value: str | None) -> str:
    if value is not None:
        return text.replace(placeholder, value)
    hole = re.escape(placeholder)
    # the comma before it goes too; at the very start the comma after it; else one space
    text = re.sub(rf",\s*{hole}(?=\s*(?:,|$))", "", text)
    text = re.sub(rf"^\s*{hole}\s*,?\s*", "", text)
    text = re.sub(rf"\s+{hole}|{hole}\s?", "", text)
    return text
