"""Drop: what is dropped comes back as a take, once; the file itself goes to `_Done`, or to `_Failed` with the reason."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from bridge.job import Job
from bridge.store.folders import Arrival, Memory
from tests.integration.folder_bench import Bench, clip, clip_bytes


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with Bench(tmp_path) as bench:
        yield bench


def report(bench: Bench, name: str) -> str:
    return (bench.failed / f"{name}.error.txt").read_text("utf-8")


# ---- the gesture ---------------------------------------------------------------------------------------------------


async def test_a_dropped_clip_is_delivered_once_and_put_away(bench: Bench) -> None:
    clip(bench.drop / "loop.wav")
    await bench.until_there(bench.done / "loop.wav")
    (job,) = await bench.jobs()
    assert (job.trigger, job.state, job.request.preset) == ("folder", "delivered", "default")
    assert soundfile.info(str(bench.results / "loop [default].wav")).frames == 12_000
    assert not (bench.drop / "loop.wav").exists()
    assert not bench.failed.exists()


async def test_a_sub_folder_names_the_preset(bench: Bench) -> None:
    clip(bench.drop / "lo-fi-tape" / "loop.wav")
    await bench.until_there(bench.done / "loop.wav", bench.results / "loop [lo-fi-tape].wav")
    (job,) = await bench.jobs()
    assert job.request.preset == "lo-fi-tape"


async def test_a_preset_counts_from_the_moment_its_file_is_there(bench: Bench) -> None:
    (bench.home.presets_dir / "brand-new.toml").write_text("strength = 0.0\n")
    clip(bench.drop / "brand-new" / "loop.wav")
    await bench.until_there(bench.done / "loop.wav", bench.results / "loop [brand-new].wav")


async def test_a_preset_that_is_not_there_is_said_with_the_nearest_name(bench: Bench) -> None:
    clip(bench.drop / "lofi-tape" / "loop.wav")
    (bench.drop / "lofi-tape" / "notes.txt").write_text("of a project")
    await bench.until_there(bench.failed / "loop.wav.error.txt", bench.failed / "loop.wav")
    assert 'no preset called "lofi-tape" (did you mean "lo-fi-tape"?)' in report(bench, "loop.wav")
    assert "nothing was charged" in report(bench, "loop.wav")
    await bench.scanned()
    assert (bench.drop / "lofi-tape" / "notes.txt").exists()
    assert await bench.jobs() == []


async def test_deeper_sub_folders_are_not_taken(bench: Bench) -> None:
    deep = clip(bench.drop / "lo-fi-tape" / "Samples" / "kick.wav")
    await bench.pass_by(bench.drop)
    await bench.scanned()
    assert deep.exists()
    assert [job.clip_name for job in await bench.jobs()] == ["a later clip"]


async def test_a_name_that_is_taken_gets_a_number(bench: Bench) -> None:
    for number, name in enumerate(("loop.wav", "loop (2).wav", "loop (3).wav"), start=1):
        clip(bench.drop / "loop.wav", seed=number)
        await bench.until_there(bench.done / name)
    assert len(await bench.jobs()) == 3


async def test_the_same_clip_dropped_again_is_a_new_wish(bench: Bench) -> None:
    for name in ("loop.wav", "loop (2).wav"):
        clip(bench.drop / "loop.wav", seed=1)
        await bench.until_there(bench.done / name)
    assert len(await bench.jobs()) == 2


async def test_a_take_dragged_into_drop_is_a_wish_and_keeps_its_provenance(bench: Bench) -> None:
    clip(bench.drop / "loop.wav")
    take, side = bench.results / "loop [default].wav", bench.results / "loop [default].clipbridge.json"
    await bench.until_there(take, side, bench.done / "loop.wav")
    side.rename(bench.drop / side.name)
    take.rename(bench.drop / take.name)
    await bench.until_there(bench.done / take.name, bench.done / side.name)
    assert len(await bench.jobs()) == 2
    assert not (bench.drop / side.name).exists()


# ---- side files ----------------------------------------------------------------------------------------------------


async def test_a_side_file_overrides_any_value_and_moves_along(bench: Bench) -> None:
    (bench.drop / "loop.wav.json").write_text('{"preset": "lo-fi-tape", "prompt": "rain", "variations": 2}')
    clip(bench.drop / "loop.wav")
    await bench.until_there(bench.done / "loop.wav.json", bench.results / "loop [lo-fi-tape] take 2.wav")
    (job,) = await bench.jobs()
    assert (job.request.prompt, job.request.variations) == ("rain", 2)
    assert not (bench.drop / "loop.wav.json").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"prompt": "rain"', "not proper JSON"),
        ('["rain"]', "no JSON object"),
        ('{"promt": "rain"}', 'promt is an unknown key (did you mean "prompt"?)'),
        ('{"source": "/etc/passwd"}', 'it names a "source"'),
        ('{"strength": 3}', "strength"),
    ],
)
async def test_a_side_file_that_cannot_be_used_is_said(bench: Bench, text: str, sentence: str) -> None:
    (bench.drop / "loop.wav.json").write_text(text)
    clip(bench.drop / "loop.wav")
    await bench.until_there(bench.failed / "loop.wav", bench.failed / "loop.wav.json")
    assert sentence in report(bench, "loop.wav")
    assert "bad_request" in report(bench, "loop.wav")
    assert await bench.jobs() == []


# ---- what is no clip -----------------------------------------------------------------------------------------------


async def test_a_file_that_is_no_clip_gets_an_answer(bench: Bench) -> None:
    (bench.drop / "song.m4a").write_bytes(b"\x00\x00\x00\x20ftypM4A " + bytes(500))
    (bench.drop / "notes.txt").write_text("not a clip")
    (bench.drop / "text.wav").write_text("not a clip either")
    await bench.until_there(*(bench.failed / name for name in ("song.m4a", "notes.txt", "text.wav")))
    assert "source_unsupported" in report(bench, "song.m4a")
    assert "M4A" in report(bench, "song.m4a")
    assert "Export it as WAV" in report(bench, "notes.txt")
    assert "Export it as WAV" in report(bench, "song.m4a")
    assert "source_unreadable" in report(bench, "text.wav")


async def test_a_clip_without_an_ending_is_known_by_its_content(bench: Bench) -> None:
    clip(bench.drop / "loop")
    (bench.drop / "README").write_text("words")
    await bench.until_there(bench.done / "loop", bench.failed / "README")


async def test_what_is_not_for_us_is_never_touched(bench: Bench) -> None:
    names = [
        ".hidden.wav", "clip.wav.asd", "clip.wav.reapeaks", "clip.wav.part", "clip.wav.tmp", "clip.wav.crdownload",
        "clip.wav.json", "clip.clipbridge.json", "desktop.ini", "Thumbs.db",
    ]  # fmt: skip
    for name in names:
        (bench.drop / name).write_bytes(clip_bytes())
    await bench.pass_by(bench.drop)
    await bench.scanned()
    assert all((bench.drop / name).exists() for name in names)
    assert len(await bench.jobs()) == 1


async def test_a_folder_called_like_a_clip_is_said(bench: Bench) -> None:
    (bench.drop / "x.wav").mkdir()
    (bench.drop / "x.wav" / "inside.txt").write_text("kept")
    await bench.until_there(bench.failed / "x.wav" / "inside.txt", bench.failed / "x.wav.error.txt")
    assert "is a folder" in report(bench, "x.wav")


async def test_a_link_is_taken_as_the_file_it_leads_to(bench: Bench) -> None:
    original = clip(bench.root / "elsewhere" / "loop.wav")
    (bench.drop / "linked.wav").symlink_to("../../elsewhere/loop.wav")
    await bench.until_there(bench.results / "linked [default].wav", bench.done / "linked.wav")
    assert (bench.done / "linked.wav").samefile(original)


async def test_links_that_lead_nowhere_are_said(bench: Bench) -> None:
    (bench.drop / "round.wav").symlink_to(bench.drop / "round.wav")
    (bench.drop / "gone.wav").symlink_to(bench.root / "gone.wav")
    await bench.until(lambda: (bench.failed / "round.wav").is_symlink(), "the loop is put away")
    await bench.until(lambda: (bench.failed / "gone.wav").is_symlink(), "the dangling link is put away")
    assert "source_unreadable" in report(bench, "round.wav")
    assert "source_not_found" in report(bench, "gone.wav")


async def test_a_pipe_does_not_stop_the_folder(bench: Bench) -> None:
    os.mkfifo(bench.drop / "pipe.wav")
    await bench.until_there(bench.failed / "pipe.wav.error.txt")
    await bench.pass_by(bench.drop)


@pytest.mark.parametrize("name", ["🎹 loop.wav", "two\nlines.wav", "x" * 246 + ".wav", "ä" * 120 + ".wav", "dot..wav"])
async def test_odd_names_are_delivered(bench: Bench, name: str) -> None:
    clip(bench.drop / name)
    await bench.until_there(bench.done / name)
    await bench.until_jobs(1)


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux can a name be no text")
async def test_a_name_that_is_no_text_is_said(bench: Bench) -> None:
    raw = os.fsencode(bench.drop) + b"/caf\xe9.wav"
    Path(os.fsdecode(raw)).write_bytes(clip_bytes())
    await bench.until(lambda: any("caf" in name and name.endswith(".error.txt") for name in bench.files()), "a report")
    (text,) = [path.read_text("utf-8") for path in bench.failed.glob("*.error.txt")]
    assert "source_unsupported" in text
    assert "Rename it" in text
    await bench.pass_by(bench.drop)


# ---- endings -------------------------------------------------------------------------------------------------------


async def an_open_job(bench: Bench, name: str = "loop.wav") -> Job:
    """A job that waits, since its file is only half there."""
    (bench.drop / name).write_bytes(clip_bytes()[:20_000])
    (job,) = await bench.until_jobs(1, "held")
    assert job.held is not None
    assert job.held.reason == "source_unfinished"
    return job


async def test_a_file_that_stays_unfinished_waits_visibly_and_then_fails(tmp_path: Path) -> None:
    async with Bench(tmp_path, daemon={"unfinished_seconds": 1.0}) as bench:
        await an_open_job(bench)
        assert (bench.drop / "loop.wav").exists()
        await bench.until_there(bench.failed / "loop.wav")
        (job,) = await bench.jobs()
        assert job.state == "failed"
        assert "source_unreadable" in report(bench, "loop.wav")
        assert job.id in report(bench, "loop.wav")


async def test_a_cancelled_file_goes_to_failed_and_says_so(bench: Bench) -> None:
    job = await an_open_job(bench)
    await bench.engine.intake.cancel(job.id)
    await bench.until_there(bench.failed / "loop.wav")
    assert "cancelled" in report(bench, "loop.wav").lower()


async def test_an_uncertain_file_stays_until_a_person_decides(bench: Bench) -> None:
    job = await an_open_job(bench)
    await bench.stop()
    await bench.engine.start(resume=False)
    uncertain = job.model_copy(update={"state": "uncertain", "held": None})
    await bench.engine.jobs.save(job, uncertain)
    await bench.start_trigger()
    await bench.pass_by(bench.drop)
    await bench.scanned()
    assert (bench.drop / "loop.wav").exists()
    await bench.engine.intake.forget(job.id)
    await bench.until_there(bench.failed / "loop.wav")


async def test_a_file_is_put_away_though_the_bridge_ended_before(bench: Bench) -> None:
    job = await an_open_job(bench)
    await bench.trigger.stop()
    (bench.drop / "loop.wav").write_bytes(clip_bytes())
    await bench.until_state(job.id, "delivered")
    assert (bench.drop / "loop.wav").exists()
    await bench.start_trigger()
    await bench.until_there(bench.done / "loop.wav")
    assert len(await bench.jobs()) == 1


@pytest.mark.parametrize("was_made", [True, False])
async def test_a_crash_on_the_way_into_a_job_takes_the_file_once(bench: Bench, was_made: bool) -> None:
    await bench.trigger.stop()
    path = clip(bench.drop / "loop.wav")
    status = path.stat()
    row = Arrival(status.st_size, status.st_mtime_ns, "taking", None, "0123456789abcdef")
    await Memory(bench.engine.database).put(str(bench.drop), {"loop.wav": row})
    if was_made:
        await bench.engine.intake.submit(
            {"source": str(path)}, trigger="folder", origin={"arrival": "0123456789abcdef"}
        )
    await bench.start_trigger()
    await bench.until_there(bench.done / "loop.wav")
    assert len(await bench.jobs()) == 1


async def test_a_file_that_cannot_be_moved_is_left_and_not_taken_again(bench: Bench) -> None:
    bench.done.write_text("a file where the folder should be")
    clip(bench.drop / "loop.wav")
    await bench.until_jobs(1)
    await bench.until(lambda: bench.trigger._places[0].rows["loop.wav"].state == "left", "it is left")
    await bench.restart()
    await bench.scanned()
    os.utime(bench.drop / "loop.wav")
    await bench.pass_by(bench.drop)
    assert (bench.drop / "loop.wav").exists()
    assert [job.clip_name for job in await bench.jobs()] == ["loop", "a later clip"]
    bench.done.unlink()
    await bench.restart()
    await bench.until_there(bench.done / "loop.wav", bench.done / "a later clip.wav")
    assert len(await bench.jobs()) == 2


async def test_a_newer_clip_under_the_name_of_one_that_is_left_is_a_new_wish(bench: Bench) -> None:
    bench.done.write_text("a file where the folder should be")
    clip(bench.drop / "loop.wav", seed=1)
    await bench.until(lambda: bench.trigger._places[0].rows.get("loop.wav", NO_ROW).state == "left", "it is left")
    clip(bench.drop / "loop.wav", seed=2)
    await bench.until_jobs(2)


NO_ROW = Arrival(0, 0, "known")


async def test_a_file_renamed_while_its_job_waits_is_not_taken_twice(bench: Bench) -> None:
    bench.done.write_text("a file where the folder should be")
    clip(bench.drop / "loop.wav")
    await bench.until(lambda: bench.trigger._places[0].rows.get("loop.wav", NO_ROW).state == "left", "it is left")
    (bench.drop / "loop.wav").rename(bench.drop / "other.wav")
    await bench.until(lambda: "other.wav" in bench.trigger._places[0].rows, "the rename is seen")
    bench.done.unlink()
    await bench.restart()
    await bench.until_there(bench.done / "other.wav")
    assert len(await bench.jobs()) == 1


async def test_a_file_renamed_before_its_job_read_it_is_a_wish_under_its_new_name(bench: Bench) -> None:
    job = await an_open_job(bench)
    (bench.drop / "loop.wav").rename(bench.drop / "other.wav")
    (bench.drop / "other.wav").write_bytes(clip_bytes())
    await bench.until_there(bench.done / "other.wav")
    ended = await bench.until_state(job.id, "failed")
    assert ended.error is not None
    assert ended.error.code == "source_not_found"
    await bench.scanned()
    assert [one.clip_name for one in await bench.jobs()] == ["loop", "other"]
    assert not bench.failed.exists()


async def test_a_file_that_vanishes_makes_nothing(bench: Bench) -> None:
    path = bench.drop / "loop.wav"
    with path.open("wb") as file:
        file.write(clip_bytes())
        file.flush()
        path.unlink()
    await bench.pass_by(bench.drop)
    assert [job.clip_name for job in await bench.jobs()] == ["a later clip"]
    assert not bench.failed.exists()


# ---- whole, however it is written ----------------------------------------------------------------------------------

STEPS = 12


def sizes_at_the_end(path: Path, whole: bytes, pause: Callable[[], None]) -> None:
    """A recorder: zeros for sizes until it stops."""
    with path.open("wb") as file:
        file.write(whole[:4] + bytes(4) + whole[8:40] + bytes(4))
        for piece in pieces(whole[44:]):
            file.write(piece)
            file.flush()
            pause()
        file.seek(0)
        file.write(whole[:44])


def sizes_at_once(path: Path, whole: bytes, pause: Callable[[], None]) -> None:
    """A copy."""
    with path.open("wb") as file:
        for piece in pieces(whole):
            file.write(piece)
            file.flush()
            pause()


def in_place(path: Path, whole: bytes, pause: Callable[[], None]) -> None:
    """All the room first, then the content, in a file that is as long as it will be from the start."""
    with path.open("wb") as file:
        file.truncate(len(whole))
        at = 0
        for piece in pieces(whole):
            file.seek(at)
            file.write(piece)
            file.flush()
            at += len(piece)
            pause()


def closed_and_reopened(path: Path, whole: bytes, pause: Callable[[], None]) -> None:
    for piece in pieces(whole):
        with path.open("ab") as file:
            file.write(piece)
        pause()


def under_another_name(path: Path, whole: bytes, pause: Callable[[], None]) -> None:
    """A download."""
    part = path.with_name(f"{path.name}.part")
    closed_and_reopened(part, whole, pause)
    part.rename(path)


def pieces(whole: bytes) -> list[bytes]:
    size = -(-len(whole) // STEPS)
    return [whole[start : start + size] for start in range(0, len(whole), size)]


@pytest.mark.parametrize("writer", [sizes_at_the_end, sizes_at_once, in_place, closed_and_reopened, under_another_name])
async def test_a_slowly_written_clip_is_taken_once_when_whole(bench: Bench, writer: Any) -> None:
    whole = clip_bytes(seconds=4.0, seed=7)
    # the writer's pauses are longer than it takes to come to rest, or a close between two of them would prove nothing
    thread = threading.Thread(target=writer, args=(bench.drop / "loop.wav", whole, lambda: time.sleep(0.3)))
    thread.start()
    await asyncio.to_thread(thread.join)
    await bench.until_there(bench.done / "loop.wav")
    assert (bench.done / "loop.wav").read_bytes() == whole
    (job,) = await bench.jobs()
    assert job.state == "delivered"
    take, samplerate = soundfile.read(job.takes[0].path, dtype="int16")
    assert (len(take), samplerate) == (192_000, 48_000)
    assert take.tobytes() == whole[44:]


async def test_a_growing_clip_is_seen_waiting(bench: Bench) -> None:
    job = await an_open_job(bench)
    (bench.drop / "loop.wav").write_bytes(clip_bytes(seed=3))
    await bench.until_there(bench.done / "loop.wav")
    assert (await bench.until_state(job.id, "delivered")).takes
    assert len(await bench.jobs()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux and Windows does the system tell of a writer")
async def test_a_clip_that_is_rewritten_in_place_waits_for_its_writer(bench: Bench) -> None:
    path = bench.drop / "loop.wav"
    old, new = clip_bytes(seed=1), clip_bytes(seed=2)
    with path.open("wb") as file:
        file.write(old)
        file.flush()
        await bench.pass_by(bench.drop)
        file.seek(0)
        file.write(new)
    await bench.until_there(bench.done / "loop.wav")
    job = await bench.until_jobs_of("loop")
    assert soundfile.read(job.takes[0].path, dtype="int16")[0].tobytes() == new[44:]
    assert len(await bench.jobs()) == 2


# ---- many, and trouble ---------------------------------------------------------------------------------------------


async def test_many_clips_at_once_are_all_taken_once_and_in_order(bench: Bench) -> None:
    names = [f"clip {number:03}.wav" for number in range(120)]
    await bench.stop()  # so that they are there at once, however slowly this computer writes them
    for number, name in enumerate(names):
        clip(bench.drop / name, seconds=0.05, seed=number)
    await bench.start()
    await bench.until(lambda: all((bench.done / name).exists() for name in names), "all are put away")
    jobs = await bench.jobs()
    assert sorted(f"{job.clip_name}.wav" for job in jobs) == names
    places = [int(job.clip_name.split()[1]) for job in jobs]
    # a few are decided about at a time, so neighbours may swap
    assert all(abs(place - number) <= 8 for number, place in enumerate(places))


@pytest.mark.slow
async def test_a_thousand_clips_that_were_there_before_the_start(bench: Bench) -> None:
    await bench.stop()
    names = [f"clip {number:04}.wav" for number in range(1_000)]
    for number, name in enumerate(names):
        clip(bench.drop / name, seconds=0.02, seed=number)
    await bench.start()
    for start in range(0, 1_000, 100):
        some = names[start : start + 100]
        await bench.until(lambda some=some: all((bench.done / name).exists() for name in some), f"up to {some[-1]}")
    assert len(await bench.jobs()) == 1_000


async def test_a_drop_folder_that_is_removed_and_made_again_still_works(bench: Bench) -> None:
    clip(bench.drop / "first.wav")
    await bench.until_there(bench.done / "first.wav")
    bench.drop.rename(bench.root / "moved away")
    await bench.until(bench.drop.is_dir, "Drop is made again")
    clip(bench.drop / "second.wav", seed=2)
    await bench.until_there(bench.done / "second.wav")
    clip(bench.root / "moved away" / "third.wav", seed=3)
    await bench.pass_by(bench.drop, "fourth.wav")
    assert [job.clip_name for job in await bench.jobs()] == ["first", "second", "fourth"]


async def test_a_watcher_that_died_is_replaced(bench: Bench) -> None:
    watcher = bench.trigger._places[0]._watcher
    await bench.until(lambda: watcher._observer is not None, "the watcher is up")
    dead = watcher._observer
    assert dead is not None
    for emitter in dead.emitters:
        emitter.stop()
    await bench.until(lambda: not any(emitter.is_alive() for emitter in dead.emitters), "its thread has ended")
    await bench.scanned()
    assert watcher._observer not in (None, dead)
    clip(bench.drop / "loop.wav")
    await bench.until_there(bench.done / "loop.wav")


async def test_trouble_with_one_file_is_no_trouble_for_the_next(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = bench.engine.intake.submit

    async def sometimes(given: Any, **more: Any) -> Job:
        if given["source"].endswith("cursed.wav"):
            raise ZeroDivisionError
        return await submit(given, **more)

    monkeypatch.setattr(bench.engine.intake, "submit", sometimes)
    clip(bench.drop / "cursed.wav")
    await bench.pass_by(bench.drop)

    async def is_given_up() -> bool:
        await bench.scanned(1)  # each scan is another try
        return (bench.failed / "cursed.wav").exists()

    await bench.until(is_given_up, "it is given up")
    assert "internal" in report(bench, "cursed.wav")


async def test_the_origin_of_a_job_says_where_it_came_from(bench: Bench) -> None:
    clip(bench.drop / "loop.wav")
    (job,) = await bench.until_jobs(1)
    assert json.loads(json.dumps(job.origin)) | {"arrival": "x"} == {
        "folder": str(bench.drop),
        "path": str(bench.drop / "loop.wav"),
        "kind": "drop",
        "name": "loop.wav",
        "arrival": "x",
    }
