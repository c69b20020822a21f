"""Prices, the ledger, presets, providers, and the document that describes all routes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from bridge import __version__
from bridge.engine import Engine
from bridge.errors import ERROR_CODES
from bridge.job import timestamp
from bridge.store import schema
from tests.integration.web.asking import (
    LOOPBACK,
    ended,
    refused,
    sent,
)


async def test_a_price_is_told_without_making_a_job(client: httpx.AsyncClient, clip: Path) -> None:
    one = (await client.post("/price", json={"source": str(clip), "provider": "dsp", "variations": 3})).json()
    assert [(each["provider"], each["calls"]) for each in one["requests"]] == [("dsp", 3)]
    several = (
        await client.post("/price", json=[{"source": str(clip), **LOOPBACK}, {"source": "/not/there.wav"}])
    ).json()
    assert [each["error"] and each["error"]["code"] for each in several["requests"]] == [None, "source_not_found"]
    refused(await client.post("/price", content=b'"free"'), 400, "bad_request")
    assert (await client.get("/jobs")).json()["jobs"] == []


async def test_the_ledger_can_be_read_page_by_page_newest_first(client: httpx.AsyncClient, engine: Engine) -> None:
    def spend(connection: sa.Connection) -> None:
        for number, usd in enumerate((0.0, 0.1, 0.2, 0.3, 0.4, None), start=1):
            entry = {"at": timestamp(), "job_id": "job", "take": number, "piece": 1, "provider": "fal", "usd": usd}
            connection.execute(schema.ledger.insert(), entry)

    await engine.database.write(spend)
    first = (await client.get("/ledger?limit=4")).json()
    rest = (await client.get("/ledger", params={"limit": 4, "before": first["next"]})).json()
    entries = first["entries"] + rest["entries"]
    assert [entry["take"] for entry in entries] == [6, 5, 4, 3, 2, 1]
    assert [entry["usd"] for entry in entries] == [None, 0.4, 0.3, 0.2, 0.1, 0.0]
    assert rest["next"] is None
    for wrong in ("before=0", "before=x", f"before={2**63}", "limit=1001", "from=1"):
        refused(await client.get(f"/ledger?{wrong}"), 422, "bad_request")


async def test_presets_are_shown_with_what_they_ask_for_and_broken_ones_with_why(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    (engine.home.presets_dir / "mine.toml").write_text(
        'description = "Mine."\nprompt = "tape"\nstrength = 0.25\nloop = true\n'
    )
    (engine.home.presets_dir / "broken.toml").write_text("prompt = \n")
    answer = (await client.get("/presets")).json()
    shown = {preset["name"]: preset for preset in answer["presets"]}
    assert shown["mine"] == {
        "name": "mine",
        "description": "Mine.",
        "prompt": "tape",
        "negative_prompt": "",
        "provider": "auto",
        "strength": 0.25,
        "built_in": False,
        "values": {"prompt": "tape", "strength": 0.25, "loop": True},
    }
    assert shown["default"]["built_in"]
    assert answer["broken"]["broken"]["code"] == "bad_request"


async def test_providers_are_shown_as_they_are_now(client: httpx.AsyncClient, engine: Engine) -> None:
    assert (await client.get("/providers")).json() == {"providers": engine.providers.overview()}


async def test_the_document_tells_the_truth_about_jobs(client: httpx.AsyncClient, clip: Path) -> None:
    document = (await client.get(client.base_url.copy_with(raw_path=b"/openapi.json"))).json()
    parts = document["components"]["schemas"]
    done = await ended(client, (await sent(client, source=str(clip), **LOOPBACK))["id"])
    for name, shown in (("Job", done), ("Call", done["calls"][0]), ("Take", done["takes"][0])):
        assert set(parts[name]["properties"]) == set(parts[name]["required"]) == set(shown)
    assert set(parts["ResolvedRequest"]["required"]) == set(done["request"])
    assert parts["Refusal"]["properties"]["error"]["properties"]["code"]["enum"] == list(ERROR_CODES)
    assert document["info"]["version"] == __version__


async def test_the_document_names_every_route_of_the_contract(client: httpx.AsyncClient) -> None:
    document = (await client.get(client.base_url.copy_with(raw_path=b"/openapi.json"))).json()
    routes = {(method, path.removeprefix("/api/v1")) for path, page in document["paths"].items() for method in page}
    assert routes == {
        ("post", "/jobs"),
        ("get", "/jobs"),
        ("get", "/jobs/{job_id}"),
        ("post", "/jobs/{job_id}/cancel"),
        ("post", "/jobs/{job_id}/retry"),
        ("post", "/jobs/{job_id}/forget"),
        ("get", "/jobs/{job_id}/audio/{which}"),
        ("get", "/events"),
        ("get", "/providers"),
        ("get", "/presets"),
        ("post", "/price"),
        ("get", "/ledger"),
        ("get", "/health"),
    }
    names = set(document["components"]["schemas"])
    used = _pointers(document)
    assert used <= {f"#/components/schemas/{name}" for name in names}


def _pointers(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_pointers, value.values()))
    if isinstance(value, list):
        return set().union(*map(_pointers, value))
    return set()
