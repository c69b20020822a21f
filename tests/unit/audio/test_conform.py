"""A take fits its clip's hole exactly, and never surprises: no clipping, no click, no jump in loudness."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyloudnorm
import pytest
import soundfile

from bridge.audio.conform import Conformed, Match, conform
from bridge.audio.cut import cut
from bridge.audio.loudness import measure
from bridge.errors import ClipError

Sound = npt.NDArray[np.float64]


def noise(frames: int, channels: int = 2, level: float = 0.3, seed: int = 4) -> Sound:
    return np.random.default_rng(seed).uniform(-level, level, (frames, channels))


class Room:
    """A folder with a result in it and places for the take and the untouched take."""

    def __init__(self, folder: Path) -> None:
        self.result, self.take, self.raw = folder / "result", folder / "take.wav", folder / "raw.wav"

    def fill(self, sound: Sound, samplerate: int = 44_100, container: str = "WAV", subtype: str = "FLOAT") -> None:
        soundfile.write(self.result, sound, samplerate, format=container, subtype=subtype)

    def conform(
        self, frames: int, *, samplerate: int = 48_000, channels: int = 2, subtype: str = "PCM_24", **more: Any
    ) -> Conformed:
        done = conform(
            str(self.result),
            str(self.take),
            frames=frames,
            samplerate=samplerate,
            channels=channels,
            subtype=subtype,
            **more,
        )
        info = soundfile.info(self.take)
        assert (info.frames, info.samplerate, info.channels, info.subtype) == (frames, samplerate, channels, subtype)
        assert (done.frames, done.samplerate, done.channels, done.subtype) == (frames, samplerate, channels, subtype)
        assert done.sha256 == hashlib.sha256(self.take.read_bytes()).hexdigest()
        assert done.bytes == self.take.stat().st_size
        json.dumps(dataclasses.asdict(done), allow_nan=False)
        return done

    def heard(self) -> Sound:
        sound: Sound = soundfile.read(self.take, always_2d=True)[0]
        return sound

    def refused(self, frames: int, **more: Any) -> ClipError:
        with pytest.raises(ClipError) as caught:
            self.conform(frames, raw_path=str(self.raw), **more)
        assert not self.take.exists()
        assert not self.raw.exists()
        assert caught.value.hint
        return caught.value


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def match(
    lufs: float | None = -20.0, rms: float | None = -20.0, peak: float | None = -1.0, *, silent: bool = False
) -> Match:
    return {"lufs": lufs, "rms_dbfs": rms, "true_peak_dbtp": peak, "source_silent": silent}


@pytest.mark.parametrize("samplerate", [4_000, 8_000, 44_100, 48_000, 88_200, 192_000, 384_000])
@pytest.mark.parametrize("result_rate", [22_050, 44_100, 48_000])
@pytest.mark.parametrize("frames", [1, 2, 3, 17, 1_000, 65_536, 65_537])
def test_a_take_has_exactly_as_many_frames_as_its_clip(
    room: Room, samplerate: int, result_rate: int, frames: int
) -> None:
    room.fill(noise(max(1, round(frames * result_rate / samplerate))), result_rate)
    assert room.conform(frames, samplerate=samplerate).notes == []


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("result_channels", [1, 2])
def test_a_take_has_its_sources_format_whatever_came_back(
    room: Room, subtype: str, channels: int, result_channels: int
) -> None:
    sound = noise(48_000, result_channels)
    room.fill(sound, 48_000)
    room.conform(48_000, subtype=subtype, channels=channels)
    expected = (
        sound.mean(axis=1, keepdims=True) if channels < result_channels else np.broadcast_to(sound, (48_000, channels))
    )
    steps = {"PCM_U8": 2.0**-7, "PCM_16": 2.0**-15}
    # with dither a sample is off by up to one step and a half
    assert np.abs(room.heard() - expected).max() <= 1.5 * steps.get(subtype, 1e-7)


@pytest.mark.parametrize(
    ("container", "subtype"), [("FLAC", "PCM_24"), ("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("AIFF", "PCM_16")]
)
def test_any_container_may_come_back(room: Room, container: str, subtype: str) -> None:
    room.fill(noise(44_100), container=container, subtype=subtype)
    room.conform(48_000)
    assert np.abs(room.heard()).max() > 0.2


def test_the_round_trip_of_an_untouched_clip_changes_nothing_that_can_be_heard(room: Room, tmp_path: Path) -> None:
    """48 kHz to 44.1 kHz and back, 24 bits each time, noise up to 16 kHz: the difference is below -90 dB from the first
    frame to the last."""
    frames = 100_003
    spectrum = np.fft.rfft(noise(frames), axis=0)
    spectrum[int(16_000 / 48_000 * frames) :] = 0
    sound = np.fft.irfft(spectrum, frames, axis=0) * np.hanning(frames)[:, None]
    soundfile.write(tmp_path / "source.wav", sound, 48_000, subtype="PCM_24")
    cut(
        str(tmp_path / "source.wav"), 0, frames, str(tmp_path / "snapshot.wav"), str(room.result),
        {"container": "wav", "subtype": "PCM_24", "samplerate": 44_100, "channels": 2, "min_seconds": 0.0},
    )  # fmt: skip
    done = room.conform(frames)
    assert (done.gain_db, done.lufs, done.true_peak_dbtp, done.notes) == (0.0, None, None, [])
    difference = room.heard() - soundfile.read(tmp_path / "source.wav")[0]
    assert 20 * np.log10(np.sqrt(np.mean(difference**2) / np.mean(sound**2))) < -90
    assert np.abs(difference).max() < 1e-4


def test_a_clip_at_full_scale_comes_back_as_loud_as_it_was(room: Room, tmp_path: Path) -> None:
    """Resampling swings over full scale between the samples: the sent file is turned down, the take up again."""
    square = np.sign(np.sin(2 * np.pi * 500 * np.arange(96_000) / 48_000 + 0.01))[:, None] * 0.98
    soundfile.write(tmp_path / "source.wav", square, 48_000, subtype="PCM_24")
    done = cut(
        str(tmp_path / "source.wav"), 0, 96_000, str(tmp_path / "snapshot.wav"), str(room.result),
        {"container": "wav", "subtype": "PCM_24", "samplerate": 44_100, "channels": 2, "min_seconds": 0.0},
    )  # fmt: skip
    assert done.sent_gain_db < -0.5
    assert np.abs(soundfile.read(room.result)[0]).max() <= 1.0
    take = room.conform(96_000, channels=1, subtype="FLOAT", result_gain_db=-done.sent_gain_db)
    assert take.gain_db == 0.0
    level = np.sqrt(np.mean(room.heard() ** 2) / np.mean(square**2))
    assert 20 * np.log10(level) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_what_needs_no_change_comes_through_bit_for_bit(room: Room, subtype: str) -> None:
    room.fill(noise(48_000, level=0.999), 48_000, subtype="PCM_16")
    room.conform(48_000, subtype=subtype)
    assert np.array_equal(room.heard(), soundfile.read(room.result)[0])


def test_a_longer_result_ends_with_a_fade_and_says_so(room: Room) -> None:
    room.fill(np.full((96_000, 2), 0.5), 48_000)
    done = room.conform(48_000)
    heard = room.heard()
    assert np.abs(heard[: 48_000 - 240] - 0.5).max() < 1e-6
    assert (np.diff(heard[-240:, 0]) < 0).all()
    assert heard[-1, 0] == 0.0
    assert any("longer" in note for note in done.notes)


@pytest.mark.parametrize(("frames", "missing"), [(480_000, 9_600), (480_000, 5_000), (4_800, 480), (500, 400)])
def test_a_result_that_is_a_little_short_is_filled_up_behind_a_fade(room: Room, frames: int, missing: int) -> None:
    room.fill(np.full((frames - missing, 2), 0.5), 48_000)
    done = room.conform(frames)
    heard = room.heard()
    fade = min(240, frames - missing)
    assert not heard[frames - missing :].any()
    assert (np.diff(heard[frames - missing - fade : frames - missing, 0]) < 0).all()
    assert np.allclose(heard[: frames - missing - fade], 0.5, atol=1e-6)
    assert any("shorter" in note for note in done.notes)


@pytest.mark.parametrize(("frames", "missing"), [(480_000, 9_700), (4_800, 520), (48_000, 47_999)])
def test_a_result_that_is_much_too_short_is_refused(room: Room, frames: int, missing: int) -> None:
    room.fill(noise(frames - missing), 48_000)
    error = room.refused(frames)
    assert error.code == "bad_result"
    assert "too short" in error.message


@pytest.mark.parametrize(("result_rate", "samplerate"), [(48_000, 48_000), (44_100, 48_000), (44_100, 192_000)])
@pytest.mark.parametrize("off", [-1, 1])
def test_a_frame_more_or_less_by_rounding_is_no_reason_to_fade(
    room: Room, result_rate: int, samplerate: int, off: int
) -> None:
    room.fill(np.full((result_rate, 1), 0.5), result_rate)
    frames = samplerate + off * (samplerate // result_rate)
    done = room.conform(frames, samplerate=samplerate, channels=1)
    assert done.notes == []
    assert np.allclose(room.heard()[samplerate // 2 : -100], 0.5, atol=0.01)  # the step at the end rings a little
    assert np.abs(room.heard()[-20:-10]).min() > 0.3


def test_a_known_offset_is_left_off_and_a_negative_one_is_silence(room: Room) -> None:
    sound = noise(50_000)
    room.fill(sound, 48_000)
    room.conform(48_000, result_offset_frames=1_105, subtype="FLOAT")
    assert np.allclose(room.heard()[:40_000], sound[1_105:41_105], atol=1e-7)
    room.conform(48_000, result_offset_frames=-300, subtype="FLOAT")
    assert not room.heard()[:300].any()
    assert np.allclose(room.heard()[300:40_000], sound[:39_700], atol=1e-7)


@pytest.mark.parametrize(
    "data", [b"", b'{"error": "quota"}' * 40, b"\0" * 5_000, b"RIFF\x24\0\0\0WAVEfmt ", b"ID3" + bytes(99)]
)
def test_what_cannot_be_decoded_is_a_bad_result(room: Room, data: bytes) -> None:
    room.result.write_bytes(data)
    assert room.refused(48_000).code == "bad_result"
    room.result.unlink()
    assert room.refused(48_000).code == "bad_result"


def test_a_result_with_no_frames_or_too_many_channels_is_a_bad_result(room: Room) -> None:
    room.fill(np.zeros((0, 2)))
    assert room.refused(48_000).code == "bad_result"
    room.fill(noise(48_000, channels=4))
    assert room.refused(48_000).code == "bad_result"


def test_a_wav_that_was_streamed_with_sizes_unknown_is_taken(room: Room) -> None:
    room.fill(noise(48_000), 48_000, subtype="PCM_16")
    data = bytearray(room.result.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    room.result.write_bytes(data)
    assert room.conform(48_000).notes == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("wanted", [None, match()])
def test_samples_that_are_no_numbers_are_a_bad_result(room: Room, bad: float, wanted: Match | None) -> None:
    sound = noise(48_000)
    sound[20_000, 0] = bad
    room.fill(sound, 48_000)
    assert room.refused(48_000, match=wanted).code == "bad_result"


def test_silence_is_a_bad_result_unless_the_source_was_silent(room: Room) -> None:
    room.fill(np.zeros((48_000, 2)), 48_000)
    assert "silent" in room.refused(48_000, match=match()).message
    done = room.conform(48_000, match=match(None, None, None, silent=True))
    assert (done.gain_db, done.lufs, done.notes) == (0.0, None, [])


@pytest.mark.parametrize("samplerate", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("lufs", [-40.0, -23.0, -14.0, -68.0])
def test_a_take_is_as_loud_as_its_source(room: Room, samplerate: int, channels: int, lufs: float) -> None:
    time = np.arange(5 * 44_100) / 44_100
    room.fill(noise(len(time), 2, 0.2) * np.exp(-3 * (time % 1.0))[:, None])
    done = room.conform(
        5 * samplerate, samplerate=samplerate, channels=channels, match=match(lufs, peak=3.0), subtype="FLOAT"
    )
    reference = pyloudnorm.Meter(samplerate, filter_class="DeMan").integrated_loudness(room.heard())
    assert reference == pytest.approx(lufs, abs=0.05)
    assert done.lufs == pytest.approx(lufs, abs=0.01)
    assert done.notes == []


def test_the_ceiling_wins_and_the_shortfall_is_noted(room: Room) -> None:
    sound = noise(3 * 48_000, level=0.05)
    sound[70_000:70_010] = 0.5
    room.fill(sound, 48_000)
    done = room.conform(3 * 48_000, match=match(-12.0, peak=-6.0))
    heard = measure(str(room.take))
    assert heard.true_peak_dbtp == pytest.approx(-1.0, abs=0.02)
    assert done.true_peak_dbtp == pytest.approx(-1.0, abs=0.02)
    assert done.lufs is not None
    assert done.lufs < -20.0
    assert done.lufs == pytest.approx(heard.lufs, abs=0.01)
    assert any("quieter than the source" in note for note in done.notes)


def test_a_source_above_the_ceiling_lifts_it(room: Room) -> None:
    room.fill(noise(3 * 48_000, level=0.1), 48_000)
    done = room.conform(3 * 48_000, match=match(0.0, peak=2.5), subtype="FLOAT")
    assert done.true_peak_dbtp == pytest.approx(2.5, abs=0.02)
    assert measure(str(room.take)).true_peak_dbtp == pytest.approx(2.5, abs=0.02)
    tone = 0.1 * np.sin(2 * np.pi * 100 * np.arange(96_000) / 48_000)
    room.fill(tone[:, None], 48_000)
    done = room.conform(96_000, channels=1, match=match(6.0, peak=2.5))
    assert np.abs(room.heard()).max() == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(room.heard()[:, 0], 10 * tone, atol=1e-5)
    assert any("quieter than the source" in note for note in done.notes)


def test_a_clip_under_four_tenths_of_a_second_is_matched_by_its_level(room: Room) -> None:
    room.fill(noise(9_600, level=0.1), 48_000)
    done = room.conform(9_600, match=match(None, -18.0, -1.0))
    assert done.lufs is None
    assert 20 * np.log10(np.sqrt(np.mean(room.heard() ** 2))) == pytest.approx(-18.0, abs=0.02)


def test_a_silent_source_leaves_the_take_alone(room: Room) -> None:
    room.fill(noise(48_000), 48_000)
    done = room.conform(48_000, match=match(None, None, None, silent=True), raw_path=str(room.raw))
    assert (done.gain_db, done.raw_written) == (0.0, False)
    assert np.allclose(room.heard(), noise(48_000), atol=1e-6)


@pytest.mark.parametrize(("change_db", "kept"), [(0.9, False), (-0.9, False), (1.1, True), (-6.0, True)])
def test_the_untouched_take_is_kept_where_more_than_1_db_was_changed(room: Room, change_db: float, kept: bool) -> None:
    room.fill(noise(96_000, level=0.2), 48_000)
    before = measure(str(room.result)).lufs
    assert before is not None
    done = room.conform(96_000, match=match(before + change_db), raw_path=str(room.raw))
    assert done.gain_db == pytest.approx(change_db, abs=0.01)
    assert done.raw_written is kept
    assert room.raw.exists() is kept
    if kept:
        assert np.allclose(soundfile.read(room.raw)[0], noise(96_000, level=0.2), atol=1e-6)


def test_a_difference_that_nobody_hears_is_left_alone(room: Room) -> None:
    room.fill(noise(48_000), 48_000, subtype="PCM_24")
    before = measure(str(room.result)).lufs
    assert before is not None
    assert room.conform(48_000, match=match(before + 0.005)).gain_db == 0.0
    assert np.array_equal(room.heard(), soundfile.read(room.result)[0])


@pytest.mark.parametrize("wanted", [None, match(None, None, None, silent=True)])
def test_a_result_over_full_scale_is_turned_down_rather_than_clipped(room: Room, wanted: Match | None) -> None:
    tone = 1.6 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)[:, None]
    room.fill(tone, 48_000)
    done = room.conform(48_000, channels=1, match=wanted)
    assert done.gain_db == pytest.approx(-20 * np.log10(1.6), abs=0.01)
    assert np.allclose(room.heard() * 1.6, tone, atol=1e-5)
    assert done.notes == ["Turned down by 4.1 dB, since its peaks were over full scale."]
    assert room.conform(48_000, channels=1, subtype="FLOAT").gain_db == 0.0
    assert np.abs(room.heard()).max() == pytest.approx(1.6, abs=1e-5)


def test_dither_keeps_what_is_below_one_step_and_is_the_same_each_time(room: Room) -> None:
    faint = 0.4 * 2.0**-15 * np.sin(2 * np.pi * 1_000 * np.arange(96_000) / 48_000)[:, None]
    room.fill(faint, 48_000)
    first = room.conform(96_000, channels=1, subtype="PCM_16").sha256
    spectrum = np.abs(np.fft.rfft(room.heard()[:, 0]))
    assert spectrum.argmax() == 2_000
    assert room.conform(96_000, channels=1, subtype="PCM_16").sha256 == first


@pytest.mark.skipif(sys.platform != "linux", reason="needs tmpfs")
@pytest.mark.parametrize("wanted", [None, match(-30.0)])
def test_a_full_disk_is_said_and_leaves_nothing_behind(room: Room, tmp_path: Path, wanted: Match | None) -> None:
    room.fill(noise(48_000), 48_000)
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this account cannot mount a small disk")
    try:
        room.take, room.raw = disk / "take.wav", disk / "raw.wav"
        assert room.refused(48_000, match=wanted).code == "disk_full"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


NOBODY = """
import os, sys
from bridge.audio.conform import conform
from bridge.errors import ClipError
os.chdir(sys.argv[1]); os.setuid(65534)
try:
    conform("result", "take.wav", frames=48_000, samplerate=48_000, channels=2, subtype="PCM_24")
except ClipError as error:
    print(error.code, error.message)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="accounts work otherwise there")
def test_a_folder_that_may_not_be_written_is_said(room: Room, tmp_path: Path) -> None:
    room.fill(noise(48_000), 48_000)
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", NOBODY, str(tmp_path)], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("only root can become another account")
    assert done.stdout.startswith("delivery_failed No audio could be written")
