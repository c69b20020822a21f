"""Makes what came back fit the clip's hole: length, rate, channels, sample format and loudness of the take.

Where the take goes and under which name is left to delivery; the path it is written to is the caller's choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Self, TypedDict

import numpy as np

from bridge.audio.blocks import (
    BITS,
    BLOCK_FRAMES,
    DITHER_SEED,
    OVER_FULL_SCALE,
    Behind,
    Block,
    ahead,
    go_to,
    opened,
    peak_of,
    read_blocks,
    with_channels,
    working_dtype,
)
from bridge.audio.container import check_whole, shown
from bridge.audio.loudness import MIN_LUFS_SECONDS, Loudness, Meter
from bridge.audio.resample import resample, rounding_frames
from bridge.audio.writers import WavWriter, writing
from bridge.errors import ClipError, SourceUnfinished

# The contract's ceiling for the true peak of a take whose source was not louder itself.
CEILING_DBTP: Final = -1.0
# A result that is too long or too short ends with a fade of this length, so that it does not click.
FADE_SECONDS: Final = 0.005
# By how much a result may be too short and still be filled up with silence: the larger of the two.
MISSING_SHARE: Final = 0.02
MISSING_SECONDS: Final = 0.01
# Nothing above this is digital silence: one step of 16 bits is -90 dBFS.
SILENCE_PEAK: Final = 10 ** (-100 / 20)
# A gain that nobody hears is not worth touching every sample for.
LEAST_GAIN_DB: Final = 0.01
# From which change on the untouched take is kept too (the contract's "more than 1 dB").
RAW_FROM_DB: Final = 1.0
_HINT: Final = "Try once more, or with another provider or prompt."


class Match(TypedDict):
    """What the source measured: the take is brought to it."""

    lufs: float | None
    rms_dbfs: float | None
    true_peak_dbtp: float | None
    source_silent: bool


@dataclass(frozen=True)
class Target:
    """The hole that a take must fit: `frames` at `samplerate`, written as WAV in `subtype`."""

    frames: int
    samplerate: int
    channels: int
    subtype: str


@dataclass(frozen=True)
class Written:
    """A file that was written: its hash, its bytes, and the largest sample that was asked of it (linear, over 1.0 =
    clipped).
    """

    sha256: str
    bytes: int
    peak: float


@dataclass(frozen=True)
class Conformed:
    """A take. `lufs` and `true_peak_dbtp` are None where nothing was measured; `gain_db` is what it was turned up or
    down by.
    """

    frames: int
    samplerate: int
    channels: int
    subtype: str
    lufs: float | None
    true_peak_dbtp: float | None
    gain_db: float
    sha256: str
    bytes: int
    notes: list[str] = field(default_factory=list)
    raw_written: bool = False

    @classmethod
    def of(
        cls,
        target: Target,
        written: Written,
        *,
        loudness: Loudness | None = None,
        gain_db: float = 0.0,
        notes: list[str] | None = None,
        raw_written: bool = False,
    ) -> Self:
        """The take of `target` that was `written`; `loudness` is the take's own, after the gain."""
        return cls(
            frames=target.frames,
            samplerate=target.samplerate,
            channels=target.channels,
            subtype=target.subtype,
            lufs=loudness.lufs if loudness else None,
            true_peak_dbtp=loudness.true_peak_dbtp if loudness else None,
            gain_db=gain_db,
            sha256=written.sha256,
            bytes=written.bytes,
            notes=notes or [],
            raw_written=raw_written,
        )


def conform(
    result_path: str,
    take_path: str,
    *,
    frames: int,
    samplerate: int,
    channels: int,
    subtype: str,
    result_offset_frames: int = 0,
    result_gain_db: float = 0.0,
    match: Match | None = None,
    raw_path: str | None = None,
) -> Conformed:
    """Writes the take: exactly `frames` frames at `samplerate`, as WAV in `subtype`, durable when this returns.

    `result_offset_frames`, counted at the result's own rate, is left off at the result's start (below 0: silence is
    put before). `result_gain_db` takes back what the clip was turned down by for sending.

    With `match` the take is brought to the source's loudness (ITU-R BS.1770-4; by RMS below 0.4 s), and kept below the
    source's true peak or -1 dBTP, whichever is higher; if that changed more than 1 dB and `raw_path` is given, the take
    as it was lies there. Without `match` nothing is measured and one pass suffices.

    Raises `ClipError` `bad_result` (undecodable, no sound, much too short, no numbers), `disk_full` or
    `delivery_failed`; then neither file remains.
    """
    target = Target(frames, samplerate, channels, subtype)
    result = _Result(result_path, target, result_offset_frames, result_gain_db)
    integer = subtype in BITS
    with writing(take_path, raw_path):
        if match is None:
            gain_db, loudness, notes = 0.0, None, list[str]()
            written = write_take(result.blocks(), take_path, target, dither=result.needs_dither)
            if integer and written.peak > OVER_FULL_SCALE:
                gain_db = -_db(written.peak)
                notes.append(turned_down(gain_db))
                written = write_take(result.blocks(), take_path, target, gain_db=gain_db, dither=True)
            return Conformed.of(target, written, gain_db=gain_db, notes=[*result.notes, *notes])
        meter, peak = _measured(result, target)
        if peak <= SILENCE_PEAK and not match["source_silent"]:
            raise bad_result(f"{shown(result_path)} came back silent, but the clip was not.")
        gain_db, notes = _gain(match, meter, target, peak)
        loudness = meter.finish().turned(gain_db, meter.lufs_after(gain_db))
        written = write_take(
            result.blocks(), take_path, target, gain_db=gain_db, dither=bool(gain_db) or result.needs_dither
        )
        keep_raw = raw_path is not None and abs(gain_db) > RAW_FROM_DB
        if raw_path is not None and keep_raw:
            raw_gain_db = min(0.0, -_db(peak)) if integer and peak > 0 else 0.0
            write_take(
                result.blocks(), raw_path, target, gain_db=raw_gain_db, dither=bool(raw_gain_db) or result.needs_dither
            )
        return Conformed.of(
            target, written, loudness=loudness, gain_db=gain_db, notes=[*result.notes, *notes], raw_written=keep_raw
        )


