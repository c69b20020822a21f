"""Takes a region out of a source: its snapshot, bit for bit, and the file to be sent, both in one pass over the source.

It also makes the take of strength 0, which is the snapshot's region once more. What a service wants to be sent, and
when, is left to the pipeline.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

import numpy as np
import soundfile

from bridge.audio.blocks import (
    BLOCK_FRAMES,
    FLOATS,
    OVER_FULL_SCALE,
    Behind,
    Block,
    ahead,
    as_float,
    exact_dtype,
    go_to,
    lossless_subtype,
    opened,
    packed,
    peak_of,
    read_blocks,
    with_channels,
    working_dtype,
)
from bridge.audio.conform import Conformed, Target, turned_down, write_take
from bridge.audio.container import check_whole, shown, unreadable
from bridge.audio.resample import resample, resampled_frames
from bridge.audio.writers import Encoder, WavWriter, writing
from bridge.errors import ClipError, SourceUnfinished

# The contract's "up to 50 ms either side".
MARGIN_SECONDS: Final = 0.05


class Sent(TypedDict):
    """What the file to be sent must be. None = as the source; the file is filled up with silence to `min_seconds`."""

    container: str  # "wav", "flac" or "mp3"
    subtype: str  # "PCM_16", "PCM_24" or "FLOAT"; no matter for mp3
    samplerate: int | None
    channels: int | None
    min_seconds: float


@dataclass(frozen=True)
class Cut:
    """A region that was cut out.

    The snapshot holds `lead_frames`, then the region's `frames`, then `tail_frames`. `frames_sha256` is over the
    region's samples, their format, rate and channels, and so the same wherever the region lies. `peak` is the
    region's largest sample, linear. Of the sent file, everything is 0 where none was asked for; `sent_gain_db` is
    below 0 where it was turned down because its sample format would have clipped it; `conform` can take that back.
    """

    frames: int
    lead_frames: int
    tail_frames: int
    samplerate: int
    channels: int
    subtype: str
    frames_sha256: str
    sent_frames: int
    sent_samplerate: int
    sent_channels: int
    sent_bytes: int
    sent_gain_db: float
    peak: float


def cut(
    path: str,
    start_frame: int,
    end_frame: int,
    snapshot_path: str,
    sent_path: str | None = None,
    sent: Sent | None = None,
) -> Cut:
    """Cuts frames `start_frame` to `end_frame` (half open) out of the file at `path`.

    Writes the snapshot and, if `sent` is given, the file to be sent; both are durable when this returns.

    Raises `ClipError` `region_out_of_range`, `source_not_found`, `source_unreadable` (also for samples that are no
    numbers), `disk_full`, and `SourceUnfinished` where the file ends early or changes while it is read. Then neither
    file remains.
    """
    check_whole(path)
    before = _stamp(path)
    with (
        writing(snapshot_path, sent_path),
        opened(path, "source_unreadable", "Export the clip again, then retry.") as file,
    ):
        lossless = lossless_subtype(file.subtype) is not None
        if not 0 <= start_frame < end_frame or (lossless and end_frame > file.frames):
            raise _out_of_range(path, start_frame, end_frame, file.frames)
        region = _Region(path, file, start_frame, end_frame, snapshot_path)
        sender = None if sent is None or sent_path is None else _Sender(sent_path, sent, file, end_frame - start_frame)
        with closing(region.blocks(sender.dtype if sender else None)) as blocks:
            if sender is not None:
                sender.send(blocks)
            for _ in blocks:
                pass
        if sender is not None and sender.clipped_by:
            _send_again(sender, snapshot_path, region)
        if _stamp(path) != before:
            raise SourceUnfinished(f"{shown(path)} was changed while the region was cut out of it.")
        return Cut(
            frames=region.frames,
            lead_frames=region.lead_frames,
            tail_frames=region.tail_frames,
            samplerate=file.samplerate,
            channels=file.channels,
            subtype=region.subtype,
            frames_sha256=region.hash.hexdigest(),
            sent_frames=sender.frames if sender else 0,
            sent_samplerate=sender.samplerate if sender else 0,
            sent_channels=sender.channels if sender else 0,
            sent_bytes=Path(sent_path).stat().st_size if sender and sent_path else 0,
            sent_gain_db=20 * math.log10(sender.gain) if sender else 0.0,
            peak=region.peak,
        )


def copy_region(
    snapshot_path: str, lead_frames: int, frames: int, take_path: str, subtype: str, channels: int | None = None
) -> Conformed:
    """The take of strength 0: the snapshot's region, bit for bit; rounded to `subtype` only where the source was lossy.

    `channels` other than the snapshot's doubles mono, or makes (L+R)/2 of stereo.

    Raises `ClipError` `source_unreadable` or `disk_full`; then no take remains.
    """
    with writing(take_path), opened(snapshot_path, "source_unreadable", "Retry the job.") as file:
        target = Target(frames, file.samplerate, channels or file.channels, subtype)

        def blocks(dtype: str) -> Iterator[Block]:
            file.seek(lead_frames)
            return (with_channels(block, target.channels) for block in read_blocks(file, frames, dtype))

        if file.subtype == subtype and file.channels <= target.channels:
            written = write_take(blocks(exact_dtype(subtype)), take_path, target)
            return Conformed.of(target, written)
        written = write_take(blocks(working_dtype(subtype)), take_path, target)
        if written.peak <= OVER_FULL_SCALE or subtype in FLOATS:
            return Conformed.of(target, written)
        gain_db = -20 * math.log10(written.peak)
        written = write_take(blocks(working_dtype(subtype)), take_path, target, gain_db=gain_db)
        return Conformed.of(target, written, gain_db=gain_db, notes=[turned_down(gain_db)])


class _Region:
    """Reads the region once; writes and hashes it behind the reader's back."""

    def __init__(self, path: str, file: soundfile.SoundFile, start: int, end: int, snapshot_path: str) -> None:
        self.subtype = lossless_subtype(file.subtype) or "FLOAT"
        self.frames, self.tail_frames, self.peak = end - start, 0, 0.0
        self.hash = hashlib.sha256(f"{self.subtype} {file.samplerate} {file.channels}\n".encode())
        margin = math.floor(MARGIN_SECONDS * file.samplerate)
        self.lead_frames = min(margin, start)
        self._start, self._tail_wanted = start, min(margin, max(0, file.frames - end))
        self._path, self._file, self._snapshot_path = path, file, snapshot_path

    def blocks(self, dtype: str | None) -> Generator[Block, None, None]:
        """The region's blocks as floats of `dtype`, or as they were read if nobody needs them."""
        file, read_as = self._file, exact_dtype(self.subtype)
        go_to(file, self._start - self.lead_frames)
        writer = WavWriter(
            self._snapshot_path,
            samplerate=file.samplerate,
            channels=file.channels,
            subtype=self.subtype,
            frames=self.lead_frames + self.frames + self._tail_wanted,
        )
        with ExitStack() as stack:
            stack.enter_context(writer)
            behind = stack.enter_context(Behind())
            for block in read_blocks(file, self.lead_frames, read_as):
                writer.write(_numbers(block))
            done = 0
            region = stack.enter_context(ahead(read_blocks(file, self.frames, read_as)))
            for block in region:
                peak = peak_of(block)
                if not math.isfinite(peak):
                    raise unreadable(
                        f"{shown(self._path)} holds samples that are no numbers (NaN or infinite).",
                        "Export the clip again.",
                    )
                self.peak = max(self.peak, peak)
                behind.do(self._keep, writer, block)
                done += len(block)
                yield block if dtype is None else as_float(block, dtype)
            if done < self.frames:
                raise SourceUnfinished(
                    f"{shown(self._path)} ends {self.frames - done:,} frames before the region's end."
                )
            behind.wait()
            for block in read_blocks(file, self._tail_wanted, read_as):
                writer.write(_numbers(block))
                self.tail_frames += len(block)

    def _keep(self, writer: WavWriter, block: Block) -> None:
        data = packed(block, self.subtype)
        self.hash.update(data.data)
        writer.write_packed(data, len(block))


