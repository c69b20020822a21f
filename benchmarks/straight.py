"""The floor: the same conversions as a person's own script would do them, without a daemon, a job or a promise.

Whole files in memory, as 32-bit integers (the fastest of whole or streamed, int32, float32 or float64: nothing is
scaled to floats and back), soxr's own default quality HQ (clipbridge uses VHQ), nothing is synced to disk. It runs in a
process of its own that has everything imported, and is asked by lines; nothing of `bridge` is used.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Final

import soundfile
import soxr

THERE_SAMPLERATE: Final = 44_100


def there_and_back(source: str, folder: Path) -> None:
    """Decodes `source`, takes it to 44.1 kHz, writes, reads, takes it back, writes: both files in `folder`."""
    sent, take = str(folder / "sent.wav"), str(folder / "take.wav")
    clip, samplerate = soundfile.read(source, dtype="int32")
    soundfile.write(sent, soxr.resample(clip, samplerate, THERE_SAMPLERATE), THERE_SAMPLERATE, subtype="PCM_24")
    back, _ = soundfile.read(sent, dtype="int32")
    soundfile.write(take, soxr.resample(back, THERE_SAMPLERATE, samplerate), samplerate, subtype="PCM_24")


def main() -> None:
    """For each line `{"source", "folder"}` one with `{"seconds"}`.

    What was written is removed again, so that no write-back of it runs while the other side is measured.
    """
    for line in sys.stdin:
        asked = json.loads(line)
        folder = Path(asked["folder"])
        began = perf_counter()
        there_and_back(asked["source"], folder)
        seconds = perf_counter() - began
        for file in folder.iterdir():
            file.unlink()
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
