"""What a builder of effects may know about the clip and about how far to go; the builders are in the `build_…`
modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bridge.audio.dsp.signal import Frames

Range = tuple[float, float]


@dataclass(frozen=True)
class Setting:
    """What a builder may know: the clip's rate, channels and levels, its beat, and how far the effect is to go.

    `amount` is 1 for the full effect of a plain word, less at lower strength, more with "very" before the word;
    `intensity` is the words' part of it alone. Levels are linear. `memo` keeps what is costly to make twice (rooms).
    """

    samplerate: int
    channels: int
    frames: int
    peak: float
    rms: float
    sounding_rms: float
    beat_seconds: float
    amount: float
    intensity: float
    rng: np.random.Generator
    memo_key: str = ""
    memo: dict[str, Frames] = field(default_factory=dict)

    def draw(self, span: Range) -> float:
        """Draw evenly from `span`."""
        return float(self.rng.uniform(*span))

    def once(self, make: Callable[[], Frames]) -> Frames:
        """Give what `make` makes, made once for this effect of this run."""
        if self.memo_key not in self.memo:
            self.memo[self.memo_key] = make()
        return self.memo[self.memo_key]

    @property
    def beat_frames(self) -> float:
        return self.beat_seconds * self.samplerate

    @property
    def reference(self) -> float:
        """The level that drive and noise are measured against: the peaks of an evenly loud clip, whatever its few
        spikes."""
        return max(1e-6, min(self.peak, 3.0 * self.sounding_rms))
