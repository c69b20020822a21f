"""Turns what pydantic found wrong into sentences for people: every finding at once, each with the key and what is allowed.

Used by requests, presets and the configuration; it knows none of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError


def suggest(word: str, known: Iterable[str]) -> str:
    """` (did you mean "…"?)` for the nearest of `known`, or an empty string when nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{near[0]}"?)' if near else ""


def findings(error: ValidationError, model: type[BaseModel]) -> list[tuple[str, str]]:
    """Each finding as `(key, sentence)`; the key is dotted (`providers.stability.enabled`), the sentence says what is allowed."""
    return [(_dotted(finding["loc"]), _sentence(finding, model)) for finding in error.errors(include_url=False)]


def _dotted(loc: tuple[int | str, ...]) -> str:
    key = ""
    for part in loc:
        key += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if key else str(part)
    return key


def _sentence(finding: Mapping[str, Any], model: type[BaseModel]) -> str:
    if finding["type"] == "extra_forbidden":
        loc = finding["loc"]
        known = sorted(_fields_at(model, loc[:-1]))
        near = suggest(str(loc[-1]), known)
        return "is an unknown key" + (near or (f"; allowed are {', '.join(known)}" if known else ""))
    if finding["type"] == "missing":
        return "is missing"
    text = str(finding["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return f"{text}, not {_shown(finding.get('input'))}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> Iterable[str]:
    """The keys that the (sub)model at `loc` takes; list indexes and dictionary keys are stepped over."""
    current: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        fields = getattr(current, "model_fields", None)
        if fields is None or part not in fields:
            return ()
        current = _model_in(fields[part].annotation)
    return getattr(current, "model_fields", {}).keys()


def _model_in(annotation: Any) -> Any:
    """The pydantic model inside `X`, `X | None`, `tuple[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
