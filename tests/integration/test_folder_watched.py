"""Watched folders: what arrives is run once for each content, for nothing unless the entry says so, and stays there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import soundfile

from bridge.errors import ClipError
from tests.integration.folder_bench import Bench, clip, clip_bytes


def watching(tmp_path: Path, *, there: bool = True, **entry: Any) -> Bench:
    if there:  # from the start, as a person's export folder is
        (tmp_path / "exports").mkdir(exist_ok=True)
    return Bench(tmp_path, watch=[{"path": str(tmp_path / "exports"), **entry}])


def exports(bench: Bench) -> Path:
    folder = bench.root / "exports"
    folder.mkdir(exist_ok=True)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- once, and untouched -------------------------------------------------------------------------------------------


async def test_what_arrives_is_run_and_left_untouched(tmp_path: Path) -> None:
    old = clip(tmp_path / "exports" / "old.wav")
    async with watching(tmp_path) as bench:
        await bench.scanned(1)
        new = clip(exports(bench) / "new.wav", seed=2)
        before = new.stat()
        content = new.read_bytes()
        await bench.until_jobs(1)
        await bench.until_there(bench.results / "new [default].wav")
        await bench.scanned()
        assert [job.clip_name for job in await bench.jobs()] == ["new"]
        assert (old.exists(), names(exports(bench))) == (True, ["new.wav", "old.wav"])
        after = new.stat()  # all but the time of reading
        assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
            before.st_ino,
            before.st_mtime_ns,
            before.st_ctime_ns,
        )
        assert new.read_bytes() == content


async def test_everything_is_taken_where_the_entry_says_so(tmp_path: Path) -> None:
    clip(tmp_path / "exports" / "old.wav")
    async with watching(tmp_path, existing="take") as bench:
        await bench.until_jobs(1)


async def test_a_content_is_run_once_whatever_its_name_and_time(tmp_path: Path) -> None:
    async with watching(tmp_path) as bench:
        folder = exports(bench)
        first = clip(folder / "first.wav")
        await bench.until_jobs(1)
        os.utime(first)
        (folder / "copy.wav").write_bytes(first.read_bytes())
        first.rename(folder / "renamed.wav")
        await bench.pass_by(folder)
        await bench.restart()
        await bench.scanned()
        os.utime(folder / "renamed.wav")
        await bench.pass_by(folder, "last.wav")
        assert [job.clip_name for job in await bench.jobs()] == ["first", "a later clip", "last"]


async def test_a_new_export_over_the_old_name_is_run(tmp_path: Path) -> None:
    async with watching(tmp_path) as bench:
        for seed in (1, 2):
            (exports(bench) / "bounce.wav").write_bytes(clip_bytes(seed=seed))
            await bench.until_jobs(seed)
        await bench.until_there(bench.results / "bounce [default] take 2.wav")


async def test_each_preset_runs_a_content_for_itself(tmp_path: Path) -> None:
    path = str(tmp_path / "exports")
    entries = [{"path": path}, {"path": path, "preset": "lo-fi-tape"}, {"path": path}]
    async with Bench(tmp_path, watch=entries) as bench:
        clip(exports(bench) / "bounce.wav")
        await bench.until_jobs(2)
        await bench.pass_by(exports(bench))
        await bench.until_jobs(4)
        assert {job.request.preset for job in await bench.jobs()} == {"default", "lo-fi-tape"}
        assert len(await bench.jobs()) == 4


async def test_an_arrival_spends_only_where_the_entry_names_who_with(tmp_path: Path) -> None:
    folders = {"free": {}, "named": {"provider": "loopback"}}
    entries = [{"path": str(tmp_path / name), "preset": "lo-fi-tape", **more} for name, more in folders.items()]
    async with Bench(tmp_path, watch=entries) as bench:
        for seed, name in enumerate(folders):
            clip(tmp_path / name / f"{name}.wav", seed=seed)
        await bench.until_jobs(2)
        providers = {job.clip_name: job.request.provider for job in await bench.jobs()}
        assert providers == {"free": "dsp", "named": "loopback"}


async def test_side_files_are_not_read_here(tmp_path: Path) -> None:
    async with watching(tmp_path) as bench:
        (exports(bench) / "bounce.wav.json").write_text('{"provider": "stability", "nonsense": true}')
        clip(exports(bench) / "bounce.wav")
        (job,) = await bench.until_jobs(1)
        assert job.request.provider == "dsp"


async def test_what_cannot_be_run_is_left_alone_and_not_asked_again(tmp_path: Path) -> None:
    async with watching(tmp_path) as bench:
        folder = exports(bench)
        (folder / "text.wav").write_text("words")
        (folder / "loop.wav").symlink_to(folder / "loop.wav")
        (folder / "notes.txt").write_text("words")
        (folder / "x.wav").mkdir()
        await bench.pass_by(folder)
        await bench.restart()
        await bench.scanned()
        assert names(folder) == ["a later clip.wav", "loop.wav", "notes.txt", "text.wav", "x.wav"]
        assert len(await bench.jobs()) == 1


async def test_an_unfinished_export_waits_visibly_and_counts_as_run(tmp_path: Path) -> None:
    async with watching(tmp_path) as bench:
        whole = clip_bytes()
        (exports(bench) / "bounce.wav").write_bytes(whole[:9_000])
        (job,) = await bench.until_jobs(1, "held")
        (exports(bench) / "bounce.wav").write_bytes(whole)
        await bench.until_state(job.id, "delivered")
        (exports(bench) / "copy.wav").write_bytes(whole)
        await bench.pass_by(exports(bench))
        assert [job.clip_name for job in await bench.jobs()] == ["bounce", "a later clip"]


# ---- what was there before -----------------------------------------------------------------------------------------


async def test_an_entry_keeps_its_line_over_a_restart_and_loses_it_when_removed(tmp_path: Path) -> None:
    entry = {"path": str(tmp_path / "exports")}
    async with Bench(tmp_path, watch=[entry]) as bench:
        exports(bench)
        await bench.scanned()
        await bench.stop()
        clip(exports(bench) / "while stopped.wav", seed=1)
        await bench.start()
        await bench.until_jobs(1)
        await bench.restart(watch=[], daemon={})
        clip(exports(bench) / "while removed.wav", seed=2)
        await bench.restart(watch=[entry])
        await bench.scanned()
        await bench.pass_by(exports(bench))
        assert [job.clip_name for job in await bench.jobs()] == ["while stopped", "a later clip"]


async def test_a_file_from_before_the_entry_stays_so_under_another_name(tmp_path: Path) -> None:
    old = clip(tmp_path / "exports" / "old.wav")
    async with watching(tmp_path) as bench:
        await bench.scanned()
        old.rename(exports(bench) / "old renamed.wav")
        await bench.pass_by(exports(bench))
        assert [job.clip_name for job in await bench.jobs()] == ["a later clip"]


async def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    async with watching(tmp_path, there=False) as bench:
        await bench.until(lambda: bench.trigger._places[1]._there is False, "it is missing")
        disk = tmp_path / "disk"
        old, new = clip(disk / "from an old disk.wav"), clip(disk / "new.wav", seed=2)
        os.utime(old, (1_000_000_000, 1_000_000_000))
        assert new.stat().st_mtime > 1_000_000_000
        disk.rename(tmp_path / "exports")
        await bench.until_jobs(1)
        await bench.scanned()
        assert [job.clip_name for job in await bench.jobs()] == ["new"]


async def test_a_folder_that_was_away_comes_back_without_a_flood(tmp_path: Path) -> None:
    clip(tmp_path / "exports" / "old.wav")
    async with watching(tmp_path) as bench:
        await bench.scanned()
        (tmp_path / "exports").rename(tmp_path / "unplugged")
        await bench.until(lambda: bench.trigger._places[1]._there is False, "it is missed")
        (tmp_path / "unplugged").rename(tmp_path / "exports")
        await bench.pass_by(exports(bench))
        assert [job.clip_name for job in await bench.jobs()] == ["a later clip"]


# ---- the bridge's own takes ----------------------------------------------------------------------------------------


async def test_takes_are_never_taken_where_they_are_delivered(tmp_path: Path) -> None:
    async with watching(tmp_path, deliver_to=str(tmp_path / "exports"), recursive=True) as bench:
        folder = exports(bench)
        clip(folder / "bounce.wav")
        await bench.until_there(folder / "bounce [default].wav")
        await bench.pass_by(folder)
        # a take without its provenance is known by its content
        (folder / "bounce [default].clipbridge.json").unlink()
        (folder / "bounce [default].wav").rename(folder / "my favourite.wav")
        await bench.pass_by(folder, "last.wav")
        assert [job.clip_name for job in await bench.jobs()] == ["bounce", "a later clip", "last"]


async def test_the_untouched_companion_of_a_take_is_no_clip_either(tmp_path: Path) -> None:
    async with watching(tmp_path) as bench:
        folder = exports(bench)
        (folder / "loop [default].clipbridge.json").write_text("{}")
        clip(folder / "loop [default] raw.wav")
        await bench.pass_by(folder)
        assert [job.clip_name for job in await bench.jobs()] == ["a later clip"]


async def test_drop_inside_a_watched_folder_stays_drop(tmp_path: Path) -> None:
    # the whole home, with its jobs' own files, lies below the first; the others are the bridge's own and do not count
    paths = [tmp_path, tmp_path / "home", tmp_path / "home" / "Drop", tmp_path / "home" / "jobs"]
    entries = [{"path": str(path), "recursive": True, "existing": "take"} for path in paths]
    async with Bench(tmp_path, watch=entries) as bench:
        clip(bench.drop / "loop.wav")
        await bench.until_there(bench.done / "loop.wav")
        await bench.scanned()
        (job,) = await bench.jobs()
        assert job.origin["kind"] == "drop"
        assert len(bench.trigger._places) == 2


# ---- sub-folders, moving -------------------------------------------------------------------------------------------


async def test_results_mirror_the_sub_folders(tmp_path: Path) -> None:
    async with watching(tmp_path, recursive=True, deliver_to=str(tmp_path / "out")) as bench:
        clip(exports(bench) / "Song" / "Drums" / "kick.wav")
        clip(exports(bench) / "snare.wav", seed=2)
        clip(exports(bench) / ".hidden" / "no.wav", seed=3)
        out = tmp_path / "out"
        await bench.until_there(out / "Song" / "Drums" / "kick [default].wav", out / "snare [default].wav")
        await bench.scanned()
        assert len(await bench.jobs()) == 2


async def test_linked_folders_are_not_followed(tmp_path: Path) -> None:
    async with watching(tmp_path, recursive=True) as bench:
        clip(tmp_path / "elsewhere" / "far.wav")
        (exports(bench) / "round").symlink_to(exports(bench))
        (exports(bench) / "linked").symlink_to(tmp_path / "elsewhere")
        clip(exports(bench) / "near.wav", seed=2)
        await bench.until_jobs(1)
        await bench.scanned()
        assert [job.clip_name for job in await bench.jobs()] == ["near"]


async def test_sub_folders_are_left_alone_unless_asked_for(tmp_path: Path) -> None:
    async with watching(tmp_path) as bench:
        clip(exports(bench) / "Song" / "kick.wav")
        await bench.pass_by(exports(bench))
        await bench.scanned()
        assert [job.clip_name for job in await bench.jobs()] == ["a later clip"]


async def test_files_move_away_where_the_entry_says_so(tmp_path: Path) -> None:
    async with watching(tmp_path, after="move", recursive=True) as bench:
        folder = exports(bench)
        clip(folder / "Song" / "kick.wav")
        (folder / "text.wav").write_text("words")
        await bench.until_there(folder / "_Done" / "Song" / "kick.wav", folder / "_Failed" / "text.wav.error.txt")
        # the same content again is not run, and goes the way of the first
        clip(folder / "kick again.wav")
        await bench.until_there(folder / "_Done" / "kick again.wav")
        assert len(await bench.jobs()) == 1


# ---- on a trigger --------------------------------------------------------------------------------------------------


async def test_a_trigger_runs_the_newest_whole_file(tmp_path: Path) -> None:
    clip(tmp_path / "exports" / "old.wav")
    async with watching(tmp_path, run="on_trigger") as bench:
        await bench.scanned()
        folder = exports(bench)
        for age, name in enumerate(("newest.wav", "older.wav", "oldest.wav")):
            path = clip(folder / name, seed=10 + age)
            at = path.stat().st_mtime - 100 * age
            os.utime(path, (at, at))
        (folder / "half.wav").write_bytes(clip_bytes()[:9_000])
        os.utime(folder / "half.wav", (at + 10_000, at + 10_000))
        await bench.scanned()
        assert await bench.jobs() == []
        job = await bench.trigger.run_newest(None)
        assert (job.clip_name, job.request.preset, job.priority) == ("newest", "default", 0)
        await bench.until_state(job.id, "delivered")
        # a gesture counts each time, and its preset names the provider
        again = await bench.trigger.run_newest("lo-fi-tape")
        assert (again.clip_name, again.request.provider) == ("newest", "loopback")
        await bench.until_state(again.id, "delivered")
        assert (folder / "newest.wav").exists()
        await bench.restart()
        await bench.scanned()
        assert len(await bench.jobs()) == 2


async def test_without_a_preset_of_its_own_the_trigger_takes_the_entrys(tmp_path: Path) -> None:
    async with watching(tmp_path, run="on_trigger", preset="lo-fi-tape", provider="dsp") as bench:
        clip(exports(bench) / "bounce.wav")
        job = await bench.trigger.run_newest(None)
        assert (job.request.preset, job.request.provider) == ("lo-fi-tape", "dsp")


async def test_a_trigger_with_nothing_waiting_says_so(tmp_path: Path) -> None:
    clip(tmp_path / "exports" / "old.wav")
    async with watching(tmp_path, run="on_trigger") as bench:
        await bench.scanned()
        with pytest.raises(ClipError, match="No whole clip waits") as raised:
            await bench.trigger.run_newest("default")
        assert raised.value.code == "source_not_found"
    async with Bench(tmp_path / "other") as bench:
        with pytest.raises(ClipError, match="no folder waits for a trigger"):
            await bench.trigger.run_newest("default")


async def test_a_trigger_with_an_unknown_preset_says_so(tmp_path: Path) -> None:
    async with watching(tmp_path, run="on_trigger") as bench:
        clip(exports(bench) / "bounce.wav")
        with pytest.raises(ClipError, match="no preset"):
            await bench.trigger.run_newest("nothing")
        assert (await bench.trigger.run_newest(None)).clip_name == "bounce"


async def test_a_take_is_as_long_as_the_export(tmp_path: Path) -> None:
    async with watching(tmp_path) as bench:
        clip(exports(bench) / "bounce.wav", samplerate=44_100)
        (job,) = await bench.until_jobs(1)
        assert soundfile.info(job.takes[0].path).frames == round(0.25 * 44_100)
