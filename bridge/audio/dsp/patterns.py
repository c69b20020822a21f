"""Patterns for `pitch_time.Slices`: how a phrase is re-cut, drawn phrase by phrase from a seed.

Every maker takes (seed, intensity) and gives a function of the phrase's number and length, so that a phrase's pattern
does not depend on what was asked before. When phrases begin is left to `effects`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from bridge.audio.dsp.pitch_time import Pattern, Piece

Maker = Callable[[int, float], Pattern]


def _edges(frames: int, count: int) -> list[tuple[int, int]]:
    """Cut `frames` into `count` even pieces: (start, length) each."""
    cuts = [round(frames * k / count) for k in range(count + 1)]
    return [(a, b - a) for a, b in pairwise(cuts)]


def _phrase_rng(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng((seed, number))


def reverse(seed: int, intensity: float) -> Pattern:
    """The phrase backwards; now and then in two halves, each backwards."""

    def pattern(number: int, frames: int) -> Sequence[Piece]:
        parts = int(_phrase_rng(seed, number).choice([1, 1, 2]))
        return [Piece(start, length, start + length - 1, speed=-1.0) for start, length in _edges(frames, parts)]

    return pattern


def stutter(seed: int, intensity: float) -> Pattern:
    """Parts of the phrase caught and repeated two to eight times, at times getting quieter."""

    def pattern(number: int, frames: int) -> Sequence[Piece]:
        rng = _phrase_rng(seed, number)
        pieces: list[Piece] = []
        for start, length in _edges(frames, 4):
            times = int(rng.choice([1, 2, 3, 4, 8], p=[0.22, 0.26, 0.2, 0.2, 0.12]))
            fading = rng.random() < 0.4
            for repeat, (at, part) in enumerate(_edges(length, times)):
                pieces.append(Piece(start + at, part, start, gain=0.84**repeat if fading else 1.0))
        return pieces

    return pattern


def glitch(seed: int, intensity: float) -> Pattern:
    """Sixteen steps that jump, turn round, repeat, change speed or drop out."""

    def pattern(number: int, frames: int) -> Sequence[Piece]:
        rng = _phrase_rng(seed, number)
        steps = _edges(frames, 16)
        pieces: list[Piece] = []
        for index, (start, length) in enumerate(steps):
            kind = rng.random() / max(0.6, intensity)
            away = steps[int(rng.integers(16))][0]
            if kind < 0.12:
                pieces.append(Piece(start, length, start + length - 1, speed=-1.0))
            elif kind < 0.30:
                pieces.append(Piece(start, length, away))
            elif kind < 0.42:
                times = int(rng.choice([3, 4, 6]))
                pieces += [Piece(start + at, part, start) for at, part in _edges(length, times)]
            elif kind < 0.50:
                pieces.append(Piece(start, length, start, speed=0.5))
            elif kind < 0.57 and index < 14:
                pieces.append(Piece(start, length, start, speed=2.0))
            elif kind < 0.62:
                pieces.append(Piece(start, length, start, gain=0.0))
            else:
                pieces.append(Piece(start, length, start))
        return pieces

    return pattern


def half_time(seed: int, intensity: float) -> Pattern:
    """The first half of the phrase over all of it, an octave lower, as a tape at half speed; which half may change."""

    def pattern(number: int, frames: int) -> Sequence[Piece]:
        second = number > 0 and _phrase_rng(seed, number).random() < 0.25
        return [Piece(0, frames, frames / 2 if second else 0.0, speed=0.5)]

    return pattern


def double_time(seed: int, intensity: float) -> Pattern:
    """The phrase twice, at double speed; now and then one round is turned."""

    def pattern(number: int, frames: int) -> Sequence[Piece]:
        turned = _phrase_rng(seed, number).random() < 0.2
        (first, one), (second, two) = _edges(frames, 2)
        if turned:
            return [Piece(first, one, 0.0, speed=2.0), Piece(second, two, frames - 1.0, speed=-2.0)]
        return [Piece(first, one, 0.0, speed=2.0), Piece(second, two, 0.0, speed=2.0)]

    return pattern


def slowed(seed: int, intensity: float) -> Pattern:
    """Most of the phrase, dragged out over all of it and lower by that much."""
    speed = float(np.random.default_rng(seed).choice([0.75, 0.79, 0.84])) ** min(1.6, intensity)
    return lambda _number, frames: [Piece(0, frames, 0.0, speed=speed)]


def tape_stop(seed: int, intensity: float) -> Pattern:
    """The phrase runs, and towards its end somebody holds the reel; at times it spins up again at its start."""

    def pattern(number: int, frames: int) -> Sequence[Piece]:
        rng = _phrase_rng(seed, number)
        stop = int(frames * rng.choice([0.25, 0.375, 0.5]))
        pieces: list[Piece] = []
        begin = 0
        if number > 0 and rng.random() < 0.4:
            begin = frames // 8
            pieces.append(Piece(0, begin, 0.0, speed=0.15, end_speed=1.85))
        pieces.append(Piece(begin, frames - stop - begin, float(begin)))
        pieces.append(Piece(frames - stop, stop, float(frames - stop), speed=1.0, end_speed=0.0))
        return pieces

    return pattern


def shuffled(seed: int, intensity: float) -> Pattern:
    """Eight steps of the phrase in a new order that keeps the first, as sliced breaks are re-played."""

    def pattern(number: int, frames: int) -> Sequence[Piece]:
        rng = _phrase_rng(seed, number)
        steps = _edges(frames, 8)
        pieces: list[Piece] = []
        for index, (start, length) in enumerate(steps):
            stay = index == 0 or rng.random() < 0.35 / intensity
            pick = steps[index if stay else int(rng.choice([0, 1, 2, 3, 4, 5, 6, 7]))][0]
            if rng.random() < 0.15:
                pieces += [Piece(start + at, part, pick) for at, part in _edges(length, 2)]
            else:
                pieces.append(Piece(start, length, pick))
        return pieces

    return pattern


def chopped(seed: int, intensity: float) -> Pattern:
    """Short notes: each step speaks and is cut off, some stay silent."""

    def pattern(number: int, frames: int) -> Sequence[Piece]:
        rng = _phrase_rng(seed, number)
        pieces: list[Piece] = []
        for index, (start, length) in enumerate(_edges(frames, 8)):
            heard = int(length * rng.choice([0.3, 0.5, 0.7, 1.0], p=[0.25, 0.35, 0.2, 0.2]))
            loud = 0.0 if index and rng.random() < 0.18 else 1.0
            pieces.append(Piece(start, heard, start, gain=loud))
            if heard < length:
                pieces.append(Piece(start + heard, length - heard, start + heard, gain=0.0))
        return pieces

    return pattern


PATTERNS: Final[dict[str, Maker]] = {
    "reverse": reverse,
    "stutter": stutter,
    "glitch": glitch,
    "half_time": half_time,
    "double_time": double_time,
    "slowed": slowed,
    "tape_stop": tape_stop,
    "shuffled": shuffled,
    "chopped": chopped,
}