def write_take(
    blocks: Iterable[Block], path: str, target: Target, *, gain_db: float = 0.0, dither: bool = False
) -> Written:
    """Writes the blocks, in all `target.frames`, to a durable WAV file at `path`.

    With `dither` the rounding to 16 or 8 bits is masked by noise. Raises `ClipError` `bad_result` for samples that
    are no numbers, and `OSError`.
    """
    noise = np.random.default_rng(DITHER_SEED) if dither and BITS.get(target.subtype, 32) <= 16 else None
    gain = 10 ** (gain_db / 20)
    peak = 0.0
    writer = WavWriter(
        path,
        samplerate=target.samplerate,
        channels=target.channels,
        subtype=target.subtype,
        frames=target.frames,
        hashed=True,
    )

    def keep(block: Block) -> None:
        nonlocal peak
        if gain_db:
            block = block * block.dtype.type(gain)
        peak = max(peak, _finite_peak(block))
        writer.write(block, noise)

    with writer, Behind() as behind:
        for block in blocks:
            behind.do(keep, block)
    return Written(writer.sha256(), writer.bytes, peak)


def turned_down(gain_db: float) -> str:
    """The note for a take whose peaks its sample format could not hold."""
    by = f"{-gain_db:.1f} dB" if gain_db <= -0.05 else "less than 0.1 dB"
    return f"Turned down by {by}, since its peaks were over full scale."


def bad_result(message: str) -> ClipError:
    """The error for what a provider gave back and nobody can use."""
    return ClipError("bad_result", message, hint=_HINT)


def _db(linear: float) -> float:
    return 20 * math.log10(linear)


