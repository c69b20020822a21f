"""Says what an audio file is: container, sample format, rate, channels, length, and how a take of it is written.

It decodes whatever may be cut off without its header telling; bytes and sizes are checked in `container.py` first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import soundfile

from bridge.audio.blocks import lossless_subtype, opened, read_blocks
from bridge.audio.container import check_whole, mp3_promised_frames, shown, unreadable
from bridge.errors import ClipError, SourceUnfinished

MIN_SAMPLERATE: Final = 4_000
MAX_SAMPLERATE: Final = 384_000
MAX_CHANNELS: Final = 2
# libsndfile's mark for "as long as it lasts"; also what a FLAC without a length in its header is given
UNKNOWN_FRAMES: Final = 2**63 - 1
# Encoder delay and padding are at most 4,095 frames each (the LAME tag's two 12-bit fields) and may be cut by the
# decoder.
MP3_SLACK_FRAMES: Final = 2 * 4_095 + 1_152

# What a take of a lossy source is written as (the contract, section 2).
LOSSY_TAKE_SUBTYPE: Final = "PCM_24"


@dataclass(frozen=True)
class Source:
    """An audio file, as far as it matters for taking a clip from it.

    `subtype` is soundfile's name of its sample format, `take_subtype` that of its takes; `frames` is what can really
    be decoded; `time_reference` is the file's own position in its project in frames, where it says so.
    """

    container: str
    subtype: str
    samplerate: int
    channels: int
    frames: int
    lossy: bool
    take_subtype: str
    size_bytes: int
    modified_ns: int
    time_reference: int | None = None


def inspect(path: str) -> Source:
    """What the file at `path` is.

    Raises `ClipError` `source_not_found`, `source_unreadable`, `source_unsupported` (more than two channels, or a
    rate outside 4,000…384,000 Hz), and `SourceUnfinished` where the file looks as if it were still being written.
    """
    container = check_whole(path)
    with opened(path, "source_unreadable", "Export the clip again, then retry.") as file:
        status = Path(path).stat()
        _check_limits(path, file)
        subtype: str = file.subtype
        same_in_wav = lossless_subtype(subtype)
        frames: int = file.frames
        if container == "flac" or not (same_in_wav or subtype in ("ULAW", "ALAW")):
            frames = _decoded_frames(path, file, container)
    if frames == 0:
        raise unreadable(f"{shown(path)} holds no sound: its length is 0.", "Export the clip again, then retry.")
    return Source(
        container=container,
        subtype=subtype,
        samplerate=file.samplerate,
        channels=file.channels,
        frames=frames,
        lossy=same_in_wav is None,
        take_subtype=same_in_wav or LOSSY_TAKE_SUBTYPE,
        size_bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
    )


def _check_limits(path: str, file: soundfile.SoundFile) -> None:
    if not 1 <= file.channels <= MAX_CHANNELS:
        raise ClipError(
            "source_unsupported",
            f"{shown(path)} has {file.channels} channels; clipbridge takes mono and stereo.",
            hint="Export the clip as a stereo or mono file.",
        )
    if not MIN_SAMPLERATE <= file.samplerate <= MAX_SAMPLERATE:
        raise ClipError(
            "source_unsupported",
            f"{shown(path)} has a sample rate of {file.samplerate:,} Hz; "
            f"clipbridge takes {MIN_SAMPLERATE:,} to {MAX_SAMPLERATE:,} Hz.",
            hint="Export the clip at 44,100 or 48,000 Hz.",
        )


def _decoded_frames(path: str, file: soundfile.SoundFile, container: str) -> int:
    """Decodes everything once and counts. Raises `SourceUnfinished` where less comes out than the header promises."""
    promised = file.frames if container == "flac" and file.frames < UNKNOWN_FRAMES else 0
    if container == "mp3":
        # libsndfile's own length is an estimate where there is no such header
        promised = max(0, (mp3_promised_frames(path) or 0) - MP3_SLACK_FRAMES)
    frames = 0
    try:
        for block in read_blocks(file, None, "float32"):
            frames += len(block)
    except soundfile.SoundFileError as error:
        if container == "flac":  # this is how a FLAC that was cut within a frame ends
            raise _ends_early(path, frames, promised) from error
        raise
    if frames < promised:
        raise _ends_early(path, frames, promised)
    return frames


def _ends_early(path: str, frames: int, promised: int) -> SourceUnfinished:
    expected = f"{promised:,} frames that its header promises" if promised else "end that its header promises"
    return SourceUnfinished(
        f"{shown(path)} looks unfinished: its sound breaks off after {frames:,} frames, before the {expected}."
    )
