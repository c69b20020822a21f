"""Nothing is paid twice, nothing that is paid is lost, and where nobody can know, nobody pretends to.

The service here charges for what it accepts, whether or not anybody is left to hear the answer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import ClipError, Passing
from bridge.job import Call, Job
from bridge.pipeline import conform, retry
from bridge.providers.base import Question, Running
from tests.integration.core_bench import DEADLINE_SECONDS, PRICE_USD, Bench, Service, samples, until


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def bench(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    # the first wait after a trouble; the rule itself has its own tests
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.05)
    async with Bench(tmp_path, service, budget={"per_job_usd": 5}) as made:
        yield made


def passing(after_seconds: float | None = None, **how: Any) -> Passing:
    given = {"code": "provider_error", "message": "No way to the service.", "hint": "Wait.", "reason": "network", **how}
    return Passing(given.pop("code"), given.pop("message"), after_seconds=after_seconds, **given)


def lost() -> ClipError:
    return ClipError("unknown_outcome", "The line broke after the clip was sent.", hint="Look.", charged="unknown")


def moderated() -> ClipError:
    return ClipError("moderated", "The service refused the words.", hint="Other words.", charged="no")


async def submit(bench: Bench, **request: Any) -> Job:
    source = bench.clip(rate=44_100, subtype="PCM_16")
    wish = {"provider": "stability", "match_loudness": False, "seed": 11, **request}
    return await bench.submit(source, **wish)


def states(job: Job) -> list[str]:
    return [call.state for call in job.calls]


def labels(service: Service) -> list[str]:
    return [question.label for question in service.asked]


# ---- before anything is sent ------------------------------------------------------------------------------------------


async def test_the_intent_is_on_disk_before_the_service_is_asked(bench: Bench, service: Service) -> None:
    seen: dict[str, Any] = {}

    def look_at_the_disk(question: Question) -> None:
        seen[question.label] = bench.on_disk("SELECT take, state, seed, estimated_usd, provider_job_id FROM calls")

    service.on_ask = look_at_the_disk
    ended = await bench.ended(await submit(bench, variations=2))
    assert ended.state == "delivered"
    for label, rows in seen.items():
        take = int(label.split("-")[0])
        assert (take, "intent", 10 + take, PRICE_USD, None) in rows


async def test_a_service_is_asked_with_what_it_takes(bench: Bench, service: Service) -> None:
    job = await bench.ended(await submit(bench, prompt="{name} as tape", strength=0.4))
    (question,) = service.asked
    assert (question.kind, question.model, question.prompt, question.strength) == (
        "transform",
        "strict-1",
        "clip as tape",
        0.4,
    )
    assert question.audio is not None
    assert question.audio.is_file()
    assert samples(question.audio).shape == (4_801, 2)
    assert job.takes[0].notes[0] == "Made by the strict service."


async def test_a_job_shows_what_it_costs_and_the_ledger_has_each_call(bench: Bench, service: Service) -> None:
    job = await submit(bench, variations=3)
    assert job.estimated_usd == pytest.approx(3 * PRICE_USD)
    ended = await bench.ended(job)
    assert ended.charged_usd == pytest.approx(3 * PRICE_USD)
    assert [call.charged_usd for call in ended.calls] == [PRICE_USD] * 3
    assert [call.available_until for call in ended.calls] == ["2030-01-01T00:00:00.000Z"] * 3
    assert sorted(bench.on_disk("SELECT take, usd, job_id FROM ledger")) == [
        (take, PRICE_USD, job.id) for take in (1, 2, 3)
    ]
    told = json.loads(Path(ended.takes[0].path).with_suffix(".clipbridge.json").read_text())
    assert (told["charged_usd"], told["provider_job_id"]) == (PRICE_USD, ended.calls[0].provider_job_id)


async def test_where_the_intent_cannot_be_written_nothing_is_sent(
    bench: Bench, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real = bench.engine.jobs, bench.engine.jobs.save

    def full(before: Job, after: Job) -> Any:
        if len(after.calls) > len(before.calls):
            failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            failed.set_exception(ClipError("disk_full", "No space is left.", hint="Free some."))
            return failed
        return real(before, after)

    monkeypatch.setattr(store, "save", full)
    ended = await bench.ended(await submit(bench))
    assert service.asked == []
    assert (ended.state, ended.error and ended.error.code) == ("failed", "disk_full")
    assert ended.charged_usd == 0.0


# ---- a kill in between ------------------------------------------------------------------------------------------------


async def test_after_a_kill_during_the_rendering_it_looks_and_does_not_ask_again(
    bench: Bench, service: Service
) -> None:
    service.rendering.clear()
    job = await submit(bench)
    await until(lambda: service.looked, "the first look")
    async with bench.after_a_kill() as later:
        service.rendering.set()
        ended = await later.ended(job)
        assert ended.state == "delivered"
        assert ended.charged_usd == pytest.approx(PRICE_USD)
        assert ended.calls[0].available_until == "2030-01-01T00:00:00.000Z"
        assert service.looked[-1].handle == {"at": "render-1"}
        assert len(later.on_disk("SELECT * FROM ledger")) == 1
    assert len(service.asked) == 1


async def test_after_a_kill_while_it_was_asked_nobody_knows_and_nobody_asks_again(
    bench: Bench, service: Service
) -> None:
    service.accepting.clear()
    job = await submit(bench, variations=2)
    await until(lambda: len(service.asked) == 2, "the questions")
    async with bench.after_a_kill() as later:
        ended = await later.ended(job)
        assert ended.state == "uncertain"
        assert states(ended) == ["uncertain", "uncertain"]
        assert ended.error is not None
        assert (ended.error.code, ended.error.charged) == ("unknown_outcome", "unknown")
        assert ended.error.hint
        assert ended.charged_usd is None
        await later.restart()
        assert (await later.job(job.id)).state == "uncertain"
        assert len(later.on_disk("SELECT * FROM ledger WHERE usd IS NULL")) == 2
    assert len(service.asked) == 2
    service.accepting.set()
    assert (await bench.ended(job)).state == "delivered"


async def test_a_kill_before_the_intent_costs_nothing_and_the_job_is_simply_done(
    bench: Bench, service: Service
) -> None:
    service.accepting.clear()
    jobs = [await submit(bench, client_id=f"a/{number}") for number in range(5)]  # one more than calls in flight
    await until(lambda: len(service.asked) == 4, "the questions of the first four")
    async with bench.after_a_kill() as later:
        service.accepting.set()
        ended = await later.all_ended(jobs)
        assert sorted(job.state for job in ended) == ["delivered", *["uncertain"] * 4]
    await bench.all_ended(jobs)


async def test_cancelling_what_was_lost_in_a_kill_does_not_pretend_to_know(bench: Bench, service: Service) -> None:
    service.accepting.clear()
    job = await submit(bench)
    await until(lambda: service.asked, "the question")
    async with bench.after_a_kill() as later:
        # at once, before the new run has led the job anywhere
        told = await later.engine.intake.cancel(job.id)
        assert told.state == "uncertain"
        assert states(await later.ended(job)) == ["uncertain"]
    service.accepting.set()
    await bench.ended(job)


# ---- uncertain --------------------------------------------------------------------------------------------------------


async def uncertain_job(bench: Bench, service: Service, **request: Any) -> Job:
    service.ask_errors.append(lost())
    ended = await bench.ended(await submit(bench, **request))
    assert ended.state == "uncertain"
    return ended


async def test_one_uncertain_call_makes_the_job_uncertain_and_the_others_are_delivered(
    bench: Bench, service: Service
) -> None:
    job = await uncertain_job(bench, service, variations=3)
    assert sorted(states(job)) == ["done", "done", "uncertain"]
    assert len(job.takes) == 2
    assert all(Path(take.path).is_file() for take in job.takes)
    assert job.charged_usd is None
    assert job.error is not None
    assert job.error.code == "unknown_outcome"


async def test_an_uncertain_call_is_asked_again_only_where_a_person_says_so(bench: Bench, service: Service) -> None:
    job = await uncertain_job(bench, service, variations=3)
    (unknown,) = [call for call in job.calls if call.state == "uncertain"]
    with pytest.raises(ClipError) as caught:
        await bench.engine.intake.retry(job.id)
    assert (caught.value.code, caught.value.charged) == ("bad_request", "unknown")
    assert (await bench.job(job.id)).state == "uncertain"
    await bench.engine.intake.retry(job.id, pay_again=True)
    ended = await bench.ended(job)
    assert (ended.state, ended.error, states(ended)) == ("delivered", None, ["done"] * 3)
    assert len(ended.takes) == 3
    assert len(service.asked) == 4
    assert labels(service)[-1] == f"{unknown.take}-1", "the uncertain call only"
    assert ended.takes[unknown.take - 1].seed == 10 + unknown.take


async def test_paying_again_is_for_the_uncertain_calls_only_and_not_for_those_that_failed(
    bench: Bench, service: Service
) -> None:
    service.refused["2-1"] = moderated()
    service.refused["1-1"] = lost()
    job = await bench.ended(await submit(bench, variations=2))
    assert states(job) == ["uncertain", "failed"]
    del service.refused["1-1"]
    await bench.engine.intake.retry(job.id, pay_again=True)
    ended = await bench.ended(job)
    assert labels(service) == ["1-1", "2-1", "1-1"]
    assert (ended.state, states(ended)) == ("delivered", ["done", "failed"])
    assert ended.error is not None
    assert ended.error.code == "moderated"


async def test_an_uncertain_job_can_be_given_up(bench: Bench, service: Service) -> None:
    with_takes = await uncertain_job(bench, service, variations=2)
    without = await uncertain_job(bench, service)
    assert (await bench.engine.intake.forget(with_takes.id)).state == "delivered"
    forgotten = await bench.engine.intake.forget(without.id)
    assert (forgotten.state, states(forgotten)) == ("failed", ["failed"])
    assert (await bench.job(without.id)) == forgotten
    for job in (with_takes, without):
        with pytest.raises(ClipError):
            await bench.engine.intake.forget(job.id)
    assert len(service.asked) == 3
    await bench.restart()
    assert (await bench.job(without.id)).state == "failed"


async def test_who_decides_twice_at_once_has_decided_once(bench: Bench, service: Service) -> None:
    intake = bench.engine.intake
    for decide in (
        lambda job_id: intake.forget(job_id),
        lambda job_id: intake.retry(job_id, pay_again=True),
    ):
        job = await uncertain_job(bench, service)
        asked = len(service.asked)
        answers = await asyncio.gather(*(decide(job.id) for _ in range(4)), return_exceptions=True)
        refusals = [answer for answer in answers if isinstance(answer, ClipError)]
        assert len(refusals) == 3
        assert {refusal.code for refusal in refusals} == {"bad_request"}
        await bench.ended(job)
        assert len(service.asked) - asked <= 1


async def test_giving_up_and_paying_again_at_once_is_one_of_both(bench: Bench, service: Service) -> None:
    job = await uncertain_job(bench, service, variations=2)
    intake = bench.engine.intake
    await asyncio.gather(
        intake.forget(job.id), intake.retry(job.id, pay_again=True), intake.cancel(job.id), return_exceptions=True
    )
    ended = await bench.when(job.id, lambda seen: seen.state in {"delivered", "cancelled"}, "its end")
    assert bench.engine.runner.living(job.id) is None
    assert ended == await bench.job(job.id)


async def test_a_defect_while_asking_leaves_it_open_whether_it_was_paid(bench: Bench, service: Service) -> None:
    service.ask_errors.append(ValueError("a surprise in the answer"))
    job = await bench.ended(await submit(bench))
    assert job.state == "uncertain"
    assert job.error is not None
    assert "a surprise in the answer" in job.error.message
    assert len(service.asked) == 1


async def test_a_defect_while_looking_loses_neither_that_call_nor_the_others(bench: Bench, service: Service) -> None:
    service.look_errors.append(ValueError("a surprise in the answer"))
    job = await bench.ended(await submit(bench, variations=2))
    assert job.state == "delivered"
    assert sorted(states(job)) == ["done", "running"]
    assert job.error is not None
    assert job.error.code == "internal"
    await bench.engine.intake.retry(job.id)
    again = await bench.ended(job)
    assert (again.state, again.error, len(again.takes)) == ("delivered", None, 2)
    assert len(service.asked) == 2, "it was paid for already"


# ---- what passes by itself --------------------------------------------------------------------------------------------


async def test_without_a_network_a_job_waits_and_goes_on_by_itself(bench: Bench, service: Service) -> None:
    service.ask_errors += [passing(), passing()]
    job = await submit(bench)
    await bench.reached(job, "held")
    ended = await bench.ended(job)
    assert (ended.state, ended.held, ended.error) == ("delivered", None, None)
    assert len(service.asked) == 3
    told = [json.loads(event.job_json) for event in await bench.events(job)]
    waits = [one["held"] for one in told if one["state"] == "held"]
    assert [wait["reason"] for wait in waits] == ["network", "network"]
    assert all(one["held"] is None for one in told if one["state"] != "held")
    # by its meaning it never reached the service: nothing of it is left
    assert all(one["calls"] == [] for one in told if one["state"] == "held")
    assert len(bench.on_disk("SELECT * FROM ledger")) == 1


async def test_a_short_trouble_is_a_short_wait_however_many_takes_it_meets(
    bench: Bench, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []
    real = retry.decide

    def decide(*given: Any, **how: Any) -> retry.Decision:
        waits.append(real(*given, **how))
        return waits[-1]

    monkeypatch.setattr(retry, "decide", decide)
    service.ask_errors += [passing() for _ in range(8)]
    ended = await bench.ended(await submit(bench, variations=8))
    assert ended.state == "delivered"
    assert waits == [retry.Hold("network", retry.FIRST_WAIT_SECONDS)] * 8


async def test_a_service_that_asks_for_time_gets_it_and_the_job_says_so(bench: Bench, service: Service) -> None:
    service.ask_errors.append(passing(600, code="rate_limited", reason="rate_limit"))
    job = await submit(bench)
    held = await bench.when(job.id, lambda seen: seen.held is not None, "the wait")
    assert held.held is not None
    assert held.held.reason == "rate_limit"
    # who does not want to wait says so
    again = await bench.engine.intake.retry(job.id)
    assert again.held is None
    assert (await bench.ended(job)).state == "delivered"


async def test_a_wait_outlives_a_restart(bench: Bench, service: Service) -> None:
    service.ask_errors.append(passing(0.3))
    job = await submit(bench)
    await bench.when(job.id, lambda seen: seen.held is not None, "the wait")
    await bench.restart()
    assert (await bench.ended(job)).state == "delivered"
    assert len(service.asked) == 2


async def test_a_waiting_job_can_be_cancelled(bench: Bench, service: Service) -> None:
    service.ask_errors.append(passing(600))
    job = await submit(bench)
    await bench.when(job.id, lambda seen: seen.held is not None, "the wait")
    ended = await bench.engine.intake.cancel(job.id)
    assert (ended.state, ended.held) == ("cancelled", None)
    assert ended.error is not None
    assert ended.error.charged == "no"


async def test_a_trouble_while_looking_costs_nothing_and_is_waited_out(bench: Bench, service: Service) -> None:
    service.look_errors += [passing(), passing(code="provider_error", reason="provider_down")]
    job = await submit(bench)
    ended = await bench.ended(job)
    assert ended.state == "delivered"
    assert len(service.asked) == 1
    told = [json.loads(event.job_json) for event in await bench.events(job)]
    assert {one["held"]["reason"] for one in told if one["held"]} == {"network", "provider_down"}
    assert all(one["calls"][0]["state"] == "running" for one in told if one["held"])


async def test_takes_that_came_are_kept_while_others_wait(bench: Bench, service: Service) -> None:
    service.ask_errors.append(passing(0.2))
    job = await submit(bench, variations=2)
    held = await bench.when(job.id, lambda seen: seen.held is not None, "the wait")
    assert len(held.public()["takes"]) == 1
    ended = await bench.ended(job)
    assert len(ended.takes) == 2
    assert sorted(labels(service)) in (["1-1", "1-1", "2-1"], ["1-1", "2-1", "2-1"])
    assert ended.charged_usd == pytest.approx(2 * PRICE_USD)


# ---- some fail --------------------------------------------------------------------------------------------------------


async def test_where_some_takes_fail_the_others_are_delivered_with_the_error(bench: Bench, service: Service) -> None:
    service.refused["2-1"] = moderated()
    job = await bench.ended(await submit(bench, variations=3))
    assert job.state == "delivered"
    assert states(job) == ["done", "failed", "done"]
    assert [take.take for take in job.takes] == [1, 3]
    assert job.error is not None
    assert (job.error.code, job.error.charged) == ("moderated", "no")
    assert job.charged_usd == pytest.approx(2 * PRICE_USD)
    # and only what failed is asked for again
    del service.refused["2-1"]
    await bench.engine.intake.retry(job.id)
    again = await bench.ended(job)
    assert (again.state, again.error, len(again.takes)) == ("delivered", None, 3)
    assert labels(service)[3:] == ["2-1"]
    with pytest.raises(ClipError, match="delivered all"):
        await bench.engine.intake.retry(job.id)


async def test_where_all_takes_fail_the_job_fails(bench: Bench, service: Service) -> None:
    service.refused = {"1-1": moderated(), "2-1": moderated()}
    job = await bench.ended(await submit(bench, variations=2))
    assert (job.state, states(job), job.charged_usd) == ("failed", ["failed", "failed"], 0.0)
    assert bench.on_disk("SELECT * FROM ledger") == []


async def test_a_failure_that_was_charged_is_counted(bench: Bench, service: Service) -> None:
    service.refused["1-1"] = ClipError("moderated", "Refused after the rendering.", hint="Other words.", charged="yes")
    job = await bench.ended(await submit(bench))
    assert job.state == "failed"
    assert job.error is not None
    assert job.error.charged == "yes"
    assert job.charged_usd == pytest.approx(PRICE_USD)
    assert bench.on_disk("SELECT take, usd FROM ledger") == [(1, PRICE_USD)]


async def test_a_result_that_cannot_be_a_take_is_paid_and_kept(bench: Bench, service: Service) -> None:
    service.result_bytes = b"no sound at all"
    job = await bench.ended(await submit(bench))
    assert (job.state, job.error and job.error.code) == ("failed", "bad_result")
    assert job.charged_usd == pytest.approx(PRICE_USD)
    assert bench.leftovers() == []


# ---- cancelling -------------------------------------------------------------------------------------------------------


async def test_cancelling_what_is_being_asked_keeps_the_audio_and_retry_delivers_it_free(
    tmp_path: Path,
) -> None:
    service = Service(answers_later=False)
    service.accepting.clear()
    async with Bench(tmp_path, service) as bench:
        job = await submit(bench)
        await until(lambda: service.asked, "the question")
        told = await bench.engine.intake.cancel(job.id)
        assert told.state == "cancelled"
        assert told.error is not None
        assert (told.error.code, told.error.charged) == ("cancelled", "unknown")
        assert told.charged_usd is None, "the answer is still under way"
        with pytest.raises(ClipError, match="under way"):
            await bench.engine.intake.retry(job.id)
        service.accepting.set()
        known = await bench.when(job.id, lambda seen: states(seen) == ["done"], "the answer")
        assert known.state == "cancelled"
        assert known.charged_usd == pytest.approx(PRICE_USD)
        assert known.error is not None
        assert known.error.charged == "yes"
        assert known.takes == ()
        await bench.engine.intake.retry(job.id)
        ended = await bench.ended(job)
        assert (ended.state, ended.charged_usd) == ("delivered", pytest.approx(PRICE_USD))
        assert len(service.asked) == 1
        assert len(bench.on_disk("SELECT * FROM ledger")) == 1


async def test_an_answer_that_comes_in_the_middle_of_the_cancel_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(answers_later=False)
    service.accepting.clear()
    async with Bench(tmp_path, service) as bench:
        loop, real = asyncio.get_running_loop(), conform.sweep

        def sweep(folder: Path, job: Job) -> None:
            loop.call_soon_threadsafe(service.accepting.set)
            gives_up_at = time.monotonic() + DEADLINE_SECONDS
            while bench.on_disk("SELECT state FROM calls") != [("done",)]:
                assert time.monotonic() < gives_up_at
            real(folder, job)

        monkeypatch.setattr(conform, "sweep", sweep)
        job = await submit(bench)
        await until(lambda: service.asked, "the question")
        ended = await bench.engine.intake.cancel(job.id)
        assert (ended.state, states(ended), ended.charged_usd) == ("cancelled", ["done"], pytest.approx(PRICE_USD))
        assert ended.error is not None
        assert ended.error.charged == "yes"
        await bench.engine.intake.retry(job.id)
        assert (await bench.ended(job)).state == "delivered"
        assert len(service.asked) == 1


async def test_a_stop_of_the_daemon_waits_for_an_answer_that_is_paid_for(tmp_path: Path) -> None:
    service = Service(answers_later=False)
    service.accepting.clear()
    async with Bench(tmp_path, service) as bench:
        job = await submit(bench)
        await until(lambda: service.asked, "the question")
        stopping = asyncio.create_task(bench.engine.stop())
        await until(
            lambda: f"job {job.id}" not in [task.get_name() for task in asyncio.all_tasks()], "the job to be let go"
        )
        service.accepting.set()
        await stopping
        await bench.start()
        assert (await bench.ended(job)).state == "delivered"
        assert len(service.asked) == 1


async def test_a_stop_of_the_daemon_never_stops_the_services_work(tmp_path: Path) -> None:
    service = Service(stoppable=True)
    service.accepting.clear()
    async with Bench(tmp_path, service) as bench:
        job = await submit(bench)
        await until(lambda: service.asked, "the question")
        stopping = asyncio.create_task(bench.engine.stop())
        await until(
            lambda: f"job {job.id}" not in [task.get_name() for task in asyncio.all_tasks()], "the job to be let go"
        )
        service.accepting.set()
        await stopping
        assert service.stopped == []
        await bench.start()
        assert (await bench.ended(job)).state == "delivered"
        assert len(service.asked) == 1


async def test_cancelling_tells_a_service_that_can_stop(tmp_path: Path) -> None:
    service = Service(stoppable=True)
    service.rendering.clear()
    async with Bench(tmp_path, service) as bench:
        job = await submit(bench, variations=2)
        await until(lambda: len({look.provider_job_id for look in service.looked}) == 2, "the rendering of both")
        ended = await bench.engine.intake.cancel(job.id)
        assert (ended.state, states(ended)) == ("cancelled", ["cancelled", "cancelled"])
        assert sorted(service.stopped) == ["render-1", "render-2"]
        assert ended.error is not None
        assert ended.error.charged == "no"
        # taken up again, it is a new question
        service.rendering.set()
        await bench.engine.intake.retry(job.id)
        assert (await bench.ended(job)).state == "delivered"
        assert len(service.asked) == 4


async def test_what_a_service_cannot_stop_runs_out_and_retry_delivers_it_free(tmp_path: Path) -> None:
    service = Service(stoppable=False)
    service.rendering.clear()
    async with Bench(tmp_path, service) as bench:
        job = await submit(bench)
        await until(lambda: service.looked, "the rendering")
        ended = await bench.engine.intake.cancel(job.id)
        assert (ended.state, states(ended), ended.charged_usd) == ("cancelled", ["running"], None)
        assert ended.error is not None
        assert ended.error.charged == "unknown"
        service.rendering.set()
        await bench.restart()
        assert (await bench.job(job.id)).state == "cancelled", "a restart takes up nothing that was cancelled"
        await bench.engine.intake.retry(job.id)
        again = await bench.ended(job)
        assert (again.state, again.charged_usd) == ("delivered", pytest.approx(PRICE_USD))
        assert len(service.asked) == 1


async def test_a_service_that_cannot_even_be_told_to_stop_keeps_nobody_from_cancelling(tmp_path: Path) -> None:
    class Deaf(Service):
        async def stop(self, running: Running) -> bool:
            raise passing()

    service = Deaf()
    service.rendering.clear()
    async with Bench(tmp_path, service) as bench:
        job = await submit(bench)
        await until(lambda: service.looked, "the rendering")
        assert (await bench.engine.intake.cancel(job.id)).state == "cancelled"


async def test_a_cancel_before_anything_was_sent_costs_nothing_at_any_moment(bench: Bench, service: Service) -> None:
    """Whatever the moment: either nothing was sent and nothing is left open, or it was and that is said."""
    for steps in range(0, 120, 3):
        asked = len(service.asked)
        job = await submit(bench, seed=steps + 1)
        for _ in range(steps):
            await asyncio.sleep(0.0005)
        ended = await bench.engine.intake.cancel(job.id)
        ended = await bench.ended(ended)
        if ended.state == "delivered":
            break
        assert ended.state == "cancelled"
        if len(service.asked) == asked:
            assert ended.calls == ()
            assert ended.charged_usd == 0.0
        else:
            final = await bench.when(
                job.id, lambda seen: set(states(seen)) <= {"running", "done", "cancelled"}, "its answer"
            )
            assert len(final.calls) == 1
    await until(lambda: not bench.on_disk("SELECT 1 FROM calls WHERE state = 'intent'"), "no intent to be left open")


# ---- limits seen late -------------------------------------------------------------------------------------------------


async def test_a_clip_whose_length_showed_late_is_not_sent_where_it_is_too_long(bench: Bench, service: Service) -> None:
    whole = bench.clip("whole.wav", frames=61 * 8_000, rate=8_000, channels=1, subtype="PCM_U8")
    source = bench.root / "growing.wav"
    data = whole.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    job = await bench.submit(source, provider="stability")
    assert job.state == "held"
    source.write_bytes(data)
    ended = await bench.ended(job)
    assert ended.error is not None
    assert ended.error.code == "too_long"
    assert service.asked == []


async def test_what_is_too_large_for_the_service_is_not_sent(tmp_path: Path) -> None:
    service = Service()
    (model,) = service.models
    service.models = (replace(model, upload=replace(model.upload, max_bytes=10_000)),)  # type: ignore[misc]
    async with Bench(tmp_path, service) as bench:
        job = await bench.ended(await submit(bench))
        assert (job.state, job.error and job.error.code) == ("failed", "too_large")
        assert (service.asked, job.charged_usd) == ([], 0.0)


# ---- the disk trips ---------------------------------------------------------------------------------------------------


async def test_a_job_that_ended_while_the_disk_was_full_is_known_as_ended_afterwards(
    bench: Bench, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bridge.pipeline import board

    monkeypatch.setattr(board, "SAVE_AGAIN_SECONDS", 0.05)
    store, real = bench.engine.jobs, bench.engine.jobs.save
    trips = 3

    def full(before: Job, after: Job) -> Any:
        nonlocal trips
        if trips and after.state in {"conforming", "fetching"}:
            trips -= 1
            failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            failed.set_exception(ClipError("disk_full", "No space is left.", hint="Free some."))
            return failed
        return real(before, after)

    monkeypatch.setattr(store, "save", full)
    job = await submit(bench)
    await bench.ended(job)
    told = (await bench.job(job.id)).state
    seen = asyncio.Event()
    bench.engine.events.subscribe(lambda _event, _job: seen.set())
    await asyncio.wait_for(seen.wait(), 20)  # what was lost is stored anew
    assert (await bench.job(job.id)).state == told
    events = [json.loads(event.job_json)["state"] for event in await bench.events(job)]
    assert events[-1] == told
    assert len(service.asked) == 1


def test_a_call_never_shows_what_is_between_us_and_the_service() -> None:
    shown = Job.model_validate(
        {
            "id": "x", "created_at": "", "updated_at": "", "trigger": "http", "provider": "stability",
            "request": {"source": "/a.wav"}, "calls": (Call(take=1, handle={"url": "https://secret"}),),
        }
    ).public()  # fmt: skip
    assert "secret" not in json.dumps(shown)
