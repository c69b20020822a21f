"""Makes the clip of `clipbridge demo`: a small house loop, computed note by note, so that nobody needs a recording to
try.

Four bars at 120 BPM in A minor: kick, clap, swung hats, bass, electric-piano stabs and a little melody. Everything is
laid on a ring of eight seconds, tails included, and so it loops without a seam. Playing it is left to the person.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

SAMPLERATE: Final = 48_000
TEMPO_BPM: Final = 120
BARS: Final = 4
SECONDS: Final = BARS * 4 * 60 / TEMPO_BPM
FRAMES: Final = int(SECONDS * SAMPLERATE)
KEY: Final = "A minor"

_STEP_SECONDS: Final = 60 / TEMPO_BPM / 4
_SWING: Final = 0.57
"""Where the second of two sixteenths falls between its neighbours; 0.5 would be straight."""
_GAIN: Final = 0.86
"""Sets the loop at about -15 LUFS (measured with the meter of `bridge.audio.loudness`)."""

_CHORDS: Final = ((57, 64, 67, 71, 72), (57, 62, 65, 69, 76), (53, 60, 64, 67, 69), (52, 59, 62, 67, 71))
"""A minor 9, D minor 9, F major 9, E minor 7, as MIDI note numbers."""
_STABS: Final = (
    ((0, 3.4, 1.0), (3, 1.2, 0.6), (6, 2.4, 0.85), (11, 1.4, 0.7), (14, 1.6, 0.5)),
    ((0, 2.8, 0.9), (3, 1.2, 0.6), (6, 3.0, 0.9), (10, 1.4, 0.65)),
)
"""For odd and even bars: (sixteenth, length in sixteenths, loudness)."""
_BASS: Final = (
    ((0, 33, 1.6), (3, 33, 0.8), (6, 45, 1.0), (8, 33, 1.4), (11, 31, 0.8), (14, 33, 1.2)),
    ((0, 38, 1.6), (3, 38, 0.8), (6, 50, 1.0), (8, 38, 1.4), (11, 36, 0.8), (14, 38, 1.2)),
    ((0, 29, 1.6), (3, 29, 0.8), (6, 41, 1.0), (8, 29, 1.4), (11, 33, 0.8), (14, 36, 1.2)),
    ((0, 28, 1.6), (3, 28, 0.8), (6, 40, 1.0), (8, 31, 1.4), (11, 35, 0.8), (13, 38, 0.7), (14, 40, 1.0)),
)
"""A row a bar: (sixteenth, MIDI note, length in sixteenths)."""
_MELODY: Final = ((18, 76), (23, 74), (26, 72), (29, 69), (50, 79), (53, 76), (55, 74), (58, 76), (61, 71))
"""(sixteenth of the whole loop, MIDI note)"""


def write_demo_clip(path: str) -> None:
    """Write the loop to `path`: WAV, 48 kHz, 24 bit, stereo, eight seconds, the same bytes every time.

    Raises `OSError` or `soundfile.LibsndfileError` if the file cannot be written.
    """
    sf.write(path, demo_clip(), SAMPLERATE, format="WAV", subtype="PCM_24")


def demo_clip() -> Floats:
    """Compute the loop as `(frames, 2)` floats within ± 1."""
    rng = np.random.default_rng(120)
    kick, rhythm, music, room = (np.zeros((2, FRAMES)) for _ in range(4))
    _lay_drums(kick, rhythm, room, rng)
    _lay_bass(music)
    _lay_chords(music, room)
    _lay_melody(music, room)
    breath = _duck()
    wet = _reverberate(room, rng)
    total: Floats = kick + rhythm + (music + wet) * breath
    total = _on_ring(total, low_hz=24.0, high_hz=19_000.0)
    return np.ascontiguousarray((0.94 * np.tanh(total * _GAIN / 0.94)).T)


def _note_hz(note: float) -> float:
    return float(440.0 * 2 ** ((note - 69) / 12))


def _step_frame(step: int) -> int:
    """The frame at which a sixteenth falls, swung."""
    pair, second = divmod(step, 2)
    return round((pair * 2 + second * 2 * _SWING) * _STEP_SECONDS * SAMPLERATE)


def _seconds(length_seconds: float) -> Floats:
    return np.arange(int(length_seconds * SAMPLERATE), dtype=np.float32) / np.float32(SAMPLERATE)


def _lay(ring: Floats, sound: Floats, at: int, gain: float = 1.0, pan: float = 0.0) -> None:
    """Add a mono or `(2, n)` sound at frame `at`; what goes beyond the end comes in again at the start."""
    sides = np.array([[np.cos((pan + 1) * np.pi / 4)], [np.sin((pan + 1) * np.pi / 4)]]) * np.sqrt(2) * gain
    placed = np.broadcast_to(sound, (2, sound.shape[-1])) * sides
    start = at % FRAMES
    first = min(placed.shape[1], FRAMES - start)
    ring[:, start : start + first] += placed[:, :first]
    if first < placed.shape[1]:
        ring[:, : placed.shape[1] - first] += placed[:, first:]


def _noise(rng: np.random.Generator, length_seconds: float, low_hz: float, high_hz: float) -> Floats:
    """Noise between two frequencies with soft edges."""
    count = int(length_seconds * SAMPLERATE)
    bins = np.fft.rfft(rng.standard_normal(count))
    frequencies_hz = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLERATE), 1.0)
    bins *= 1 / np.sqrt(1 + (low_hz / frequencies_hz) ** 6) / np.sqrt(1 + (frequencies_hz / high_hz) ** 4)
    sound = np.fft.irfft(bins, count)
    return np.asarray(sound / np.abs(sound).max())


def _ends_softly(sound: Floats, seconds: float = 0.004) -> Floats:
    """Fade the last few milliseconds, so that a note that is cut off does not click."""
    count = min(len(sound), int(seconds * SAMPLERATE))
    sound[len(sound) - count :] *= np.linspace(1, 0, count)
    return sound


def _lay_drums(kick: Floats, rhythm: Floats, room: Floats, rng: np.random.Generator) -> None:
    time = _seconds(0.36)
    turns = 47 * time + 3.6 * (1 - np.exp(-time * 38)) + 0.9 * (1 - np.exp(-time * 260))
    body = np.tanh(1.7 * np.sin(2 * np.pi * turns) * np.exp(-time * 7.5)) * np.minimum(1, time * 1_500)
    click = _noise(rng, 0.36, 1_500, 7_000) * np.exp(-time * 420) * 0.22
    boom = _ends_softly(body + click, 0.05)
    for beat in range(BARS * 4):
        _lay(kick, boom, _step_frame(beat * 4), 0.5)
    _lay(kick, boom, _step_frame(BARS * 16 - 2), 0.27)

    time = _seconds(0.28)
    for beat in range(1, BARS * 4, 2):
        hands = sum(np.where(time >= late, np.exp(-(time - late) * 130), 0) for late in (0.0, 0.011, 0.021))
        clap = _noise(rng, 0.28, 900, 5_200) * (
            hands * 0.5 + np.where(time >= 0.03, np.exp(-(time - 0.03) * 22), 0) * 0.7
        )
        at = _step_frame(beat * 4)
        _lay(rhythm, clap, at, 0.62)
        _lay(room, clap, at, 0.12)

    loud = (0.5, 0.28, 0.95, 0.34, 0.55, 0.22, 1.0, 0.42)
    for step in range(BARS * 16):
        is_open = step % 4 == 2
        length_seconds = 0.19 if is_open else 0.06
        time = _seconds(length_seconds)
        hat = _ends_softly(_noise(rng, length_seconds, 7_500, 15_000) * np.exp(-time * (17 if is_open else 75)))
        human = float(rng.uniform(0.85, 1.1))
        _lay(rhythm, hat, _step_frame(step) + int(rng.integers(-60, 60)), 0.27 * loud[step % 8] * human, 0.25)
    time = _seconds(0.07)
    for step in (3, 10, 19, 26, 31, 35, 42, 51, 58, 61, 63):
        rim = np.sin(2 * np.pi * 1_720 * time) * np.exp(-time * 95) + 0.5 * np.sin(2 * np.pi * 2_480 * time) * np.exp(
            -time * 140
        )
        _lay(rhythm, rim, _step_frame(step), 0.15, -0.45)
        _lay(room, rim, _step_frame(step), 0.06, -0.2)


def _lay_bass(music: Floats) -> None:
    for bar, notes in enumerate(_BASS):
        for step, note, length in notes:
            time = _seconds(length * _STEP_SECONDS + 0.05)
            sound = np.zeros_like(time)
            for harmonic in range(1, 13):
                sound += (
                    np.sin(2 * np.pi * _note_hz(note) * harmonic * time)
                    / harmonic
                    * np.exp(-time * (1.2 + 1.7 * harmonic))
                )
            sound = np.tanh(1.6 * sound) * np.minimum(1, time * 300)
            _lay(music, _ends_softly(sound, 0.03), _step_frame(bar * 16 + step), 0.175)


def _electric_piano(hz: float, length_seconds: float, loud: float, drift_turns: float) -> Floats:
    """A struck tine by frequency modulation: bright while it is struck, round after."""
    time = _seconds(length_seconds + 0.25)
    strike = 1.5 * loud * np.exp(-time * 9) + 0.25 * loud
    tine = np.sin(2 * np.pi * hz * time + strike * np.sin(2 * np.pi * hz * time + drift_turns))
    bell = 0.16 * loud * np.sin(2 * np.pi * hz * 7.02 * time) * np.exp(-time * 14)
    held = np.exp(-time * 1.6) * np.where(time > length_seconds, np.exp(-(time - length_seconds) * 16), 1)
    return _ends_softly((tine + bell) * held * np.minimum(1, time * 400), 0.02)


def _lay_chords(music: Floats, room: Floats) -> None:
    for bar, chord in enumerate(_CHORDS):
        for step, length, loud in _STABS[bar % 2]:
            for voice, note in enumerate(chord):
                late = voice * 140
                at = _step_frame(bar * 16 + step) + late
                for side, cents in ((-0.6, -4), (0.6, 4)):
                    sound = _electric_piano(_note_hz(note + cents / 100), length * _STEP_SECONDS, loud, side)
                    _lay(music, sound, at, 0.075 * loud, side)
                    _lay(room, sound, at, 0.016 * loud, -side)


def _lay_melody(music: Floats, room: Floats) -> None:
    time = _seconds(0.45)
    for step, note in _MELODY:
        hz = _note_hz(note)
        pluck = np.zeros_like(time)
        for harmonic in range(1, 9):
            pluck += np.sin(2 * np.pi * hz * harmonic * time) * harmonic**-1.3 * np.exp(-time * (5 + 2.6 * harmonic))
        pluck = _ends_softly(pluck * np.minimum(1, time * 500), 0.05)
        for echo in range(4):
            at = _step_frame(step) + round(echo * 3 * _STEP_SECONDS * SAMPLERATE)
            _lay(music, pluck, at, 0.13 * 0.5**echo, (-0.5, 0.6)[echo % 2])
        _lay(room, pluck, _step_frame(step), 0.05)


def _duck() -> Floats:
    """The gain that makes room for each kick, `(frames,)`."""
    beat = 4 * _STEP_SECONDS
    place = (np.arange(FRAMES) / SAMPLERATE) % beat
    dip = 0.6 * (1 - np.minimum(1, place / (0.55 * beat))) ** 1.6
    return 1 - dip * np.minimum(1, place / 0.004)


def _reverberate(room: Floats, rng: np.random.Generator) -> Floats:
    """A one-second plate, convolved on the ring."""
    count = int(1.5 * SAMPLERATE)
    time = np.arange(count) / SAMPLERATE
    response = np.zeros((2, FRAMES))
    response[:, :count] = rng.standard_normal((2, count)) * np.exp(-time * 5.2) * (1 - np.exp(-time * 160))
    bins = np.fft.rfft(room) * np.fft.rfft(response)
    frequencies_hz = np.maximum(np.fft.rfftfreq(FRAMES, 1 / SAMPLERATE), 1.0)
    bins *= 1 / np.sqrt(1 + (280 / frequencies_hz) ** 4) / np.sqrt(1 + (frequencies_hz / 5_500) ** 3)
    return np.asarray(np.fft.irfft(bins, FRAMES)) * 0.03


def _on_ring(sound: Floats, low_hz: float, high_hz: float) -> Floats:
    """Take away what is below and above hearing, on the ring."""
    bins = np.fft.rfft(sound)
    frequencies_hz = np.maximum(np.fft.rfftfreq(FRAMES, 1 / SAMPLERATE), 0.1)
    bins *= 1 / np.sqrt(1 + (low_hz / frequencies_hz) ** 8) / np.sqrt(1 + (frequencies_hz / high_hz) ** 12)
    return np.asarray(np.fft.irfft(bins, FRAMES))
