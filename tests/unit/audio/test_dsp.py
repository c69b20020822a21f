"""The offline engine, as promises to a person who writes a prompt and turns the strength."""

from __future__ import annotations

import tomllib
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

import bridge.presets
from bridge.audio.dsp import Transformed, files, signal, transform
from bridge.audio.dsp.chain import CEILING, beat_seconds, blend_share
from bridge.audio.dsp.effects import EFFECTS
from bridge.audio.dsp.prompt import _key, read_prompt
from bridge.audio.dsp.words import WORDS
from bridge.errors import ClipError

PRESETS = sorted(Path(bridge.presets.__file__).parent.glob("*.toml"))
FAMILY_PROMPTS = {
    "tone": ("dark", "bright", "telephone", "underwater"),
    "space": ("hall", "dub", "wide"),
    "grit": ("tape", "crushed", "vinyl"),
    "pitch": ("octave down", "chorus", "shimmer"),
    "time": ("reverse", "half-time", "pump", "glitch"),
    "mood": ("dreamy", "ghostly"),
}
EVERY_FAMILY = [prompt for prompts in FAMILY_PROMPTS.values() for prompt in prompts]

Run = Callable[..., np.ndarray]


def groove(seconds: float, samplerate: int, channels: int) -> np.ndarray:
    """Drums over a chord, `(frames, channels)`: hits, tones and noise, so that every effect finds something to do."""
    rng = np.random.default_rng(7)
    frames = max(1, round(seconds * samplerate))
    time = np.arange(frames) / samplerate
    beat = time % 0.5
    kick = 0.5 * np.sin(2 * np.pi * (50 * beat - 4 * np.exp(-beat * 30))) * np.exp(-beat * 9)
    hat = 0.2 * rng.standard_normal(frames) * np.exp(-((time + 0.25) % 0.5) * 45)
    chord = sum(0.06 * np.sin(2 * np.pi * hz * k * time) / k for hz in (220.0, 277.2, 329.6) for k in (1, 2, 3, 4))
    sides = [kick + hat + chord * (1 + 0.3 * np.sin(2 * np.pi * 0.7 * time + side)) for side in range(channels)]
    return np.stack(sides, axis=1)


@pytest.fixture
def clip(tmp_path: Path) -> str:
    path = tmp_path / "clip.wav"
    sf.write(path, groove(2.0, 22_050, 2), 22_050, subtype="PCM_24")
    return str(path)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(source: str, prompt: str, **changes: Any) -> np.ndarray:
        target = tmp_path / "take.wav"
        asked = {"prompt": prompt, "negative_prompt": "", "strength": 0.6, "seed": 1} | changes
        transform(source, str(target), **asked)
        frames, _ = sf.read(target, always_2d=True)
        return np.asarray(frames)

    return run


def decibels(value: np.ndarray, against: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(value**2)) / np.sqrt(np.mean(against**2))))


# ------------------------------------------------------------------------------------------------- what comes back


@pytest.mark.parametrize("samplerate", [8_000, 44_100, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.7])
def test_a_take_has_the_frames_rate_and_channels_of_its_clip(
    tmp_path: Path, samplerate: int, channels: int, seconds: float
) -> None:
    source, target = tmp_path / "clip.wav", tmp_path / "take.wav"
    sf.write(source, groove(seconds, samplerate, channels), samplerate, subtype="PCM_16")
    told = transform(str(source), str(target), prompt="dark tape echo", negative_prompt="", strength=1.0, seed=3)
    given, made = sf.info(source), sf.info(target)
    assert (made.frames, made.samplerate, made.channels) == (given.frames, given.samplerate, given.channels)
    assert (made.format, made.subtype) == ("WAV", "FLOAT")
    assert told == Transformed(given.frames, samplerate, channels, ["dark", "echo"], drawn=False)


@pytest.mark.parametrize("prompt", ["reverse stutter", "granular", "octave up", "lo-fi vinyl", "underwater", "8-bit"])
@pytest.mark.parametrize("frames", [1, 3, 400])
def test_a_clip_of_a_few_frames_is_never_lost_on_the_way(tmp_path: Path, run: Run, prompt: str, frames: int) -> None:
    source = tmp_path / "short.wav"
    sf.write(source, np.full((frames, 1), 0.5), 48_000, subtype="PCM_24")
    take = run(str(source), prompt, strength=1.0)
    assert len(take) == frames
    assert np.abs(take).max() > 0.01


@pytest.mark.parametrize("prompt", ["vinyl crackle, hiss", "cathedral", "zyx"])
def test_silence_stays_silence(tmp_path: Path, run: Run, prompt: str) -> None:
    source = tmp_path / "silent.wav"
    sf.write(source, np.zeros((9_000, 2)), 44_100, subtype="PCM_16")
    assert not run(str(source), prompt, strength=1.0).any()


