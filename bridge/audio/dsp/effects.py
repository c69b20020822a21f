"""Every effect by name, with its place in the chain.

`words` says which effects a word of the prompt stands for; the builders are in `build_sound`, `build_motion` and
`build_space`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bridge.audio.dsp import build_motion as motion
from bridge.audio.dsp import build_sound as sound
from bridge.audio.dsp import build_space as space
from bridge.audio.dsp.setting import Setting
from bridge.audio.dsp.signal import Signal

Builder = Callable[..., Signal]

EFFECTS: Final[dict[str, tuple[int, Builder]]] = {
    "slices": (10, motion.slices),
    "swing": (12, motion.swing),
    "pitch": (20, motion.pitch),
    "cloud": (25, motion.cloud),
    "squash": (28, sound.squash),
    "drive": (30, sound.drive),
    "crush": (32, sound.crush),
    "ring": (34, sound.ring),
    "tone": (40, sound.tone),
    "sweep": (44, sound.sweep),
    "wobble": (46, motion.wobble),
    "hiss": (48, sound.hiss),
    "crackle": (48, sound.crackle),
    "chorus": (50, motion.chorus),
    "flanger": (50, motion.flanger),
    "tremolo": (55, motion.tremolo),
    "pan": (56, motion.pan),
    "gate": (57, motion.gate),
    "wide": (58, space.wide),
    "echo": (60, space.echo),
    "swell": (62, space.swell),
    "spring": (68, space.spring),
    "reverb": (70, space.reverb),
    "shimmer": (72, space.shimmer),
    "pump": (80, motion.pump),
}
"""Name -> (place in the chain, builder): time is cut first, rooms come late, and the pump breathes over all of it."""


def build(name: str, source: Signal, setting: Setting, params: dict[str, Any]) -> Signal:
    """Put the effect `name` after `source`."""
    return EFFECTS[name][1](source, setting, **params)
