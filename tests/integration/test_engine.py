"""From a request to a take, with the real engine: the take fits its hole, nothing is lost, nothing is overwritten."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.daemon import Daemon
from bridge.errors import ClipError
from bridge.intake import DROP, WATCH
from bridge.job import ENDS, Job, seconds_of
from bridge.request import SEED_MAX
from bridge.store.jobs import Event
from tests.integration.core_bench import Bench, Service, noise, samples, until, write_clip


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with Bench(tmp_path, daemon={"unfinished_seconds": 20}) as made:
        yield made


async def refused(bench: Bench, source: Path | None = None, **request: Any) -> ClipError:
    before = len((await bench.engine.jobs.page()).jobs)
    with pytest.raises(ClipError) as caught:
        await bench.submit(source, **request)
    assert caught.value.hint
    assert caught.value.charged == "no"
    assert len((await bench.engine.jobs.page()).jobs) == before, "what is refused makes no job"
    return caught.value


def only_take(job: Job) -> Path:
    (take,) = job.takes
    return Path(take.path)


# ---- the take fits its hole -------------------------------------------------------------------------------------------

FORMATS = [
    # name, rate, channels, how it is written, what its take is written as
    ("a.wav", 48_000, 2, {"subtype": "PCM_24"}, "PCM_24"),
    ("a.wav", 44_100, 1, {"subtype": "PCM_16"}, "PCM_16"),
    ("a.wav", 96_000, 2, {"subtype": "PCM_32"}, "PCM_32"),
    ("a.wav", 48_000, 2, {"subtype": "FLOAT"}, "FLOAT"),
    ("a.wav", 44_100, 2, {"subtype": "DOUBLE"}, "DOUBLE"),
    ("a.wav", 8_000, 1, {"subtype": "PCM_U8"}, "PCM_U8"),
    ("a.wav", 192_000, 2, {"subtype": "PCM_24"}, "PCM_24"),
    ("a.wav", 48_000, 1, {"subtype": "ULAW"}, "PCM_24"),
    ("a.wav", 22_050, 2, {"subtype": "PCM_16", "format": "RF64"}, "PCM_16"),
    ("a.aiff", 44_100, 2, {"subtype": "PCM_S8"}, "PCM_U8"),
    ("a.aif", 32_000, 2, {"subtype": "PCM_24", "format": "AIFF"}, "PCM_24"),
    ("a.flac", 88_200, 2, {"subtype": "PCM_24"}, "PCM_24"),
    ("a.flac", 44_100, 1, {"subtype": "PCM_16"}, "PCM_16"),
    ("a.ogg", 48_000, 2, {"subtype": "VORBIS"}, "PCM_24"),
    ("a.mp3", 44_100, 2, {"subtype": "MPEG_LAYER_III"}, "PCM_24"),
]


async def test_a_take_has_exactly_its_clips_length_rate_channels_and_sample_format(bench: Bench) -> None:
    jobs = {}
    for number, (name, rate, channels, how, subtype) in enumerate(FORMATS):
        folder = bench.root / str(number)
        folder.mkdir()
        # not below half a second, where MP3 and Vorbis have their own ideas; and an odd number of frames
        source = write_clip(folder / name, frames=rate // 2 + 7, rate=rate, channels=channels, **how)
        decoded = len(samples(source))
        for preset in ("default", "matched") if number < 3 else ("default",):
            job = await bench.submit(source, preset=preset, deliver_to=str(folder))
            jobs[job.id] = (job, decoded, rate, channels, subtype)
    for job, frames, rate, channels, subtype in jobs.values():
        ended = await bench.ended(job)
        assert ended.state == "delivered", (job.request.source, ended.error)
        info = soundfile.info(only_take(ended))
        assert (info.frames, info.samplerate, info.channels, info.subtype) == (frames, rate, channels, subtype)
        assert info.format in {"WAV", "WAVEX"}
        (take,) = ended.takes
        assert (take.frames, take.samplerate, take.channels, take.subtype) == (frames, rate, channels, subtype)


async def test_at_strength_0_the_take_is_the_region_bit_for_bit(bench: Bench) -> None:
    # floating point above full scale stays as it is, too
    for subtype, gain in (("PCM_16", 1.0), ("PCM_24", 1.0), ("PCM_32", 1.0), ("FLOAT", 4.0), ("DOUBLE", 4.0)):
        source = bench.root / f"{subtype}.wav"
        soundfile.write(source, noise(9_000, 2) * gain, 48_000, subtype=subtype)
        region = {"start": 1_000, "end": 8_001, "unit": "frames"}
        job = await bench.delivered(source, strength=0, provider="dsp", region=region)
        assert np.array_equal(samples(only_take(job)), samples(source)[1_000:8_001])
        assert soundfile.info(only_take(job)).subtype == subtype
        assert (job.calls, job.charged_usd, job.estimated_usd) == ((), 0.0, 0.0)
        assert (job.takes[0].lufs, job.takes[0].source_lufs, job.takes[0].true_peak_dbtp) == (None, None, None)


async def test_what_needs_no_resampling_goes_through_loopback_without_a_scratch(bench: Bench) -> None:
    source = bench.clip(rate=44_100, subtype="PCM_24")
    job = await bench.delivered(source, provider="loopback", match_loudness=False)
    assert np.array_equal(samples(only_take(job)), samples(source))
    (take,) = job.takes
    assert (take.lufs, take.source_lufs, take.true_peak_dbtp) == (None, None, None)


async def test_with_matching_a_take_is_as_loud_as_its_clip_and_both_are_said(bench: Bench) -> None:
    source = bench.clip(frames=96_000)
    (take,) = (await bench.delivered(source, preset="matched", provider="dsp", prompt="big hall")).takes
    assert take.lufs is not None
    assert take.source_lufs is not None
    assert take.true_peak_dbtp is not None
    assert abs(take.lufs - take.source_lufs) <= 0.2 or any("quieter" in note for note in take.notes)


async def test_a_mono_clip_comes_back_mono_and_with_stereo_both_channels_are_kept(bench: Bench) -> None:
    source = bench.clip(channels=1, rate=44_100)
    mono = await bench.delivered(source)
    stereo = await bench.delivered(source, channels="stereo")
    copied = await bench.delivered(source, channels="stereo", strength=0)
    assert [soundfile.info(only_take(job)).channels for job in (mono, stereo, copied)] == [1, 2, 2]
    assert np.array_equal(samples(only_take(mono)), samples(source))
    for job in (stereo, copied):
        assert np.array_equal(samples(only_take(job)), np.repeat(samples(source), 2, axis=1))
        assert job.takes[0].channels == 2


async def test_more_than_two_channels_are_refused(bench: Bench) -> None:
    assert (await refused(bench, bench.clip(channels=8))).code == "source_unsupported"


# ---- regions ----------------------------------------------------------------------------------------------------------


async def test_a_region_in_seconds_is_the_nearest_frames(bench: Bench) -> None:
    source = bench.clip(rate=44_100, frames=44_100)
    seconds = await bench.delivered(source, strength=0, region={"start": 0.1, "end": 0.30001, "unit": "seconds"})
    frames = await bench.delivered(source, strength=0, region={"start": 4_410, "end": 13_230, "unit": "frames"})
    assert seconds.takes[0].frames == 13_230 - 4_410
    assert np.array_equal(samples(only_take(seconds)), samples(source)[4_410:13_230])
    assert seconds.takes[0].sha256 == frames.takes[0].sha256


async def test_one_frame_and_the_very_ends_are_regions_too(bench: Bench) -> None:
    source = bench.clip(rate=44_100)
    for start, end in ((0, 1), (4_800, 4_801), (0, 4_801)):
        for strength in (0, 0.5):
            region = {"start": start, "end": end, "unit": "frames"}
            job = await bench.delivered(source, strength=strength, region=region, match_loudness=False)
            assert np.array_equal(samples(only_take(job)), samples(source)[start:end])


async def test_a_region_outside_the_file_or_of_no_frame_is_refused(bench: Bench) -> None:
    source = bench.clip()
    for region in (
        {"start": 0, "end": 4_802, "unit": "frames"},
        {"start": 4_801, "end": 4_802, "unit": "frames"},
        {"start": 10**15, "end": 10**16, "unit": "frames"},
        {"start": 0, "end": 0.2, "unit": "seconds"},
        {"start": 1e300, "end": 1e301, "unit": "seconds"},
        {"start": 0.01, "end": 0.010001, "unit": "seconds"},
    ):
        error = await refused(bench, source, region=region)
        assert error.code == "region_out_of_range"
        assert "4801 frames" in error.message


async def test_only_the_regions_frames_and_little_more_are_kept_and_never_as_a_link(bench: Bench) -> None:
    source = bench.clip(frames=480_000)
    job = await bench.delivered(source, region={"start": 100_000, "end": 148_000, "unit": "frames"})
    kept = bench.home.job_dir(job.id) / "source.wav"
    assert soundfile.info(kept).frames == 48_000 + 2 * 2_400
    assert kept.stat().st_nlink == 1
    assert kept.stat().st_ino != source.stat().st_ino
    assert np.array_equal(samples(kept), samples(source)[97_600:150_400])


async def test_what_happens_to_the_source_afterwards_changes_nothing(tmp_path: Path) -> None:
    service = Service()
    service.rendering.clear()
    async with Bench(tmp_path, service) as bench:
        source = bench.clip(rate=44_100)
        before = samples(source)
        job = await bench.submit(source, provider="stability", match_loudness=False, client_id="x")
        await bench.reached(job, "rendering")
        source.write_bytes(b"rewritten in place")
        service.rendering.set()
        ended = await bench.ended(job)
        assert ended.state == "delivered"
        assert np.max(np.abs(samples(only_take(ended)) - before)) <= 2**17  # it went through 16 bits


# ---- variations and batches -------------------------------------------------------------------------------------------


async def test_each_variation_has_the_next_seed_and_its_own_file(bench: Bench) -> None:
    source = bench.clip(frames=24_000)
    job = await bench.delivered(source, provider="dsp", seed=SEED_MAX - 1, variations=4, prompt="tape, hall")
    assert [(take.take, take.seed) for take in job.takes] == [(1, SEED_MAX - 1), (2, SEED_MAX), (3, 1), (4, 2)]
    assert len({take.path for take in job.takes}) == len({take.sha256 for take in job.takes}) == 4
    names = {Path(take.path).name for take in job.takes}
    assert names == {"clip [default].wav", *(f"clip [default] take {number}.wav" for number in (2, 3, 4))}
    assert all(take.path.endswith(f"take {take.take}.wav") for take in job.takes[1:])


async def test_the_same_seed_makes_the_same_take_again(bench: Bench) -> None:
    source = bench.clip(frames=24_000)
    first = await bench.delivered(source, provider="dsp", seed=7, variations=2)
    second = await bench.delivered(source, provider="dsp", seed=8)
    assert first.takes[1].sha256 == second.takes[0].sha256
    assert first.takes[0].sha256 != second.takes[0].sha256


async def test_a_seed_nobody_named_is_chosen_and_recorded(bench: Bench) -> None:
    source = bench.clip()
    jobs = [await bench.delivered(source, provider="dsp") for _ in range(2)]
    seeds = [job.request.seed for job in jobs]
    assert None not in seeds
    assert len(set(seeds)) == 2
    assert [job.takes[0].seed for job in jobs] == seeds


async def test_cancelling_a_batch_ends_all_of_it_and_nothing_else(tmp_path: Path) -> None:
    service = Service()
    service.rendering.clear()
    async with Bench(tmp_path, service, daemon={"concurrency": 2}) as bench:
        source = bench.clip()
        wish: dict[str, Any] = {"provider": "stability", "match_loudness": False}
        batch = [await bench.submit(source, batch="b", **wish) for _ in range(6)]
        other = await bench.submit(source, batch="c", **wish)
        alone = await bench.submit(source, **wish)
        await until(lambda: service.looked, "the rendering of some of them")
        await bench.engine.intake.cancel(batch[3].id, batch=True)
        assert {job.state for job in await bench.all_ended(batch)} == {"cancelled"}
        service.rendering.set()
        assert {job.state for job in await bench.all_ended([other, alone])} == {"delivered"}
        assert len((await bench.engine.jobs.page(batch="b")).jobs) == 6


# ---- who goes first ---------------------------------------------------------------------------------------------------


async def test_a_person_goes_before_a_drop_and_a_drop_before_a_watched_folder(tmp_path: Path) -> None:
    service = Service(answers_later=False)
    service.accepting.clear()
    async with Bench(tmp_path, service, daemon={"concurrency": 1}) as bench:
        wish: dict[str, Any] = {"provider": "stability", "match_loudness": False}
        sources = {
            name: bench.clip(f"{name}.wav")
            for name in ("first", "watch1", "watch2", "watch3", "watch4", "drop", "person")
        }
        jobs = [await bench.submit(sources["first"], priority=WATCH, **wish)]
        await until(lambda: service.asked, "the first question")
        for name in ("watch1", "watch2", "watch3", "watch4"):
            jobs.append(await bench.submit(sources[name], priority=WATCH, **wish))
        jobs.append(await bench.submit(sources["drop"], priority=DROP, **wish))
        jobs.append(await bench.submit(sources["person"], **wish))
        for job in jobs[-2:]:
            await bench.reached(job, "submitting")
        service.accepting.set()
        await bench.all_ended(jobs)
        names = {job.id: Path(job.request.source or "").stem for job in jobs}
        assert [names[question.work_dir.name] for question in service.asked][:3] == ["first", "person", "drop"]


async def test_after_a_restart_too_a_person_goes_first(tmp_path: Path) -> None:
    service = Service(answers_later=False)
    service.accepting.clear()
    async with Bench(tmp_path, service, daemon={"concurrency": 1}) as bench:
        wish: dict[str, Any] = {"provider": "stability", "match_loudness": False}
        jobs = [await bench.submit(bench.clip(f"{name}.wav"), priority=WATCH, **wish) for name in range(6)]
        await until(lambda: service.asked, "the first question")
        person = await bench.submit(bench.clip("person.wav"), **wish)
        async with bench.after_a_kill() as later:
            service.asked.clear()
            service.accepting.set()
            await later.all_ended([*jobs, person])
            assert service.asked[0].work_dir.name == person.id
        await bench.all_ended([*jobs, person])


async def test_there_are_never_more_calls_in_flight_than_allowed(tmp_path: Path) -> None:
    service = Service()
    flying, most = set[str](), 0
    real_look = service.look

    async def look(question: Any, running: Any) -> Any:
        nonlocal most
        flying.add(running.provider_job_id)
        most = max(most, len(flying))
        await asyncio.sleep(0.02)
        answer = await real_look(question, running)
        flying.discard(running.provider_job_id)
        return answer

    service.look = look  # type: ignore[method-assign]
    async with Bench(tmp_path, service, daemon={"concurrency": 3}) as bench:
        source = bench.clip()
        jobs = [await bench.submit(source, provider="stability", variations=3, max_price_usd=1) for _ in range(4)]
        assert {job.state for job in await bench.all_ended(jobs)} == {"delivered"}
    assert most == 3


# ---- the same wish twice ----------------------------------------------------------------------------------------------


async def test_the_same_id_with_an_equal_request_is_the_same_job_whichever_trigger_brings_it(bench: Bench) -> None:
    source = bench.clip()
    first = await bench.submit(source, client_id="daw/1", strength=1, trigger="osc")
    assert (await bench.submit(source, client_id="daw/1", strength=1.0, trigger="http")).id == first.id
    ended = await bench.ended(first)
    again = await bench.submit(source, strength=1, client_id="daw/1", trigger="mailbox")
    assert (again.id, again.state, again.trigger) == (first.id, "delivered", "osc")
    await bench.restart()
    assert (await bench.submit(source, client_id="daw/1", strength=1)).id == first.id
    source.unlink()
    assert (await bench.submit(source, client_id="daw/1", strength=1)).id == first.id
    assert [path.name for path in bench.results.glob("*.wav")] == [Path(ended.takes[0].path).name]


async def test_the_same_id_at_the_same_moment_is_one_job(bench: Bench) -> None:
    source = bench.clip()
    jobs = await asyncio.gather(*(bench.submit(source, client_id="daw/1") for _ in range(20)))
    assert len({job.id for job in jobs}) == 1
    await bench.ended(jobs[0])
    assert len((await bench.engine.jobs.page()).jobs) == 1


async def test_the_same_id_with_another_request_is_refused(bench: Bench) -> None:
    source = bench.clip()
    first = await bench.submit(source, client_id="daw/1")
    error = await refused(bench, source, client_id="daw/1", strength=0.1)
    assert error.code == "bad_request"
    assert first.id in error.message
    await bench.ended(first)


async def test_different_ids_are_different_jobs(bench: Bench) -> None:
    source = bench.clip()
    jobs = [await bench.submit(source, client_id=f"daw/{number}") for number in range(3)]
    assert len({job.id for job in jobs}) == 3
    await bench.all_ended(jobs)


# ---- where takes land -------------------------------------------------------------------------------------------------


async def test_nothing_that_was_there_is_overwritten_whoever_comes_at_the_same_time(bench: Bench) -> None:
    folder = bench.root / "Takes"
    folder.mkdir()
    for name in ("clip [default].wav", "clip [default] take 3.clipbridge.json"):
        (folder / name).write_bytes(b"a person's own")
    source = bench.clip()
    jobs = [await bench.submit(source, deliver_to=str(folder), variations=2) for _ in range(5)]
    ended = await bench.all_ended(jobs)
    paths = [take.path for job in ended for take in job.takes]
    assert len(paths) == len(set(paths)) == 10
    assert {
        path.read_bytes() for path in (folder / "clip [default].wav", folder / "clip [default] take 3.clipbridge.json")
    } == {b"a person's own"}
    for job in ended:
        for take in job.takes:
            assert hashlib.sha256(Path(take.path).read_bytes()).hexdigest() == take.sha256
            assert json.loads(Path(take.path).with_suffix(".clipbridge.json").read_text())["job"] == job.id
    assert bench.leftovers(folder) == []


async def test_a_missing_folder_is_made(bench: Bench) -> None:
    folder = bench.root / "new" / "Täkes"
    job = await bench.delivered(bench.clip(), deliver_to=str(folder))
    assert only_take(job).parent == folder


async def test_the_provenance_says_where_a_take_came_from_and_how_it_was_made(bench: Bench) -> None:
    source = bench.clip(frames=96_000)
    region = {"start": 0.5, "end": 1.5, "unit": "seconds"}
    job = await bench.delivered(source, provider="dsp", seed=7, region=region, preset="matched", context={"track": 3})
    told = json.loads(only_take(job).with_suffix(".clipbridge.json").read_text("utf-8"))
    (take,) = job.takes
    assert told["job"] == job.id
    assert (told["provider"], told["model"], told["seed"]) == ("dsp", "dsp", 7)
    assert (told["charged_usd"], told["estimated_usd"]) == (0.0, 0.0)
    assert told["request"] == job.public()["request"]
    assert told["request"]["context"] == {"track": 3}
    assert told["take"]["sha256"] == hashlib.sha256(only_take(job).read_bytes()).hexdigest() == take.sha256
    assert (told["take"]["frames"], told["source"]["frames"]) == (48_000, 48_000)
    assert told["source"]["path"] == str(source)
    assert len(told["source"]["frames_sha256"]) == 64
    assert told["take"]["lufs"] == take.lufs
    assert told["clipbridge"]
    assert told["made_at"].endswith("Z")
    assert told["notes"] == list(take.notes)
    other = await bench.delivered(source, provider="dsp", seed=8, region=region)
    same = json.loads(only_take(other).with_suffix(".clipbridge.json").read_text("utf-8"))
    assert same["source"]["frames_sha256"] == told["source"]["frames_sha256"]


async def test_where_its_loudness_was_changed_much_the_untouched_take_lies_beside_it(tmp_path: Path) -> None:
    service = Service()
    async with Bench(tmp_path, service) as bench:
        source = bench.clip(rate=44_100, frames=44_100)
        for gain, kept in ((0.25, True), (0.95, False)):
            service.gain = gain
            job = await bench.delivered(source, provider="stability", preset="matched")
            take, told = only_take(job), job.takes[0]
            assert told.lufs == pytest.approx(told.source_lufs, abs=0.1)
            raw = take.with_name(f"{take.stem} raw.wav")
            assert raw.exists() == kept
            if kept:
                assert soundfile.info(raw).frames == told.frames
                assert np.max(np.abs(samples(raw))) < 0.3 * np.max(np.abs(samples(take)))
        assert bench.leftovers() == []


async def test_a_folder_that_cannot_take_it_fails_and_a_retry_delivers_free(tmp_path: Path) -> None:
    service = Service()
    async with Bench(tmp_path, service) as bench:
        blocked = bench.root / "takes"
        blocked.write_text("a file where the folder should be")
        job = await bench.ended(
            await bench.submit(bench.clip(), provider="stability", deliver_to=str(blocked), variations=2)
        )
        assert (job.state, job.error and job.error.code) == ("failed", "delivery_failed")
        assert job.charged_usd == pytest.approx(0.2)
        assert [call.state for call in job.calls] == ["done", "done"]
        blocked.unlink()
        await bench.engine.intake.retry(job.id)
        again = await bench.ended(job)
        assert (again.state, again.error) == ("delivered", None)
        assert again.charged_usd == pytest.approx(0.2)
        assert len(again.takes) == 2
        assert len(service.asked) == 2, "it was paid for once"
        assert len(bench.on_disk("SELECT * FROM ledger")) == 2


# ---- sources that are not whole ---------------------------------------------------------------------------------------


def half(whole: Path, target: Path) -> None:
    """The first half of a file's bytes, as a recorder that is still at work shows it."""
    data = whole.read_bytes()
    target.write_bytes(data[: len(data) // 2])


async def test_an_unfinished_source_waits_where_people_see_it_and_goes_on_when_it_is_whole(bench: Bench) -> None:
    whole, source = bench.clip("whole.wav"), bench.root / "growing.wav"
    half(whole, source)
    job = await bench.submit(source, strength=0)
    assert job.state == "held"
    assert job.held is not None
    assert job.held.reason == "source_unfinished"
    assert seconds_of(job.held.until) > seconds_of(job.created_at)
    assert [one.id for one in (await bench.engine.jobs.page(states=("held",))).jobs] == [job.id]
    assert "whole" in job.message
    # other clips do not wait behind it
    assert (await bench.delivered(whole)).state == "delivered"
    source.write_bytes(whole.read_bytes())
    ended = await bench.ended(job)
    assert (ended.state, ended.held) == ("delivered", None)
    assert np.array_equal(samples(only_take(ended)), samples(whole))


async def test_a_source_that_never_becomes_whole_fails_after_its_time(tmp_path: Path) -> None:
    async with Bench(tmp_path, daemon={"unfinished_seconds": 0.4}) as bench:
        source = bench.root / "broken.wav"
        half(bench.clip("whole.wav"), source)
        ended = await bench.ended(await bench.submit(source))
        assert ended.state == "failed"
        assert ended.error is not None
        assert (ended.error.code, ended.error.charged) == ("source_unreadable", "no")
        assert ended.held is None
        assert not list(bench.results.iterdir())


async def test_a_source_that_vanishes_while_it_is_waited_for_fails(bench: Bench) -> None:
    source = bench.root / "gone.wav"
    half(bench.clip("whole.wav"), source)
    job = await bench.submit(source)
    source.unlink()
    ended = await bench.ended(job)
    assert ended.error is not None
    assert ended.error.code == "source_not_found"


async def test_waiting_for_a_source_goes_on_after_a_restart(bench: Bench) -> None:
    whole, source = bench.clip("whole.wav"), bench.root / "growing.wav"
    half(whole, source)
    job = await bench.submit(source, strength=0)
    await bench.restart()
    assert (await bench.job(job.id)).state == "held"
    source.write_bytes(whole.read_bytes())
    assert (await bench.ended(job)).state == "delivered"


async def test_a_source_that_is_rewritten_before_its_turn_is_waited_for_like_any_other(tmp_path: Path) -> None:
    service = Service()
    service.rendering.clear()
    async with Bench(tmp_path, service, daemon={"concurrency": 1, "unfinished_seconds": 20}) as bench:
        blockers = [await bench.submit(bench.clip(), provider="stability") for _ in range(3)]
        whole, source = bench.clip("whole.wav", seed=2), bench.clip("mine.wav")
        job = await bench.submit(source, strength=0)
        assert job.state == "queued"
        half(whole, source)  # the DAW exports anew, over the same file
        service.rendering.set()
        await bench.reached(job, "held")
        source.write_bytes(whole.read_bytes())
        ended = await bench.ended(job)
        assert ended.state == "delivered"
        assert np.array_equal(samples(only_take(ended)), samples(whole))
        await bench.all_ended(blockers)


async def test_retry_does_not_lead_a_waiting_job_twice(bench: Bench) -> None:
    whole, source = bench.clip("whole.wav"), bench.root / "growing.wav"
    half(whole, source)
    job = await bench.submit(source, strength=0)
    with pytest.raises(ClipError) as caught:
        await bench.engine.intake.retry(job.id)
    assert caught.value.code == "bad_request"
    source.write_bytes(whole.read_bytes())
    assert (await bench.ended(job)).state == "delivered"
    assert len(list(bench.results.glob("*.wav"))) == 1


# ---- cancelling -------------------------------------------------------------------------------------------------------

STAGES = ["queued", "preparing", "submitting", "rendering", "fetching", "conforming"]


@pytest.mark.parametrize("stage", STAGES)
async def test_a_job_can_be_cancelled_at_every_stage(bench: Bench, stage: str) -> None:
    source = bench.clip(frames=480_000)
    cancelling: list[asyncio.Task[Job]] = []

    def when_there(_event: Event, seen: Job) -> None:
        if seen.state == stage and not cancelling:
            cancelling.append(asyncio.create_task(bench.engine.intake.cancel(seen.id)))

    bench.engine.events.subscribe(when_there)
    job = await bench.submit(source, provider="dsp", variations=2, preset="matched")
    ended = await bench.ended(job)
    assert cancelling, f"the job was never {stage}"
    told = await cancelling[0]
    assert (ended.state, told.state, told.id) == ("cancelled", "cancelled", job.id)
    assert ended.error is not None
    assert (ended.error.code, ended.error.charged) == ("cancelled", "no")
    assert ended.charged_usd == 0.0
    # what lies there is what the job shows, and all of it
    shown = {Path(take["path"]).stem for take in ended.public()["takes"]}
    endings = (".wav", ".clipbridge.json", " raw.wav")
    assert {stem + ending for stem in shown for ending in endings[:2]} <= {
        path.name for path in bench.results.iterdir()
    }
    assert {path.name for path in bench.results.iterdir()} <= {stem + ending for stem in shown for ending in endings}
    # and the next one goes on as if nothing had been
    assert (await bench.delivered(source, strength=0)).state == "delivered"


async def test_a_cancelled_job_is_taken_up_again_by_retry(bench: Bench) -> None:
    source = bench.clip(frames=480_000)
    job = await bench.submit(source, provider="dsp", seed=5)
    await bench.engine.intake.cancel(job.id)
    assert (await bench.ended(job)).state == "cancelled"
    again = await bench.engine.intake.retry(job.id)
    assert (again.id, again.state, again.error) == (job.id, "queued", None)
    ended = await bench.ended(job)
    assert ended.state == "delivered"
    assert ended.takes[0].seed == 5


async def test_a_job_that_has_ended_is_not_cancelled_any_more(bench: Bench) -> None:
    job = await bench.delivered(bench.clip())
    assert (await bench.engine.intake.cancel(job.id)).state == "delivered"
    assert (await bench.job(job.id)).state == "delivered"


async def test_what_was_told_delivered_stays_delivered_however_late_a_cancel_comes(bench: Bench) -> None:
    source = bench.clip()
    told: dict[str, list[str]] = {}

    def cancel_at_the_end(_event: Event, seen: Job) -> None:
        told.setdefault(seen.id, []).append(seen.state)
        if any(take.placed for take in seen.takes) or seen.state == "delivered":
            cancelling.append(asyncio.create_task(bench.engine.intake.cancel(seen.id)))

    cancelling: list[asyncio.Task[Job]] = []
    bench.engine.events.subscribe(cancel_at_the_end)
    jobs = [await bench.submit(source) for _ in range(20)]
    ended = await bench.all_ended(jobs)
    await asyncio.gather(*cancelling)
    await until(lambda: all(told[job.id][-1] in ENDS for job in jobs), "the last news")
    for job in ended:
        assert told[job.id].count("delivered") + told[job.id].count("cancelled") == 1, told[job.id]
        assert (await bench.job(job.id)).state == told[job.id][-1]
        assert bench.engine.runner.living(job.id) is None


async def test_cancelling_again_and_again_is_no_trouble(bench: Bench) -> None:
    job = await bench.submit(bench.clip(frames=480_000), provider="dsp")
    await bench.reached(job, "rendering")
    answers = await asyncio.gather(*(bench.engine.intake.cancel(job.id) for _ in range(5)))
    assert {answer.state for answer in answers} == {"cancelled"}
    assert (await bench.ended(job)).state == "cancelled"


async def test_an_unfinished_job_can_be_cancelled(bench: Bench) -> None:
    source = bench.root / "growing.wav"
    half(bench.clip("whole.wav"), source)
    job = await bench.submit(source)
    assert (await bench.engine.intake.cancel(job.id)).state == "cancelled"
    ended = await bench.ended(job)
    assert ended.held is None


async def test_a_job_nobody_knows_is_told_as_such(bench: Bench) -> None:
    intake = bench.engine.intake
    for verb in (intake.cancel, intake.retry, intake.forget):
        with pytest.raises(ClipError) as caught:
            await verb("nobody")
        assert caught.value.code == "unknown_job"


# ---- a sender that goes away ------------------------------------------------------------------------------------------


async def test_a_request_whose_sender_left_is_carried_out_or_never_was(bench: Bench) -> None:
    source = bench.clip()
    for steps in range(0, 60, 3):
        sending = asyncio.create_task(bench.submit(source, client_id=f"daw/{steps}"))
        for _ in range(steps):
            await asyncio.sleep(0.001)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    await until(
        lambda: not bench.on_disk("SELECT 1 FROM jobs WHERE state NOT IN ('delivered', 'failed')"), "all to end"
    )
    stored = (await bench.engine.jobs.page(limit=100)).jobs
    assert {job.state for job in stored} <= {"delivered"}
    for steps in range(0, 60, 3):
        await bench.ended(await bench.submit(source, client_id=f"daw/{steps}"))


# ---- what intake sees -------------------------------------------------------------------------------------------------


async def test_what_intake_can_see_makes_no_job_but_an_answer(bench: Bench) -> None:
    clip = bench.clip()
    (bench.root / "text.wav").write_text("this is no sound")
    (bench.root / "folder.wav").mkdir()
    wishes: list[tuple[Path | None, dict[str, Any], str]] = [
        (bench.root / "gone.wav", {}, "source_not_found"),
        (bench.root / "text.wav", {}, "source_unreadable"),
        (bench.root / "folder.wav", {}, "source_unreadable"),
        (clip, {"preset": "nobody"}, "bad_request"),
        (clip, {"strenght": 1}, "bad_request"),
        (clip, {"provider": "fal"}, "no_provider"),
        (clip, {"provider": "dsp", "model": "huge"}, "bad_request"),
        (clip, {"provider": "dsp", "extend": {"after": 1}}, "no_provider"),
        (None, {"duration": 2, "prompt": "rain", "provider": "auto"}, "no_provider"),
        (bench.home.database, {}, "forbidden"),
        (bench.home.job_dir("x") / "source.wav", {}, "forbidden"),
        (clip, {"deliver_to": str(bench.home.root)}, "forbidden"),
        (clip, {"deliver_to": str(bench.home.presets_dir)}, "forbidden"),
    ]
    for source, wish, code in wishes:
        assert (await refused(bench, source, **wish)).code == code, (source, wish)


async def test_a_preset_that_is_named_or_left_open_is_always_shown_by_its_name(bench: Bench) -> None:
    source = bench.clip()
    for wish in ({}, {"preset": None}, {"preset": "default"}):
        job = await bench.delivered(source, **wish)
        assert job.request.preset == "default"
        assert job.request.prompt == "warm tape"
        assert "[default]" in only_take(job).name


async def test_what_is_given_counts_before_the_trigger_and_the_trigger_before_the_preset(bench: Bench) -> None:
    source = str(bench.clip())
    (bench.home.presets_dir / "mine.toml").write_text('prompt = "p"\nstrength = 0.1\nseed = 1\nprovider = "loopback"\n')
    job = await bench.engine.intake.submit(
        {"source": source, "seed": 3}, trigger="folder", preset="mine", defaults={"seed": 2, "strength": 0.2}
    )
    request = job.request
    assert (request.seed, request.strength, request.prompt, request.preset) == (3, 0.2, "p", "mine")
    other = await bench.engine.intake.submit({"source": source, "preset": "default"}, trigger="folder", preset="mine")
    assert other.request.preset == "default"
    await bench.all_ended([job, other])


async def test_the_job_says_who_does_it_and_why_the_others_do_not(bench: Bench) -> None:
    job = await bench.submit(bench.clip(), provider="auto")
    assert (job.provider, job.model) == ("dsp", "dsp")
    assert set(job.why_not) == {"stability", "fal", "wavespeed"}
    assert all(job.why_not.values())
    await bench.ended(job)
    assert (await bench.job(job.id)).why_not == job.why_not


async def test_a_price_is_told_without_making_a_job(tmp_path: Path) -> None:
    async with Bench(tmp_path, Service(), budget={"per_job_usd": 0.5}) as bench:
        source = str(bench.clip())
        paid = {"source": source, "provider": "stability", "variations": 3, "client_id": "a"}
        told = await bench.engine.intake.price(paid)
        (one,) = told["requests"]
        assert (one["provider"], one["model"], one["calls"]) == ("stability", "strict-1", 3)
        assert one["estimated_usd"] == told["estimated_usd"] == pytest.approx(0.3)
        assert (one["client_id"], one["error"]) == ("a", None)
        many = await bench.engine.intake.price(
            [paid, {"source": source, "provider": "loopback"}, {"source": source, "strength": 0}, {"sorce": source}, 5]
        )
        assert many["estimated_usd"] == pytest.approx(0.3)
        assert [one["calls"] for one in many["requests"]] == [3, 1, 0, 0, 0]
        assert [one["error"] and one["error"]["code"] for one in many["requests"]] == [
            None,
            None,
            None,
            *["bad_request"] * 2,
        ]
        dear = await bench.engine.intake.price({**paid, "variations": 6})
        assert dear["requests"][0]["error"]["code"] == "over_budget"
        assert (await bench.engine.jobs.page()).jobs == []
        with pytest.raises(ClipError) as caught:
            await bench.submit(Path(source), provider="stability", variations=2, max_price_usd=0.15)
        assert caught.value.code == "over_budget"


# ---- living with a daemon ---------------------------------------------------------------------------------------------


async def test_old_work_leaves_the_disk_and_what_is_needed_stays(tmp_path: Path) -> None:
    service = Service()
    async with Bench(tmp_path, service) as bench:
        source = bench.clip()
        done = await bench.delivered(source)
        service.ask_errors.append(ClipError("unknown_outcome", "Lost.", hint="Look.", charged="unknown"))
        unknown = await bench.ended(await bench.submit(source, provider="stability"))
        assert unknown.state == "uncertain"
        unfinished = bench.root / "growing.wav"
        half(source, unfinished)
        waiting = await bench.submit(unfinished)
        (bench.home.job_dir(waiting.id)).mkdir()
        home = bench.home
    for path in (home.jobs_dir, *home.jobs_dir.rglob("*")):
        os.utime(path, (0, 0))
    config = {"daemon": {"http_port": 0, "osc_port": 0, "unfinished_seconds": 600}, "retention": {"keep_days": 0}}
    from bridge.config import Config

    daemon, ready = Daemon(home, Config.model_validate(config)), asyncio.Event()
    running = asyncio.create_task(daemon.run(ready))
    await ready.wait()
    await until(lambda: not home.job_dir(done.id).exists(), "the old folder to go")
    assert home.job_dir(unknown.id).is_dir()
    assert home.job_dir(waiting.id).is_dir()
    assert only_take(done).is_file(), "a take is a person's"
    daemon.stop()
    await running


async def test_jobs_go_on_after_an_ordinary_stop(tmp_path: Path) -> None:
    async with Bench(tmp_path, daemon={"concurrency": 1}) as bench:
        source = bench.clip(frames=480_000)
        jobs = [await bench.submit(source, provider="dsp", seed=number + 1) for number in range(4)]
        await bench.reached(jobs[0], "rendering")
        await bench.restart()
        ended = await bench.all_ended(jobs)
        assert {job.state for job in ended} == {"delivered"}
        assert len(list(bench.results.glob("*.wav"))) - len(list(bench.results.glob("* raw.wav"))) == 4
        assert bench.leftovers() == []


async def test_every_job_is_told_to_end_at_most_once_and_never_moves_after_it(bench: Bench) -> None:
    source = bench.clip()
    jobs = [await bench.submit(source, variations=2, preset="matched") for _ in range(6)]
    await bench.all_ended(jobs)
    order = ["queued", "preparing", "submitting", "rendering", "fetching", "conforming", "delivered"]
    for job in jobs:
        told = [json.loads(event.job_json) for event in await bench.events(job)]
        places = [order.index(one["state"]) for one in told]
        assert places == sorted(places)
        assert [one["state"] in ENDS for one in told] == [False] * (len(told) - 1) + [True]
        progress = [one["progress"] for one in told]
        assert progress == sorted(progress)
        assert progress[-1] == 1.0
        assert told[-1] == json.loads(json.dumps((await bench.job(job.id)).public()))