@pytest.mark.parametrize("prompt", EVERY_FAMILY)
def test_no_take_is_louder_than_full_scale(tmp_path: Path, run: Run, prompt: str) -> None:
    source = tmp_path / "hot.wav"
    loud = groove(2.0, 22_050, 2)
    sf.write(source, loud / np.abs(loud).max() * 0.97, 22_050, subtype="FLOAT")
    assert np.abs(run(str(source), prompt, strength=1.0)).max() <= CEILING + 1e-4


def test_a_float_clip_above_full_scale_keeps_its_headroom(tmp_path: Path, run: Run) -> None:
    source = tmp_path / "over.wav"
    loud = groove(1.0, 22_050, 1)
    sf.write(source, loud / np.abs(loud).max() * 2.5, 22_050, subtype="FLOAT")
    peak = np.abs(run(str(source), "warm", strength=0.1)).max()
    assert 1.5 < peak <= 2.5001


def test_tails_end_with_the_clip_and_without_a_click(tmp_path: Path, run: Run) -> None:
    source = tmp_path / "hit.wav"
    hit = groove(1.0, 22_050, 1)
    hit[8_000:] = 0
    sf.write(source, hit, 22_050, subtype="PCM_24")
    take = run(str(source), "cathedral", strength=1.0)
    assert np.abs(take[-4_000:-2_000]).max() > 0.003
    assert np.abs(take[-2:]).max() < 0.003


# ------------------------------------------------------------------------------------------------------------ seeds


@pytest.mark.parametrize("prompt", ["warm lo-fi vinyl with a plate", "glitch", "words nobody knows"])
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, clip: str, prompt: str) -> None:
    takes = [tmp_path / "one.wav", tmp_path / "two.wav"]
    for take in takes:
        transform(clip, str(take), prompt=prompt, negative_prompt="", strength=0.7, seed=4_294_967_294)
    assert takes[0].read_bytes() == takes[1].read_bytes()


@pytest.mark.parametrize("prompt", EVERY_FAMILY)
def test_another_seed_is_heard(clip: str, run: Run, prompt: str) -> None:
    first, second = run(clip, prompt, seed=1), run(clip, prompt, seed=2)
    assert decibels(first - second, first) > -26


def test_unknown_words_still_change_the_clip_and_each_seed_its_own_way(tmp_path: Path, clip: str, run: Run) -> None:
    source, _ = sf.read(clip, always_2d=True)
    told = transform(clip, str(tmp_path / "t.wav"), prompt="blorp", negative_prompt="", strength=0.6, seed=1)
    assert told.drawn
    assert 2 <= len(told.words) <= 3
    drawn = {tuple(pick.word.name for pick in read_prompt("blorp", "", seed).picks) for seed in range(1, 12)}
    assert len(drawn) > 6
    for seed in (1, 2, 3):
        assert decibels(run(clip, "blorp", seed=seed) - source, source) > -30


def test_unknown_words_lean_by_their_letters() -> None:
    def often(prompt: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for seed in range(1, 120):
            for pick in read_prompt(prompt, "", seed).picks:
                counts[pick.word.name] = counts.get(pick.word.name, 0) + 1
        return counts

    assert max(often("blorp"), key=often("blorp").__getitem__) != max(often("quux"), key=often("quux").__getitem__)


# --------------------------------------------------------------------------------------------------------- strength


@pytest.mark.parametrize("prompt", EVERY_FAMILY)
def test_more_strength_is_further_from_the_clip(clip: str, run: Run, prompt: str) -> None:
    source, _ = sf.read(clip, always_2d=True)
    distances = [decibels(run(clip, prompt, strength=t) - source, source) for t in (0.02, 0.3, 0.6, 1.0)]
    assert distances == sorted(distances)
    assert distances[0] < -24
    assert distances[2] > -24


def test_strength_nought_is_the_clip_itself(clip: str, run: Run) -> None:
    source, _ = sf.read(clip, always_2d=True)
    np.testing.assert_array_equal(run(clip, "cathedral", strength=0.0), source)


@pytest.mark.parametrize("prompt", EVERY_FAMILY)
def test_a_little_strength_does_not_move_the_clip_in_time(clip: str, run: Run, prompt: str) -> None:
    source, _ = sf.read(clip, always_2d=True)
    take = run(clip, prompt, strength=0.05)
    size = 2 * len(source)
    match = np.fft.irfft(np.fft.rfft(take[:, 0], size) * np.conj(np.fft.rfft(source[:, 0], size)), size)
    assert int(np.argmax(match)) == 0


def test_the_share_of_the_effect_rises_from_nothing_to_all() -> None:
    shares = [blend_share(t / 50) for t in range(51)]
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)


