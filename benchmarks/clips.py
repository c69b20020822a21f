"""The clips to be measured with: the demo's house loop, repeated to any length, written in blocks.

Real music rather than noise, so that meters and resamplers have what they have in life; no two clips are alike.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from bridge.audio.demo_clip import SAMPLERATE, demo_clip

MARK_STEP: Final = 2.0**-12  # of full scale: a clip's number is written into its first samples, far below hearing


def write_clip(path: Path, seconds: float, *, subtype: str = "PCM_24") -> None:
    """Writes `seconds` of music at 48 kHz, stereo, to `path`. Memory does not grow with the length."""
    loop = demo_clip()
    left = round(seconds * SAMPLERATE)
    with soundfile.SoundFile(path, "w", SAMPLERATE, 2, subtype) as file:
        while left > 0:
            file.write(loop[:left])
            left -= min(left, len(loop))


def write_many(folder: Path, count: int, seconds: float, *, subtype: str) -> list[Path]:
    """Writes `count` clips that differ in their first samples only."""
    folder.mkdir(parents=True, exist_ok=True)
    pattern = folder / "pattern.wav"
    write_clip(pattern, seconds, subtype=subtype)
    paths = []
    for number in range(count):
        path = folder / f"clip {number:04}.wav"
        shutil.copyfile(pattern, path)
        with soundfile.SoundFile(path, "r+") as file:
            bits = np.array([number >> bit & 1 for bit in range(16)], np.float64) * MARK_STEP
            file.seek(0)
            file.write(np.stack([bits, -bits], axis=1))
        paths.append(path)
    pattern.unlink()
    return paths