class _Result:
    """What came back, as a stream of blocks in the target's rate, channels and length; streams more than once."""

    def __init__(self, path: str, target: Target, offset_frames: int, gain_db: float) -> None:
        self._path, self._target, self._offset_frames = path, target, offset_frames
        self._dtype, self._gain = working_dtype(target.subtype), 10 ** (gain_db / 20)
        try:
            check_whole(path)
        except SourceUnfinished:
            pass  # sloppy headers are common in what services send; the length decides below
        except ClipError as error:
            raise bad_result(f"What came back cannot be used: {error.message}") from error
        with opened(path, "bad_result", _HINT) as file:
            if file.channels > 2:
                raise bad_result(f"{shown(path)} came back with {file.channels} channels.")
            if not file.frames:
                raise bad_result(f"{shown(path)} came back without any sound in it.")
            self._rate, self._channels = file.samplerate, file.channels
            self._slack_frames = rounding_frames(file.samplerate, target.samplerate)
            on_grid = (
                BITS.get(file.subtype, 64) <= BITS.get(target.subtype, 64) and file.samplerate == target.samplerate
            )
        # samples that need no rounding need no dither either
        self.needs_dither = not on_grid or file.channels > target.channels or gain_db != 0
        self.notes: list[str] = []

    def blocks(self) -> Iterator[Block]:
        """Float blocks, exactly the target's frames. Raises `ClipError` `bad_result`."""
        few = min(self._channels, self._target.channels)
        with opened(self._path, "bad_result", _HINT) as file, ahead(read_blocks(file, None, self._dtype)) as coming:
            go_to(file, max(0, self._offset_frames))
            decoded = self._after_silence(coming)
            narrowed = (with_channels(block, few) for block in decoded)
            resampled = resample(
                narrowed,
                from_rate=self._rate,
                to_rate=self._target.samplerate,
                channels=few,
                dtype=self._dtype,
                wished_frames=self._target.frames,
            )
            self.notes = []
            for block in self._fitted(resampled):
                if self._gain != 1.0:
                    block = block * block.dtype.type(self._gain)
                yield with_channels(block, self._target.channels)

    def _after_silence(self, blocks: Iterator[Block]) -> Iterator[Block]:
        yield from _silence(-self._offset_frames, self._channels, self._dtype)
        yield from blocks

    def _fitted(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Cuts or fills the stream to the target's frames; holds back as much as a fade may still have to change."""
        frames, samplerate = self._target.frames, self._target.samplerate
        fade_frames = math.ceil(FADE_SECONDS * samplerate)
        given, held = 0, np.zeros((0, 0), self._dtype)
        for block in blocks:
            held = np.concatenate((held, block)) if len(held) else block
            if given + len(held) > frames + self._slack_frames:
                self.notes.append(f"What came back was longer than the clip ({self._seconds(None)}); its end was cut.")
                yield _faded(held[: frames - given], fade_frames)
                return
            ready = max(0, len(held) - fade_frames - self._slack_frames)
            if ready:
                yield held[:ready]
                given, held = given + ready, held[ready:]
        missing = frames - given - len(held)
        if not given and not len(held):
            raise bad_result(f"{shown(self._path)} came back without any sound in it.")
        if missing > max(MISSING_SHARE * frames, MISSING_SECONDS * samplerate):
            raise bad_result(f"{shown(self._path)} came back too short: {self._seconds(frames - missing)}.")
        if missing > self._slack_frames:
            self.notes.append(
                f"What came back was shorter than the clip ({self._seconds(frames - missing)}); its end is silence."
            )
            held = _faded(held, fade_frames)
        yield held[: frames - given]
        yield from _silence(missing, held.shape[1], self._dtype)

    def _seconds(self, frames: int | None) -> str:
        clip = f"{self._target.frames / self._target.samplerate:.3f} s"
        return (
            f"the clip has {clip}" if frames is None else f"{frames / self._target.samplerate:.3f} s instead of {clip}"
        )


def _silence(frames: int, channels: int, dtype: str) -> Iterator[Block]:
    for left in range(frames, 0, -BLOCK_FRAMES):
        yield np.zeros((min(left, BLOCK_FRAMES), channels), dtype)


def _faded(block: Block, fade_frames: int) -> Block:
    """A copy whose last `fade_frames` fall to nothing, by half a cosine."""
    count = min(fade_frames, len(block))
    block = block.copy()
    curve = 0.5 + 0.5 * np.cos(np.pi * np.arange(1, count + 1) / count)
    block[len(block) - count :] *= curve[:, None].astype(block.dtype)
    return block


def _finite_peak(block: Block) -> float:
    peak = peak_of(block)
    if not math.isfinite(peak):
        raise bad_result("What came back holds samples that are no numbers (NaN or infinite).")
    return peak


def _measured(result: _Result, target: Target) -> tuple[Meter, float]:
    meter, peak = Meter(target.samplerate, target.channels), 0.0
    with Behind() as behind:
        for block in result.blocks():
            peak = max(peak, _finite_peak(block))
            behind.do(meter.add, block)
    return meter, peak


def _gain(match: Match, meter: Meter, target: Target, peak: float) -> tuple[float, list[str]]:
    """By how many dB the take is turned up or down, and what is to be said about it."""
    loudness = meter.finish()
    room_db = -_db(peak) if target.subtype in BITS and peak > 0 else math.inf
    wished_db = 0.0
    if not match["source_silent"]:
        wished_db = _wished_gain_db(match, meter, loudness, target)
        if abs(wished_db) < LEAST_GAIN_DB:
            wished_db = 0.0
        ceiling_dbtp = max(
            CEILING_DBTP, match["true_peak_dbtp"] if match["true_peak_dbtp"] is not None else CEILING_DBTP
        )
        if loudness.true_peak_dbtp is not None:
            room_db = min(room_db, ceiling_dbtp - loudness.true_peak_dbtp)
    gain_db = min(wished_db, room_db)
    if wished_db - gain_db < LEAST_GAIN_DB:
        return gain_db, []
    if match["source_silent"]:
        return gain_db, [turned_down(gain_db)]
    return gain_db, [f"{wished_db - gain_db:.1f} dB quieter than the source, to keep its peaks below the ceiling."]


def _wished_gain_db(match: Match, meter: Meter, loudness: Loudness, target: Target) -> float:
    long_enough = target.frames >= MIN_LUFS_SECONDS * target.samplerate
    if long_enough and match["lufs"] is not None and loudness.lufs is not None:
        gain_db = match["lufs"] - loudness.lufs
        # The gates do not move with the gain, so near -70 LUFS the first answer is a little off.
        for _ in range(4):
            after = meter.lufs_after(gain_db)
            if after is None:
                break
            gain_db += match["lufs"] - after
        return gain_db
    if match["rms_dbfs"] is not None and loudness.rms_dbfs is not None:
        return match["rms_dbfs"] - loudness.rms_dbfs
    return 0.0