# ------------------------------------------------------------------------------------------------------------ words


def test_an_octave_down_is_an_octave_down(tmp_path: Path, run: Run) -> None:
    source = tmp_path / "tone.wav"
    sf.write(source, 0.4 * np.sin(2 * np.pi * 330 * np.arange(66_150) / 22_050), 22_050, subtype="FLOAT")
    for prompt, expected_hz in (("octave down", 165.0), ("octave up", 660.0)):
        take = run(str(source), prompt, strength=1.0)[11_025:55_125, 0]
        loudest = np.argmax(np.abs(np.fft.rfft(take * np.hanning(len(take)))))
        assert abs(loudest * 22_050 / len(take) - expected_hz) < 2


def test_dark_takes_treble_away_and_telephone_both_ends(clip: str, run: Run) -> None:
    source, samplerate = sf.read(clip, always_2d=True)

    def share(frames: np.ndarray, low_hz: float, high_hz: float) -> float:
        power = np.abs(np.fft.rfft(frames[:, 0])) ** 2
        hz = np.fft.rfftfreq(len(frames), 1 / samplerate)
        return float(power[(hz >= low_hz) & (hz < high_hz)].sum() / power.sum())

    dark, phone = run(clip, "dark", strength=1.0), run(clip, "telephone", strength=1.0)
    assert share(dark, 4_000, 11_000) < 0.05 * share(source, 4_000, 11_000)
    assert share(phone, 5_000, 11_000) < 0.05 * share(source, 5_000, 11_000)
    assert share(phone, 0, 150) < 0.05 * share(source, 0, 150)


def test_an_intensifier_scales_the_word_after_it() -> None:
    def intensity(prompt: str) -> float:
        return read_prompt(prompt, "", 1).picks[0].intensity

    assert intensity("a hint of tape") < intensity("slightly tape") < intensity("tape") < intensity("very heavy tape")
    assert intensity("very nice, tape") == 1
    assert intensity("deep hall") > 1


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("lo-fi tape with a dark hall", ["lo-fi", "tape", "dark", "hall"]),
        ("LO FI, Tape-Stop!", ["lo-fi", "tape stop"]),
        ("distorted and crushed", ["distorted", "crushed"]),
        ("8-bit chiptune", ["8-bit"]),
        ("down an octave, reversed", ["octave down", "reverse"]),
        ("dark, no reverb", ["dark"]),
        ("without echo or distortion, airy", ["airy"]),
        ("a bit of echo", ["echo"]),
        ("wärm", ["warm"]),
    ],
)
def test_words_are_heard_in_the_forms_people_write_them(prompt: str, words: list[str]) -> None:
    reading = read_prompt(prompt, "", 1)
    assert [pick.word.name for pick in reading.picks] == words
    assert not reading.drawn


def test_words_of_the_negative_prompt_are_left_out(clip: str, run: Run) -> None:
    np.testing.assert_array_equal(run(clip, "dark hall", negative_prompt="reverb"), run(clip, "dark"))


def test_if_all_that_was_asked_for_is_ruled_out_something_else_is_done() -> None:
    reading = read_prompt("dark", "dark", 5)
    assert reading.drawn
    assert "dark" not in [pick.word.name for pick in reading.picks]


def test_a_tempo_in_the_prompt_is_the_beat_and_a_loop_is_cut_evenly() -> None:
    assert read_prompt("dub at 93.5 bpm", "", 1).tempo_bpm == 93.5
    assert beat_seconds(10.0, 120.0) == 0.5
    assert beat_seconds(8.0, None) == 0.5
    assert 60 / 170 <= beat_seconds(13.7, None) <= 60 / 85
    assert beat_seconds(3_600.0, None) == 0.5


def test_every_word_is_heard_by_its_own_name_and_no_two_share_a_form() -> None:
    owners: dict[tuple[str, ...], str] = {}
    for word in WORDS:
        assert [pick.word.name for pick in read_prompt(word.name, "", 1).picks] == [word.name]
        assert all(step.effect in EFFECTS for step in word.steps)
        for form in word.forms:
            assert owners.setdefault(_key(form), word.name) == word.name, form
    assert {word.family for word in WORDS} == set(FAMILY_PROMPTS)


