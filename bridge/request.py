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
CONTEXT_MAX_DEPTH = 64  # boxes in boxes; what reads and writes JSON gives up at a few hundred
FRAMES_MAX = 2**62  # more than any file holds, and still a number that every database takes
VARIATIONS_MAX = 8

ProviderName = Literal["auto", "dsp", "stability", "fal", "wavespeed", "empirio", "stable_audio", "acestep", "loopback"]
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
            return int(min(self.start, FRAMES_MAX)), int(min(self.end, FRAMES_MAX))
        start, end = (min(seconds * samplerate + 0.5, FRAMES_MAX) for seconds in (self.start, self.end))
        return math.floor(start), math.floor(end)


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
        if _deeper_than(value, CONTEXT_MAX_DEPTH):
            raise ValueError(f"should hold lists and objects at most {CONTEXT_MAX_DEPTH} deep")
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError):
            raise ValueError("should be JSON, which knows neither NaN nor infinity") from None
        size_bytes = len(text.encode("utf-8", "surrogatepass"))
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
        values = {"{tempo}": tempo, "{key}": self.key, "{meter}": self.meter, "{name}": name or None}
        for placeholder, value in values.items():
            if value is None:
                text = _without(text, placeholder)
        # all at once, so that what fills one is not filled again
        return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]] or "", text)


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
    _check_text(given)
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
    """The same text for two equal requests: how a repeated `client_id` is judged.

    The order of keys does not count, nor whether a whole number is written as 1 or 1.0: each sender has its own way.
    """
    return json.dumps(_plain_numbers(given), sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _plain_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _plain_numbers(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_numbers(one) for one in value]
    return value


def _check_text(given: Mapping[str, Any]) -> None:
    """Refuses halves of characters: JSON can hold them, but no database, and no answer over HTTP."""
    wrong = [str(key) for key, value in given.items() if not _is_text(key) or not _is_text(value)]
    if wrong:
        names = ", ".join(key.encode("ascii", "backslashreplace").decode() for key in wrong)
        raise ClipError(
            "bad_request",
            f"The request cannot be used: {names} holds characters that are no text (not valid Unicode).",
            hint="Rename the file or folder with ordinary letters, or correct the text, then send it again.",
        )


def _is_text(value: Any) -> bool:
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, Mapping):
            pending += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            pending += one
        elif isinstance(one, str) and not one.isascii() and any("\ud800" <= letter <= "\udfff" for letter in one):
            return False
    return True


def _deeper_than(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most + 1):
        level = [
            below
            for one in level
            if isinstance(one, dict | list)
            for below in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(level)


def _without(text: str, placeholder: str) -> str:
    hole = re.escape(placeholder)
    # the comma before it goes too; at the very start the comma after it; else one space
    text = re.sub(rf",\s*{hole}(?=\s*(?:,|$))", "", text)
    text = re.sub(rf"^\s*{hole}\s*,?\s*", "", text)
    return re.sub(rf"\s+{hole}|{hole}\s?", "", text)