def _numbers(block: Block) -> Block:
    """A block of the margins: what is no number there is made silent, since only the region must be sound."""
    return block if math.isfinite(peak_of(block)) else np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)


class _Sender:
    """Writes the file to be sent from the region's blocks."""

    def __init__(self, path: str, sent: Sent, file: soundfile.SoundFile, frames: int) -> None:
        self._path, self._container, self._subtype = path, sent["container"], sent["subtype"]
        self._from_rate, self._from_channels = file.samplerate, file.channels
        self.samplerate = sent["samplerate"] or file.samplerate
        self.channels = sent["channels"] or file.channels
        self.dtype = working_dtype(self._subtype)
        self.gain, self.clipped_by = 1.0, 0.0
        self._clip_frames = resampled_frames(frames, file.samplerate, self.samplerate)
        self.frames = max(self._clip_frames, math.ceil(sent["min_seconds"] * self.samplerate))

    def send(self, blocks: Iterator[Block], gain: float = 1.0) -> None:
        """Writes the file; `clipped_by` is then by what factor its sample format was too small, 0 if it was not."""
        # Fewer channels before resampling and more after it: the resampler then has the least to do.
        few = min(self._from_channels, self.channels)
        narrowed = (with_channels(block, few) for block in blocks)
        resampled = resample(
            narrowed,
            from_rate=self._from_rate,
            to_rate=self.samplerate,
            channels=few,
            dtype=self.dtype,
            wished_frames=self._clip_frames,
        )
        self.gain, peak = gain, 0.0
        with ExitStack() as stack:
            put = self._writer(stack)
            behind = stack.enter_context(Behind())
            for block in resampled:
                if gain != 1.0:
                    block = block * block.dtype.type(gain)
                peak = max(peak, peak_of(block))
                behind.do(put, with_channels(block, self.channels))
            for missing in range(self.frames - self._clip_frames, 0, -BLOCK_FRAMES):
                behind.do(put, np.zeros((min(missing, BLOCK_FRAMES), self.channels), self.dtype))
        integer = self._container != "wav" or self._subtype not in FLOATS
        self.clipped_by = peak if integer and peak > OVER_FULL_SCALE else 0.0

    def _writer(self, stack: ExitStack) -> Callable[[Block], None]:
        if self._container == "wav":
            return stack.enter_context(
                WavWriter(
                    self._path,
                    samplerate=self.samplerate,
                    channels=self.channels,
                    subtype=self._subtype,
                    frames=self.frames,
                )
            ).write
        return stack.enter_context(
            Encoder(
                self._path,
                samplerate=self.samplerate,
                channels=self.channels,
                container=self._container,
                subtype=self._subtype,
            )
        ).encode


def _send_again(sender: _Sender, snapshot_path: str, region: _Region) -> None:
    """Once more from the snapshot, turned down as far as the sent file's sample format demands."""
    with opened(snapshot_path, "source_unreadable", "Retry the job.") as snapshot:
        snapshot.seek(region.lead_frames)
        sender.send(read_blocks(snapshot, region.frames, sender.dtype), gain=1 / sender.clipped_by)


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise ClipError(
            "source_not_found", f"{shown(path)} vanished while it was read.", hint="Put the file back, then retry."
        ) from error
    return status.st_size, status.st_mtime_ns


def _out_of_range(path: str, start: int, end: int, frames: int) -> ClipError:
    if start < 0 or end <= start:
        message = f"The region from frame {start:,} to {end:,} of {shown(path)} has no length."
    else:
        message = (
            f"The region from frame {start:,} to {end:,} reaches beyond {shown(path)}, which has {frames:,} frames."
        )
    return ClipError("region_out_of_range", message, hint="Choose a region inside the file.")