def test_every_word_of_the_table_can_be_played(tmp_path: Path, run: Run) -> None:
    source = tmp_path / "clip.wav"
    frames = groove(0.8, 11_025, 2)
    sf.write(source, frames, 11_025, subtype="FLOAT")
    for word in WORDS:
        take = run(str(source), word.name, strength=0.8)
        assert np.isfinite(take).all()
        assert decibels(take - frames, frames) > -26, word.name
        assert decibels(take, frames) > -15, word.name


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_built_in_preset_speaks_words_that_the_engine_knows(path: Path) -> None:
    preset = tomllib.loads(path.read_text("utf-8"))
    reading = read_prompt(preset["prompt"], preset.get("negative_prompt", ""), 1)
    assert reading.picks
    assert not reading.drawn
    assert preset["description"].endswith(".")


def test_there_are_presets_to_try() -> None:
    assert len(PRESETS) >= 14
    assert "default" in [path.stem for path in PRESETS]


# -------------------------------------------------------------------------------------------------------- streaming


@pytest.mark.parametrize("prompt", ["dark tape hall", "octave down glitch", "granular vinyl", "compressed pump dub"])
def test_the_size_of_blocks_read_does_not_change_the_take(
    monkeypatch: pytest.MonkeyPatch, clip: str, run: Run, prompt: str
) -> None:
    usual = run(clip, prompt)
    monkeypatch.setattr(files, "READ_FRAMES", 5_003)
    np.testing.assert_allclose(run(clip, prompt), usual, atol=2e-6)


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    def peak_bytes(seconds: int) -> int:
        source = tmp_path / f"{seconds}.wav"
        with sf.SoundFile(source, "w", 8_000, 2, subtype="PCM_16") as file:
            second = groove(1.0, 8_000, 2)
            for _ in range(seconds):
                file.write(second)
        tracemalloc.start()
        transform(
            str(source),
            str(tmp_path / "take.wav"),
            prompt="reverse lo-fi hall",
            negative_prompt="",
            strength=0.6,
            seed=1,
        )
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak_bytes(480) < 1.15 * peak_bytes(60)


def test_a_signal_forgets_what_every_reader_has_passed() -> None:
    class Ramp(signal.Signal):
        def render(self, start: int) -> signal.Frames:
            return np.arange(start, start + 100, dtype=np.float32)[np.newaxis]

    ramp = Ramp(1, 8_000)
    ahead, behind = ramp.tap(), ramp.tap()
    assert ahead.read(-2, 3).tolist() == [[0, 0, 0, 1, 2]]
    ahead.read(950, 1_000)
    assert behind.read(10, 12).tolist() == [[10, 11]]
    behind.read(900, 901)
    ahead.read(1_000, 1_001)
    assert ramp._cache.shape[1] <= 300


# ----------------------------------------------------------------------------------------------------------- errors


def test_a_take_longer_than_riff_can_say_gets_an_rf64_header() -> None:
    header = files.float_wav_header(2**31, 192_000, 2)
    assert header[:4] == b"RF64"
    assert header[12:16] == b"ds64"
    assert files.float_wav_header(100, 48_000, 2)[:4] == b"RIFF"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: None, "source_not_found"),
        (lambda path: path.write_text("not audio"), "source_unreadable"),
        (lambda path: sf.write(path, np.zeros((0, 1)), 8_000), "source_unreadable"),
        (lambda path: sf.write(path, np.full((10, 1), np.nan), 8_000, subtype="FLOAT"), "source_unreadable"),
        (lambda path: sf.write(path, np.zeros((10, 4)), 8_000), "source_unsupported"),
    ],
    ids=["missing", "text", "no frames", "not numbers", "four channels"],
)
def test_a_clip_that_cannot_be_used_is_refused_in_a_sentence_and_nothing_is_left(
    tmp_path: Path, make: Callable[[Path], object], code: str
) -> None:
    source, target = tmp_path / "clip.wav", tmp_path / "take.wav"
    make(source)
    with pytest.raises(ClipError) as caught:
        transform(str(source), str(target), prompt="dark", negative_prompt="", strength=0.5, seed=1)
    assert caught.value.code == code
    assert caught.value.message.endswith(".")
    assert not target.exists()


def test_a_target_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path, clip: str) -> None:
    with pytest.raises(ClipError) as caught:
        transform(clip, str(tmp_path / "gone" / "take.wav"), prompt="dark", negative_prompt="", strength=0.5, seed=1)
    assert caught.value.code == "internal"


def test_a_strength_outside_its_range_is_refused(tmp_path: Path, clip: str) -> None:
    with pytest.raises(ClipError) as caught:
        transform(clip, str(tmp_path / "take.wav"), prompt="dark", negative_prompt="", strength=1.5, seed=1)
    assert caught.value.code == "bad_request"
