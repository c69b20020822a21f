"""`clipbridge providers`: who can transform clips, what is ready and what is missing, limits and prices.

The running daemon is asked, since it is its keys and settings that count; where none runs, this process looks itself.
"""

from __future__ import annotations

from typing import Any

import typer

from bridge.cli import options, show


def providers(ctx: typer.Context, as_json: options.Json = False, home: options.Home = None) -> None:
    """Show who can do it: what is ready, limits, prices."""
    with options.reporting(as_json):
        found = _overview(options.home_of(ctx, home))
        if as_json:
            show.document(found)
            return
        rows = [_row(one) for one in found["providers"]]
        show.table(["PROVIDER", "READY", "MODEL", "DOES", "LENGTH", "A CALL"], rows, flexible=(2, 3))


def _overview(named_home: str | None) -> dict[str, Any]:
    """`{"providers": [...]}`, as HTTP gives it."""
    from bridge.cli import client

    daemon = client.find(named_home)
    if daemon is not None:
        return daemon.providers()
    import os

    from bridge.config import load
    from bridge.engine import provider_settings as settings_of
    from bridge.home import Home
    from bridge.providers import Providers
    from bridge.worker import Workers

    config = load(Home.at(named_home).config, os.environ)
    return {"providers": Providers(config.providers.order, settings_of(config), Workers(1).run).overview()}


def _row(provider: dict[str, Any]) -> show.Row:
    ready = provider["ready"]
    model = next((one for one in provider["models"] if one["name"] == provider["model"]), None)
    cells = [
        provider["name"],
        "yes" if ready else "no",
        provider["model"],
        ", ".join(model["kinds"]) if model else "",
        _length(model) if model else "",
        show.usd(model["price_usd"]) if model else "",
    ]
    below = []
    if not ready:
        below.append(str(provider["why_not"]))
    elif not provider["in_auto"]:
        below.append("Only where you name it.")
    return show.Row(cells, {0: show.WORK_COLOUR, 1: "green" if ready else "yellow"}, below)


def _length(model: dict[str, Any]) -> str:
    least, most = model["input_min_seconds"], model["input_max_seconds"]
    if most is None:
        return "any" if not least else f"from {least:g} s"
    return f"up to {most:g} s" if not least else f"{least:g}-{most:g} s"
