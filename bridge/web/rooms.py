"""What the HTTP room needs of the engine, named one by one, so that it can be seen what a request can reach.

Holds references only; the engine makes and owns what they point to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bridge.errors import ClipError
from bridge.events import Events
from bridge.intake import Intake
from bridge.store import JobStore
from bridge.store.ledger import Ledger

SNAPSHOT = "source.wav"  # the region's frames in a job's folder, as the first stage of the pipeline names them


class Preset(Protocol):
    """What is shown of a preset."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def values(self) -> Mapping[str, Any]: ...
    @property
    def built_in(self) -> bool: ...


class Presets(Protocol):
    """All presets, and the error of each that cannot be read."""

    def all(self) -> tuple[list[Any], dict[str, ClipError]]: ...


class Providers(Protocol):
    """What each service can do now."""

    def overview(self) -> list[dict[str, Any]]: ...


class Home(Protocol):
    """Where uploads and snapshots lie."""

    @property
    def root(self) -> Path: ...
    @property
    def uploads_dir(self) -> Path: ...
    def job_dir(self, job_id: str) -> Path: ...


@dataclass(frozen=True)
class Rooms:
    """The parts of one engine that HTTP speaks to.

    `facts` is what `daemon.json` says once every port listens, else empty.
    """

    home: Home
    intake: Intake
    events: Events
    jobs: JobStore
    ledger: Ledger
    presets: Presets
    providers: Providers
    facts: Callable[[], Mapping[str, Any]]

    @property
    def uploads_dir(self) -> Path:
        return self.home.uploads_dir

    def snapshot(self, job_id: str) -> Path:
        return self.home.job_dir(job_id) / SNAPSHOT
