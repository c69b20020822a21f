"""`clipbridge presets …`: what there is to choose from, the built-in presets and those of the home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli import options, show

if TYPE_CHECKING:
    from bridge.presets import Preset, Presets

app = typer.Typer(no_args_is_help=True, help="What a clip can become.")


@app.command("list")
def list_(ctx: typer.Context, as_json: options.Json = False, home: options.Home = None) -> None:
    """Show all presets."""
    with options.reporting(as_json):
        found, broken = _presets(options.home_of(ctx, home)).all()
        if as_json:
            unusable = {name: error.to_dict() for name, error in broken.items()}
            show.document({"presets": [_document(preset) for preset in found], "broken": unusable})
            return
        rows = [show.Row([preset.name, _summary(preset)], {0: show.WORK_COLOUR}) for preset in found]
        show.table(["PRESET", "WHAT IT DOES"], rows, flexible=(1,))
        for error in broken.values():
            show.problem(error)


@app.command("show")
def show_(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The preset's name.")],
    as_json: options.Json = False,
    home: options.Home = None,
) -> None:
    """Show one preset: the values it gives."""
    with options.reporting(as_json):
        preset = _presets(options.home_of(ctx, home)).get(name)
        if as_json:
            show.document(_document(preset))
            return
        show.line(show.painted(preset.name, show.WORK_COLOUR))
        if preset.description:
            show.line(preset.description)
        for key, value in preset.values.items():
            show.line(f"{show.painted(key.ljust(16), show.DIM)}  {value}")
        show.line(f"{show.painted('file'.ljust(16), show.DIM)}  {'built in' if preset.built_in else preset.path}")


def _presets(named_home: str | None) -> Presets:
    from bridge.home import Home, find_daemon
    from bridge.presets import Presets

    if named_home is None:
        facts = find_daemon(None)
        if facts is not None:  # the home of the daemon that a request would go to
            return Presets(Home.at(Path(facts["home"])).presets_dir)
    return Presets(Home.at(named_home).presets_dir)


def _summary(preset: Preset) -> str:
    text = preset.description or str(preset.values.get("prompt", ""))
    return show.safe(text) if preset.built_in else f"{show.safe(text)} (yours)"


def _document(preset: Preset) -> dict[str, Any]:
    """A preset as HTTP shows it: what is asked for most beside the name, all that it gives in `values`."""
    from bridge.request import Request

    most = ("prompt", "negative_prompt", "provider", "strength")
    return {
        "name": preset.name,
        "description": preset.description,
        **{key: preset.values.get(key, Request.model_fields[key].default) for key in most},
        "built_in": preset.built_in,
        "values": preset.values,
    }
