"""The settings: `config.toml` and `CLIPBRIDGE_…` variables, checked at the start with every error at once (contract, section 6).

Reads and checks; where the home folder lies is `bridge.home`'s to say, and API keys never come through here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator

from bridge.errors import ClipError
from bridge.request import Frozen
from bridge.validation import findings

ENV_PREFIX = "CLIPBRIDGE_"
ENV_NESTING = "__"
ServiceName = Literal["stability", "fal", "wavespeed", "empirio", "acestep", "stable_audio", "dsp", "loopback"]
DEFAULT_ORDER: tuple[ServiceName, ...] = ("stability", "fal", "wavespeed", "dsp")


class _Section(Frozen):
    # TOML and environment variables know no tuples and few exact floats: lists and whole numbers are taken where they fit
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


Port = Annotated[int, Field(ge=0, le=65_535)]


def _expanded(value: str) -> str:
    try:
        path = Path(value).expanduser()
    except RuntimeError:  # "~name" of nobody on this computer
        raise ValueError('should start with "~/" or be an absolute path: there is no such person here') from None
    if not path.is_absolute():
        raise ValueError('should be an absolute path or start with "~"')
    return str(path)


class Daemon(_Section):
    osc_port: Port = 7410
    http_port: Port = 7411
    results_dir: str | None = None
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    allow_dirs: tuple[str, ...] = ("~",)
    unfinished_seconds: Annotated[float, Field(gt=0)] = 60.0

    @field_validator("results_dir")
    @classmethod
    def _results(cls, value: str | None) -> str | None:
        return None if value is None else _expanded(value)

    @field_validator("allow_dirs")
    @classmethod
    def _allowed(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_expanded(value) for value in values)


class Watch(_Section):
    path: str
    preset: str = "default"
    provider: ServiceName | None = None
    run: Literal["arrival", "on_trigger"] = "arrival"
    existing: Literal["ignore", "take"] = "ignore"
    recursive: bool = False
    after: Literal["leave", "move"] = "leave"
    settle_seconds: Annotated[float, Field(ge=0, le=3_600)] = 0.5
    deliver_to: str | None = None

    @field_validator("path", "deliver_to")
    @classmethod
    def _folder(cls, value: str | None) -> str | None:
        return None if value is None else _expanded(value)


class Service(_Section):
    """One `[providers.<name>]`; a key that a service does not know is refused by name."""

    base_url: str | None = None
    model: str | None = None
    enabled: bool = True


class FalService(Service):
    queue_url: str | None = None
    rest_url: str | None = None


class EmpirioService(Service):
    strength_direction: Literal["documented", "passthrough"] = "documented"
    upload_via: Literal["fal", "wavespeed"] | None = None


class Providers(_Section):
    order: tuple[ServiceName, ...] = DEFAULT_ORDER
    stability: Service = Service()
    fal: FalService = FalService()
    wavespeed: Service = Service()
    empirio: EmpirioService = EmpirioService()
    acestep: Service = Service()
    stable_audio: Service = Service()
    dsp: Service = Service()
    loopback: Service = Service()

    def of(self, name: str) -> Service:
        found = getattr(self, name)
        assert isinstance(found, Service)
        return found


class Budget(_Section):
    per_job_usd: Annotated[float, Field(ge=0)] = 1.00
    per_day_usd: Annotated[float, Field(ge=0)] = 5.00
    per_month_usd: Annotated[float, Field(ge=0)] = 50.00


class Privacy(_Section):
    never_upload: tuple[str, ...] = ()

    @field_validator("never_upload")
    @classmethod
    def _folders(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_expanded(value) for value in values)


class Retention(_Section):
    keep_days: Annotated[float, Field(ge=0)] = 30
    keep_gb: Annotated[float, Field(ge=0)] = 20


class Midi(_Section):
    port: str = "*"
    type: Literal["note", "cc", "program"]
    channel: Annotated[int, Field(ge=1, le=16)]
    number: Annotated[int, Field(ge=0, le=127)]
    action: Literal["trigger", "again", "cancel", "cancel_all"]
    preset: str | None = None


class Config(_Section):
    """All settings; a missing file means all defaults."""

    daemon: Daemon = Daemon()
    watch: tuple[Watch, ...] = ()
    providers: Providers = Providers()
    budget: Budget = Budget()
    privacy: Privacy = Privacy()
    retention: Retention = Retention()
    midi: tuple[Midi, ...] = ()


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """The settings of `path` with the environment's values over them.

    Raises ClipError `bad_request` whose message names each wrong key, the file or variable it stands in, and what is allowed.
    """
    settings: dict[str, Any] = {}
    try:
        settings = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _refused([f"{path}: {error}"]) from None
    variables = _overlay(settings, environment)
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise _refused(
            [f"{_origin(key, variables) or path}: {key} {text}" for key, text in findings(error, Config)]
        ) from None


def _refused(wrong: list[str]) -> ClipError:
    return ClipError(
        "bad_request",
        "The settings cannot be used:\n" + "\n".join(f"  {line}" for line in wrong),
        hint="Correct what is named; without a config.toml all settings have their defaults.",
    )


def _overlay(settings: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Puts `CLIPBRIDGE_A__B=…` at `a.b` and returns which variable each dotted key came from.

    Only names with a double underscore are settings; CLIPBRIDGE_HOME and the CLIPBRIDGE_KEY_… of the services are not.
    """
    variables: dict[str, str] = {}
    for name, text in sorted(environment.items()):
        if not name.startswith(ENV_PREFIX) or ENV_NESTING not in name or name.startswith(f"{ENV_PREFIX}KEY_"):
            continue
        *parents, last = name.removeprefix(ENV_PREFIX).lower().split(ENV_NESTING)
        place = settings
        for parent in parents:
            if not isinstance(place.get(parent), dict):
                place[parent] = {}  # a plain value there is wrong together with this variable; the check will say so
            place = place[parent]
        place[last] = _value(text)
        variables[".".join([*parents, last])] = name
    return variables


def _origin(key: str, variables: Mapping[str, str]) -> str | None:
    """The variable that the value at a dotted key came from, or None for the file."""
    for dotted, name in variables.items():
        if key == dotted or key.startswith((f"{dotted}.", f"{dotted}[")) or dotted.startswith(f"{key}."):
            return name
    return None


def _value(text: str) -> Any:
    """A variable's text as TOML would read it (`7500`, `true`, `["~"]`), else as the plain text it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
