"""A clip's way over HTTP: sent, looked at, cancelled, taken up again, fetched."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import soundfile as sf

from bridge.engine import Engine
from bridge.job import Call, Take
from tests.integration.web.asking import (
    LOOPBACK,
    ended,
    listening,
    refused,
    sent,
    stored_job,
    until_end,
)


async def test_a_clip_sent_over_http_comes_back_as_a_take_of_the_same_length(
    client: httpx.AsyncClient, clip: Path
) -> None:
    job = await sent(client, source=str(clip), **LOOPBACK)
    assert job["trigger"] == "http"
    done = await ended(client, job["id"])
    assert done["state"] == "delivered", done
    take = Path(done["takes"][0]["path"])
    assert sf.info(take).frames == 24_000
    assert (await client.get(f"/jobs/{job['id']}")).json() == done


async def test_the_audio_of_a_job_can_be_fetched_whole(client: httpx.AsyncClient, clip: Path) -> None:
    region = {"start": 4_800, "end": 9_600, "unit": "frames"}
    done = await ended(client, (await sent(client, source=str(clip), region=region, **LOOPBACK))["id"])
    take = await client.get(f"/jobs/{done['id']}/audio/1")
    assert take.content == Path(done["takes"][0]["path"]).read_bytes()
    assert take.headers["content-type"] == "audio/wav"
    assert int(take.headers["content-length"]) == len(take.content)
    assert "Kick%20Loop" in take.headers["content-disposition"]
    source = await client.get(f"/jobs/{done['id']}/audio/source")
    # the region and up to 50 ms either side
    assert 4_800 <= sf.info(_as_file(clip.parent, source.content)).frames <= 4_800 + 2 * 2_400


def _as_file(folder: Path, content: bytes) -> Path:
    path = folder / "fetched.wav"
    path.write_bytes(content)
    return path


async def test_audio_that_is_not_there_is_said_to_be_missing(
    client: httpx.AsyncClient, clip: Path, engine: Engine
) -> None:
    done = await ended(client, (await sent(client, source=str(clip), **LOOPBACK))["id"])
    Path(done["takes"][0]["path"]).unlink()
    refused(await client.get(f"/jobs/{done['id']}/audio/1"), 404, "source_not_found")
    refused(await client.get(f"/jobs/{done['id']}/audio/2"), 404, "source_not_found")
    refused(await client.get("/jobs/nobody/audio/1"), 404, "unknown_job")
    for wrong in ("0", "-1", "01", "1.5", "take", "source.wav"):
        refused(await client.get(f"/jobs/{done['id']}/audio/{wrong}"), 422, "bad_request")
    await engine.jobs.add(stored_job(1))
    refused(await client.get("/jobs/job0001/audio/source"), 404, "source_not_found")


async def test_a_command_can_say_that_a_person_typed_it(client: httpx.AsyncClient, clip: Path) -> None:
    body = {"source": str(clip), **LOOPBACK}
    answer = await client.post("/jobs", json=body, headers={"x-clipbridge-trigger": "cli"})
    assert answer.json()["trigger"] == "cli"
    wrong = await client.post("/jobs", json=body, headers={"x-clipbridge-trigger": "folder"})
    refused(wrong, 422, "bad_request")


async def test_a_name_that_is_no_valid_unicode_is_refused_with_a_sentence(client: httpx.AsyncClient) -> None:
    for request in ({"source": "/music/\udcff.wav"}, {"source": "/a.wav", "context": {"track": "\ud800"}}):
        refused(await client.post("/jobs", content=json.dumps(request)), 422, "bad_request")


async def test_all_jobs_can_be_read_page_by_page_newest_first(client: httpx.AsyncClient, engine: Engine) -> None:
    for number in range(7):
        await engine.jobs.add(stored_job(number))
    seen, before = [], {}
    while True:
        page = (await client.get("/jobs", params={"limit": 3, **before})).json()
        seen += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert seen == [f"job{number:04}" for number in reversed(range(7))]


async def test_jobs_can_be_asked_for_by_state_and_batch(client: httpx.AsyncClient, engine: Engine) -> None:
    for number, state in enumerate(("queued", "delivered", "failed", "cancelled")):
        await engine.jobs.add(stored_job(number, state=state, batch="album" if number % 2 else None))

    async def ids(query: str) -> list[str]:
        return [job["id"][-1] for job in (await client.get(f"/jobs?{query}")).json()["jobs"]]

    assert await ids("state=queued&state=failed") == ["2", "0"]
    assert await ids("state=queued,failed") == ["2", "0"]
    assert await ids("batch=album") == ["3", "1"]
    assert await ids("batch=album&state=delivered") == ["1"]
    assert await ids("batch=unknown") == []


async def test_a_waiting_job_can_be_cancelled_and_taken_up_again(
    client: httpx.AsyncClient, clip: Path, tmp_path: Path
) -> None:
    growing = tmp_path / "growing.wav"
    growing.write_bytes(b"")
    held = await sent(client, source=str(growing), **LOOPBACK)
    assert (held["state"], held["held"]["reason"]) == ("held", "source_unfinished")
    cancelled = await client.post(f"/jobs/{held['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    growing.write_bytes(clip.read_bytes())
    async with listening(client) as events:
        assert (await client.post(f"/jobs/{held['id']}/retry", json={"pay_again": False})).status_code == 200
        states = [job["state"] async for _, job in until_end(events, held["id"])]
    assert states[-1] == "delivered"


async def test_a_batch_can_be_cancelled_at_once(client: httpx.AsyncClient, tmp_path: Path) -> None:
    growing = tmp_path / "growing.wav"
    growing.write_bytes(b"")
    first, second = [await sent(client, source=str(growing), batch="album", **LOOPBACK) for _ in range(2)]
    alone = await sent(client, source=str(growing), **LOOPBACK)
    assert (await client.post(f"/jobs/{first['id']}/cancel", json={"batch": True})).json()["state"] == "cancelled"
    states = {job["id"]: job["state"] for job in (await client.get("/jobs")).json()["jobs"]}
    assert states == {first["id"]: "cancelled", second["id"]: "cancelled", alone["id"]: "held"}


async def test_what_a_job_cannot_do_in_its_state_is_a_conflict(client: httpx.AsyncClient, engine: Engine) -> None:
    take = Take(path="/t.wav", take=1, seed=1, frames=1, samplerate=8_000, channels=1, subtype="PCM_16", placed=True)
    await engine.jobs.add(stored_job(1, state="delivered", takes=(take,)))
    call = Call(take=1, state="uncertain")
    uncertain = stored_job(2, state="queued")
    await engine.jobs.add(uncertain)
    await engine.jobs.save(uncertain, uncertain.model_copy(update={"state": "uncertain", "calls": (call,)}))
    refused(await client.post("/jobs/job0001/forget"), 409, "bad_request")
    refused(await client.post("/jobs/job0002/retry"), 409, "bad_request")
    assert (await client.post("/jobs/job0002/forget")).json()["state"] == "failed"


WRONG_OPTIONS = [
    ("cancel", b"{", 400),
    ("cancel", b"[]", 400),
    ("cancel", b'{"batch": 1}', 422),
    ("cancel", b'{"pay_again": true}', 422),
    ("retry", b'{"pay_agian": true}', 422),
    ("retry", b'{"pay_again": "yes"}', 422),
]


async def test_an_action_takes_its_own_key_only(client: httpx.AsyncClient, engine: Engine) -> None:
    await engine.jobs.add(stored_job(1, state="failed"))
    for action, content, status in WRONG_OPTIONS:
        refused(await client.post(f"/jobs/job0001/{action}", content=content), status, "bad_request")


async def test_the_same_client_id_is_the_same_job(client: httpx.AsyncClient, clip: Path) -> None:
    request = {"source": str(clip), "client_id": "reaper/1", "context": {"track": "Bass"}, **LOOPBACK}
    first = await sent(client, **request)
    assert (await sent(client, **request))["id"] == first["id"]
    refused(await client.post("/jobs", json={**request, "strength": 0.1}), 422, "bad_request")
    assert len((await client.get("/jobs")).json()["jobs"]) == 1
