"""Pitch and time: moving delay lines, aligned grains, and clips re-cut into slices.

All of it reads within a few seconds around the present frame, so that an hour needs no more memory than a bar. How
far and in which pattern is left to `effects`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bridge.audio.dsp.signal import BLOCK_FRAMES, Effect, Frames, Signal, Sine, read_at, read_near


@dataclass(frozen=True)
class Voice:
    """One moving delay: `delay_seconds` ± the depths of its sines, at `gain`, on each channel with its own phase
    offset."""

    delay_seconds: float
    sines: tuple[tuple[float, float, float], ...]
    """(rate in Hz, depth in seconds, phase in turns)"""
    gain: float = 1.0
    spread_turns: float = 0.0


class MovingDelay(Effect):
    """The sum of moving delays: chorus, flanger, wow and flutter. Negative delays read ahead."""

    def __init__(self, source: Signal, voices: Sequence[Voice]) -> None:
        super().__init__(source)
        self._voices = [
            (voice, [self._sines(voice, line) for line in range(1 if voice.spread_turns == 0 else self.channels)])
            for voice in voices
        ]
        self._read = read_at if len(voices) == 1 else read_near
        reach = [(v.delay_seconds, sum(depth for _, depth, _ in v.sines)) for v in voices]
        self._behind = int(max(0.0, *(delay + depth for delay, depth in reach)) * self.samplerate) + 3
        self._ahead = int(max(0.0, *(depth - delay for delay, depth in reach)) * self.samplerate) + 3

    def render(self, start: int) -> Frames:
        stop = start + BLOCK_FRAMES
        frames = self.source.read(start - self._behind, stop + self._ahead)
        here = np.arange(self._behind, self._behind + BLOCK_FRAMES, dtype=np.float64)
        result = np.zeros((self.channels, BLOCK_FRAMES), dtype=np.float32)
        for voice, lines in self._voices:
            for line, sines in enumerate(lines):
                delay = np.full(BLOCK_FRAMES, voice.delay_seconds, dtype=np.float32)
                for sine, depth_seconds in sines:
                    delay += sine.at(start, BLOCK_FRAMES) * np.float32(depth_seconds)
                channels = slice(None) if len(lines) == 1 else slice(line, line + 1)
                positions = here - delay.astype(np.float64) * self.samplerate
                result[channels] += self._read(frames[channels], positions) * np.float32(voice.gain)
        return result

    def _sines(self, voice: Voice, line: int) -> list[tuple[Sine, float]]:
        return [
            (Sine(rate_hz, phase + line * voice.spread_turns, self.samplerate), depth_seconds)
            for rate_hz, depth_seconds, phase in voice.sines
        ]


TimeMap = Callable[[float], float]
"""Output frame -> source frame; must not run backwards."""


class Grains(Effect):
    """Short overlapping grains, read at `ratio` times the speed and aligned to one another: pitch apart from time.

    Each grain is centred on the source's own time (or on `time_map`'s), so nothing drifts. Within `search_seconds` it
    slides to where it continues the grain before it best, which keeps tones free of beating; with `scatter_seconds`
    grains are thrown about instead, which makes clouds.
    """

    def __init__(
        self,
        source: Signal,
        *,
        ratio: float,
        grain_seconds: float,
        search_seconds: float = 0.0,
        time_map: TimeMap | None = None,
        scatter_seconds: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__(source)
        self._ratio = ratio
        self._hop = max(8, int(grain_seconds * self.samplerate / 2))
        self._search = int(search_seconds * self.samplerate)
        self._map = time_map
        self._scatter = int(scatter_seconds * self.samplerate)
        self._rng = rng if rng is not None else np.random.default_rng(0)
        self._thin = max(1, self.samplerate // 12_000)
        rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(self._hop) + 0.5) / self._hop)
        self._rise = rise.astype(np.float32)
        self._number = 0
        self._tail = np.zeros((self.channels, self._hop), dtype=np.float32)

    def render(self, start: int) -> Frames:
        if self._number == 0:
            self._tail = self._grain(0)[:, self._hop :]
        done: list[Frames] = []
        for _ in range(max(1, BLOCK_FRAMES // self._hop)):
            self._number += 1
            grain = self._grain(self._number)
            done.append(self._tail * self._rise[::-1] + grain[:, : self._hop] * self._rise)
            self._tail = grain[:, self._hop :]
        return np.concatenate(done, axis=1)

    def _grain(self, number: int) -> Frames:
        centre = float(number * self._hop)
        if self._map is not None:
            centre = self._map(centre)
        reach = (self._hop + self._search) * self._ratio + self._scatter
        first = int(np.floor(centre - reach)) - 2
        frames = self.source.read(first, int(np.ceil(centre + reach)) + 4)
        if self._scatter:
            centre += float(self._rng.uniform(-self._scatter, self._scatter))
        steps = np.arange(2 * (self._hop + self._search), dtype=np.float64) - (self._hop + self._search)
        wide = read_at(frames, centre - first + steps * self._ratio)
        offset = self._best_offset(wide) if self._search and number else self._search
        return wide[:, offset : offset + 2 * self._hop]

    def _best_offset(self, wide: Frames) -> int:
        """Where in `wide` the grain before goes on: the highest normalised correlation, thinned out to some 12 kHz."""
        thin = self._thin
        goal = _thinned(self._tail, thin)
        field = _thinned(wide[:, : self._hop + 2 * self._search], thin)
        size = 1 << (len(field) - 1).bit_length()
        match = np.fft.irfft(np.fft.rfft(field, size) * np.conj(np.fft.rfft(goal, size)), size)[
            : len(field) - len(goal) + 1
        ]
        energy = np.concatenate(([0.0], np.cumsum(np.square(field, dtype=np.float64))))
        local = energy[len(goal) :] - energy[: -len(goal)]
        if local.max() <= 1e-12:
            return self._search
        score = match / np.sqrt(local + 1e-6 * local.max())
        return min(int(np.argmax(score)) * thin, 2 * self._search)


def _thinned(frames: Frames, step: int) -> Frames:
    """The sum of all channels with every `step` frames averaged into one, `(frames // step,)`."""
    count = frames.shape[1] // step
    result: Frames = frames[:, : count * step].sum(axis=0).reshape(count, step).mean(axis=1)
    return result


@dataclass(frozen=True)
class Piece:
    """A stretch of output and where it is read from, all in frames from the start of its phrase.

    `speed` 1 is as it was, negative is backwards, 0.5 is half speed; `end_speed`, if given, is reached evenly at the
    end (a tape being stopped). `rise_frames` is a slow fade-in beyond the few milliseconds that every join gets.
    """

    start: int
    frames: int
    source: float
    speed: float = 1.0
    gain: float = 1.0
    end_speed: float | None = None
    rise_frames: int = 0


Pattern = Callable[[int, int], Sequence[Piece]]
"""(number of the phrase, its frames) -> pieces that cover it in order."""


class Slices(Effect):
    """Re-cuts the clip phrase by phrase; pieces read only from their own phrase and cross-fade into one another.

    A piece that goes on where the one before ended is joined without a trace, so an untouched phrase stays as it was.
    """

    JOIN_SECONDS = 0.004

    def __init__(self, source: Signal, *, phrase_frames: float, clip_frames: int, pattern: Pattern) -> None:
        super().__init__(source)
        self._clip_frames = clip_frames
        self._phrase_frames = max(phrase_frames, 64.0)
        self._pattern = pattern
        self._join = max(1, min(int(self.JOIN_SECONDS * self.samplerate), int(self._phrase_frames) // 16))
        self._number = 0
        self._carry = np.zeros((self.channels, self._join), dtype=np.float32)

    def render(self, start: int) -> Frames:
        join = self._join
        first, last = round(self._number * self._phrase_frames), round((self._number + 1) * self._phrase_frames)
        if first < self._clip_frames:
            last = min(
                last, self._clip_frames
            )  # The last phrase ends with the clip: there is nothing behind it to turn round.
        frames = last - first
        margin = join + 4
        source = self.source.read(first - margin, last + margin)
        result = np.zeros((self.channels, frames + join), dtype=np.float32)
        result[:, :join] += self._carry
        up = ((np.arange(join) + 0.5) / join).astype(np.float32)
        for piece in self._pattern(self._number, frames):
            if piece.frames < 1:
                continue
            length = piece.frames + join
            steps = np.arange(length, dtype=np.float64)
            if piece.end_speed is None:
                travel = piece.speed * steps
            else:
                travel = piece.speed * steps + (piece.end_speed - piece.speed) * steps**2 / (2 * piece.frames)
                travel[piece.frames :] = travel[piece.frames - 1]
            positions = np.clip(margin + piece.source + travel, 1, source.shape[1] - 3)
            cut = read_at(source, positions) * np.float32(piece.gain)
            if piece.rise_frames > join:
                rise = min(piece.rise_frames, piece.frames)
                cut[:, :rise] *= np.linspace(0, 1, rise, dtype=np.float32) ** 2
            if self._number or piece.start:
                cut[:, :join] *= up
            cut[:, -join:] *= up[::-1]
            result[:, piece.start : piece.start + length] += cut
        self._number += 1
        self._carry = result[:, frames:]
        return result[:, :frames]
