"""Audio in the body of a request, with the real engine behind it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile as sf

from bridge.engine import Engine
from tests.integration.web.asking import (
    GUARD_SECONDS,
    LOOPBACK,
    TOKEN,
    Json,
    ended,
    refused,
)


def _form(clip: Path, request: Json | str | None = None, name: str = "Große Trommel.wav") -> dict[str, Any]:
    text = request if isinstance(request, str) else json.dumps(LOOPBACK if request is None else request)
    return {"files": {"audio": (name, clip.read_bytes(), "audio/wav")}, "data": {"request": text}}


def _uploads(engine: Engine) -> list[Path]:
    return [path for path in (engine.home.root / "uploads").rglob("*") if path.is_file()]


async def test_audio_may_come_in_the_body_and_its_name_names_the_take(client: httpx.AsyncClient, clip: Path) -> None:
    answer = await client.post("/jobs", **_form(clip))
    assert answer.status_code == 202, answer.text
    done = await ended(client, answer.json()["id"])
    assert done["state"] == "delivered", done
    assert Path(done["takes"][0]["path"]).name == "Große Trommel [default].wav"
    assert sf.info(done["takes"][0]["path"]).frames == 24_000


async def test_a_long_upload_arrives_whole(client: httpx.AsyncClient, tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    sf.write(long, np.random.default_rng(2).uniform(-0.5, 0.5, (48_000 * 20, 2)), 48_000, subtype="PCM_24")
    answer = await client.post("/jobs", **_form(long, {"strength": 0}))
    done = await ended(client, answer.json()["id"])
    assert done["state"] == "delivered", done
    assert np.array_equal(sf.read(done["takes"][0]["path"])[0], sf.read(long)[0])


REFUSED_WITH_AUDIO = [
    ("{", 400, "bad_request"),
    ("[]", 400, "bad_request"),
    ('{"streng": 1}', 422, "bad_request"),
    ('{"strength": 2}', 422, "bad_request"),
    ('{"preset": "nobody made this"}', 422, "bad_request"),
    ('{"source": "/somewhere/else.wav"}', 422, "bad_request"),
    ('{"region": {"start": 1, "end": 2, "unit": "seconds"}}', 409, "region_out_of_range"),
]


async def test_a_refused_upload_leaves_nothing_behind(client: httpx.AsyncClient, clip: Path, engine: Engine) -> None:
    for request, status, code in REFUSED_WITH_AUDIO:
        refused(await client.post("/jobs", **_form(clip, request)), status, code)
        assert _uploads(engine) == [], request
    assert (await client.get("/jobs")).json()["jobs"] == []


async def test_what_is_no_audio_is_refused_and_not_kept(
    client: httpx.AsyncClient, tmp_path: Path, engine: Engine
) -> None:
    text = tmp_path / "text.wav"
    text.write_text("This is no recording, whatever its name says. " * 20)
    refused(await client.post("/jobs", **_form(text)), 409, "source_unreadable")
    assert _uploads(engine) == []


async def test_another_request_cannot_name_an_upload_as_its_source(client: httpx.AsyncClient, clip: Path) -> None:
    answer = await client.post("/jobs", **_form(clip))
    source = answer.json()["request"]["source"]
    refused(await client.post("/jobs", json={"source": source, **LOOPBACK}), 403, "forbidden")


async def test_an_upload_sent_again_with_its_client_id_is_the_same_job(
    client: httpx.AsyncClient, clip: Path, engine: Engine
) -> None:
    request = {**LOOPBACK, "client_id": "page/1"}
    first, again = [await client.post("/jobs", **_form(clip, request)) for _ in range(2)]
    assert again.status_code == 202, again.text
    assert again.json()["id"] == first.json()["id"]
    assert len(_uploads(engine)) <= 1
    refused(await client.post("/jobs", **_form(clip, {**request, "strength": 0.1})), 422, "bad_request")
    done = await ended(client, first.json()["id"])
    assert done["state"] == "delivered", done


async def test_a_sender_who_goes_away_in_the_middle_leaves_nothing_behind(
    client: httpx.AsyncClient, clip: Path, engine: Engine
) -> None:
    port = client.base_url.port
    body = clip.read_bytes()
    head = (
        f"POST /api/v1/jobs HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {TOKEN}\r\n"
        f"content-type: multipart/form-data; boundary=x\r\ncontent-length: {len(body) * 2}\r\n\r\n"
        '--x\r\ncontent-disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
    )
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + body)
    await writer.drain()
    async with asyncio.timeout(GUARD_SECONDS):
        while not _uploads(engine):
            await client.get("/health")
        writer.transport.abort()
        while list((engine.home.root / "uploads").iterdir()):
            await client.get("/health")
    assert (await client.get("/jobs")).json()["jobs"] == []
