"""Rooms and echoes as impulse responses, made from noise and a seed.

Only the responses are made here; `filters.Convolution` plays them and `effects` sets their level.
"""

from __future__ import annotations

import numpy as np

from bridge.audio.dsp.filters import Points, gains_db, spectrum, waveform
from bridge.audio.dsp.signal import Frames

_BANDS_HZ = (110.0, 350.0, 1_100.0, 3_500.0, 10_000.0)


def _fast_size(frames: int) -> int:
    """The next power of two, or three quarters of it where that is enough: sizes that transform quickly."""
    size = 1 << max(frames - 1, 1).bit_length()
    return size * 3 // 4 if size >= 8 and size * 3 // 4 >= frames else size


def _unit_energy(response: np.ndarray) -> Frames:
    """Scale each channel to energy 1, so that noise-like sound comes out as loud as it went in."""
    energy = np.sqrt(np.sum(np.square(response), axis=-1, keepdims=True))
    result: Frames = (response / np.maximum(energy, 1e-12)).astype(np.float32)
    return result


def room(
    rng: np.random.Generator,
    channels: int,
    samplerate: int,
    *,
    seconds: float,
    damping: float,
    predelay_seconds: float = 0.0,
    attack_seconds: float = 0.0,
    early: float = 0.5,
    colour: Points = ((100.0, 0.0),),
) -> Frames:
    """A room's response, `(channels, taps)`, energy 1 a channel.

    `seconds` is the time the middle of the spectrum takes to fall by 60 dB; with `damping` (0…1) the treble falls
    faster and the bass a little slower, as in rooms of stone and air. `attack_seconds` lets the tail build up (large
    spaces), `early` is the weight of the first separate reflections, `colour` a curve in (Hz, dB) on the whole.
    """
    taps = max(2, int(seconds * 1.15 * samplerate))
    size = _fast_size(taps)
    time = np.arange(taps, dtype=np.float32) / samplerate
    frequencies_hz = np.maximum(np.fft.rfftfreq(size, 1 / samplerate), 1.0)
    white = rng.standard_normal((channels, size), dtype=np.float32)
    noise = spectrum(white, size) * (10.0 ** (gains_db(colour, frequencies_hz, samplerate) / 20.0)).astype(np.float32)
    octave = np.log2(frequencies_hz)
    tail = np.zeros((channels, taps), dtype=np.float32)
    for number, band_hz in enumerate(_BANDS_HZ):
        if band_hz > samplerate * 0.7:
            break
        lower = np.log2(_BANDS_HZ[number - 1]) if number else -1e9
        upper = np.log2(_BANDS_HZ[number + 1]) if number + 1 < len(_BANDS_HZ) else 1e9
        centre = np.log2(band_hz)
        rise = np.clip((octave - lower) / (centre - lower), 0, 1) if number else np.ones_like(octave)
        fall = (
            np.clip((upper - octave) / (upper - centre), 0, 1) if number + 1 < len(_BANDS_HZ) else np.ones_like(octave)
        )
        decay_seconds = (
            seconds * (band_hz / 800.0) ** (-0.35 * damping) if band_hz > 800 else seconds * (1 + 0.25 * damping)
        )
        band = waveform(noise * np.minimum(rise, fall).astype(np.float32), size)[:, :taps]
        tail += band * np.exp(np.float32(-6.908 / decay_seconds) * time)
    if attack_seconds > 0:
        tail *= 1 - np.exp(-time / np.float32(attack_seconds))
    tail *= np.minimum(1.0, (taps - np.arange(taps)) / (0.1 * taps)).astype(np.float32)
    tail = _unit_energy(tail)
    if early > 0:
        span = max(2, min(taps - 1, int(min(0.09, 0.12 * seconds + 0.012) * samplerate)))
        for channel in range(channels):
            at = rng.integers(1, span, size=14)
            gains = rng.choice([-1.0, 1.0], size=14) * np.exp(-2.5 * at / span) * 0.28 * early
            np.add.at(tail[channel], at, gains.astype(np.float32))
    pause = np.zeros((channels, int(predelay_seconds * samplerate)), dtype=np.float32)
    return _unit_energy(np.concatenate((pause, tail), axis=1))


def spring(rng: np.random.Generator, channels: int, samplerate: int, *, seconds: float) -> Frames:
    """A spring tank's response: echoes smeared into falling chirps, `(channels, taps)`, energy 1 a channel."""
    size = _fast_size(int(seconds * 1.3 * samplerate))
    frequencies_hz = np.fft.rfftfreq(size, 1 / samplerate)
    top_hz = min(4_200.0, samplerate * 0.42)
    bent = np.minimum(frequencies_hz / top_hz, 1.3)
    shape = 1 / (1 + (frequencies_hz / top_hz) ** 8) * (frequencies_hz**2 / (frequencies_hz**2 + 160.0**2))
    result = np.zeros((channels, size), dtype=np.float64)
    for channel in range(channels):
        total = np.zeros(len(frequencies_hz), dtype=np.complex128)
        for base_seconds in rng.uniform(0.029, 0.047, size=3):
            # The k-th return comes after 2k - 1 trips, smeared k times; all of them together are a geometric series.
            smear = 0.225 * base_seconds * bent**3
            fall = 10 ** (-3 * base_seconds / seconds)
            first = fall * np.exp(-2j * np.pi * frequencies_hz * (base_seconds + smear))
            again = fall**2 * np.exp(-2j * np.pi * frequencies_hz * (2 * base_seconds + smear))
            total += rng.uniform(0.7, 1.0) * first / (1 - again) * shape
        result[channel] = np.fft.irfft(total, size)
    return _unit_energy(result)


def echoes(
    channels: int,
    samplerate: int,
    *,
    delay_seconds: float,
    feedback: float,
    colour: Points,
    ping_pong: bool,
) -> Frames:
    """Repeats that return through a filter each time, without the direct sound, the first at gain 1.

    `(channels, taps)`; with `ping_pong` on two channels `(2, 2, taps)`: the sum of both sides jumps from left to
    right. Cut where the repeats have fallen by 60 dB, or at 8 s.
    """
    repeats = max(2, int(np.ceil(3.0 / -np.log10(min(feedback, 0.95)))))
    seconds = min(8.0, (repeats + 1) * delay_seconds)
    taps = int(seconds * samplerate)
    size = _fast_size(2 * taps)
    frequencies_hz = np.fft.rfftfreq(size, 1 / samplerate)
    curve = np.minimum(10.0 ** (gains_db(colour, frequencies_hz, samplerate) / 20.0), 1.0)
    once = curve * np.exp(-2j * np.pi * frequencies_hz * delay_seconds)
    again = once * feedback
    fade = np.minimum(1.0, (taps - np.arange(taps)) / (0.15 * taps))
    if ping_pong and channels == 2:
        odd = np.fft.irfft(once / (1 - again**2), size)[:taps] * fade
        even = np.fft.irfft(once * again / (1 - again**2), size)[:taps] * fade
        return np.stack((np.stack((odd, odd)), np.stack((even, even)))).astype(np.float32) * np.float32(0.71)
    line = np.fft.irfft(once / (1 - again), size)[:taps] * fade
    return np.repeat(line[np.newaxis], channels, axis=0).astype(np.float32)
