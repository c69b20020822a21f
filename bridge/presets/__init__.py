"""Presets: named values for a request, the built-in ones as TOML files beside this module and the user's in their home folder.

A user's preset of the same name goes before a built-in one. Files are read anew when they change, so that a preset counts at
once; what a preset means for a request is `bridge.request`'s to say.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bridge.errors import ClipError
from bridge.request import PRESET_KEYS, Request
from bridge.validation import findings, suggest

BUILT_IN = Path(__file__).parent
DEFAULT = "default"


@dataclass(frozen=True)
class Preset:
    """One preset: its name, a sentence about it, and the request's keys that it gives."""

    name: str
    description: str
    values: dict[str, Any]
    path: Path
    built_in: bool


@dataclass(frozen=True)
class Presets:
    """All presets that a home sees."""

    user_dir: Path
    _cache: dict[Path, tuple[int, Preset]] = field(default_factory=dict, compare=False, repr=False)

    def names(self) -> list[str]:
        """The names of all presets, also of those that cannot be read."""
        return sorted(self._files())

    def get(self, name: str | None) -> Preset:
        """The preset called `name` (None: `default`). Raises ClipError `bad_request` for one that is not there or unreadable."""
        wanted = name or DEFAULT
        files = self._files()
        if wanted not in files:
            raise ClipError(
                "bad_request",
                f'There is no preset called "{wanted}"{suggest(wanted, files)}.',
                hint="`clipbridge presets list` shows them all; one of your own is a TOML file in the home's presets folder.",
            )
        return self._read(files[wanted])

    def all(self) -> tuple[list[Preset], dict[str, ClipError]]:
        """Every preset that can be read, and the error of each one that cannot, by name."""
        found, broken = [], {}
        for name, path in sorted(self._files().items()):
            try:
                found.append(self._read(path))
            except ClipError as error:
                broken[name] = error
        return found, broken

    def _files(self) -> dict[str, Path]:
        files = {path.stem: path for path in BUILT_IN.glob("*.toml")}
        if self.user_dir.is_dir():
            files |= {path.stem: path for path in self.user_dir.glob("*.toml") if not path.name.startswith(".")}
        return files

    def _read(self, path: Path) -> Preset:
        try:
            changed_ns = path.stat().st_mtime_ns
            cached = self._cache.get(path)
            if cached and cached[0] == changed_ns:
                return cached[1]
            values = tomllib.loads(path.read_text("utf-8-sig"))  # some editors on Windows put a mark in front
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ClipError(
                "bad_request",
                f"The preset {path.name} cannot be read: {error}.",
                hint="Correct the file and try again.",
            ) from None
        description = values.pop("description", "")
        preset = Preset(path.stem, str(description), values, path, built_in=path.parent == BUILT_IN)
        _check(preset)
        self._cache[path] = (changed_ns, preset)
        return preset


def _check(preset: Preset) -> None:
    wrong = [
        f"{key} is an unknown key{suggest(key, PRESET_KEYS) or '; allowed are ' + ', '.join(sorted(PRESET_KEYS))}"
        for key in preset.values
        if key not in PRESET_KEYS
    ]
    known = {key: value for key, value in preset.values.items() if key in PRESET_KEYS}
    try:
        # a preset's values are right if a request that is otherwise right takes them
        Request.model_validate({"source": "/clip.wav", **known})
    except ValidationError as error:
        wrong += [f"{key} {text}" for key, text in findings(error, Request)]
    if wrong:
        raise ClipError(
            "bad_request",
            f"The preset {preset.path.name} cannot be used: {'; '.join(wrong)}.",
            hint="Correct the file and try again.",
        )
