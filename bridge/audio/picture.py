"""Draws a clip and a take of it, one above the other: waveforms and spectrograms on shared scales, as one PNG.

Both files are read once, in blocks. What is shown is for the eye; levels that count are measured by
`bridge.audio.loudness`. Pillow is imported only when a picture is drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from bridge.errors import ClipError, internal

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

Floats = NDArray[np.floating[Any]]
Colour = tuple[int, int, int]

WIDTH: Final = 1_600
HEIGHT: Final = 900
_LEFT, _RIGHT = 92, 1_488
_COLUMNS: Final = _RIGHT - _LEFT
_PANEL_TOPS: Final = (84, 490)
_WAVE_TOP, _WAVE_HEIGHT = 40, 92
_SPECTRUM_TOP, _SPECTRUM_HEIGHT = 142, 212

_LOW_HZ: Final = 30.0
_RANGE_DB: Final = 78.0
_FREQUENCIES: Final = (
    (50, "50 Hz"), (100, "100"), (200, "200"), (500, "500"), (1_000, "1 kHz"), (2_000, "2"), (5_000, "5"),
    (10_000, "10"), (20_000, "20 kHz"),
)  # fmt: skip
_SILENCE: Final = 1e-12
_BLOCK_FRAMES: Final = 65_536
_WINDOWS: Final = ((0.0, 0.17), (250.0, 0.085), (1_500.0, 0.03))
"""From this frequency on (Hz), windows of this length (s).

Long ones tell low tones apart, short ones show when a hit falls.
"""

_GROUND: Final[Colour] = (13, 15, 22)
_PANEL: Final[Colour] = (20, 23, 33)
_LINE: Final[Colour] = (44, 49, 66)
_TEXT: Final[Colour] = (226, 230, 240)
_FAINT: Final[Colour] = (139, 147, 168)
_WAVES: Final[tuple[tuple[Colour, Colour], ...]] = (((44, 92, 140), (122, 190, 255)), ((140, 84, 34), (255, 184, 104)))
"""For source and take: the colour of peaks and of the louder body within."""
_GRADIENT: Final[tuple[tuple[float, Colour], ...]] = (
    (0.0, (12, 14, 22)),
    (0.18, (22, 33, 66)),
    (0.38, (24, 84, 112)),
    (0.58, (58, 146, 118)),
    (0.78, (206, 190, 92)),
    (0.92, (250, 222, 150)),
    (1.0, (255, 250, 232)),
)
"""From quiet to loud, lighter all the way, so that it also reads in grey."""


@dataclass(frozen=True)
class _Scan:
    """What is drawn of one file: peaks and body by column, band energies `(rows, columns)`, and its facts."""

    name: str
    frames: int
    samplerate: int
    channels: int
    lowest: Floats
    highest: Floats
    body: Floats
    energy: Floats
    peak: float
    rms: float

    @property
    def seconds(self) -> float:
        return self.frames / self.samplerate


def write_comparison(source_path: str, take_path: str, png_path: str, *, title: str) -> None:
    """Draw source and take into `png_path`, 1600 x 900.

    Both have the same time axis (the longer of the two) and the same colours for the same levels. Any length, rate
    and number of channels; memory does not grow with the length.

    Raises `ClipError`: `source_not_found` or `source_unreadable` for either file, `internal` where the PNG cannot be
    written.
    """
    paths = (source_path, take_path)
    facts = [_facts(path) for path in paths]
    seconds = max(frames / samplerate for frames, samplerate in facts)
    top_hz = min(20_000.0, max(samplerate for _, samplerate in facts) / 2)
    rows_hz = np.geomspace(_LOW_HZ, max(top_hz, 4 * _LOW_HZ), _SPECTRUM_HEIGHT + 1)
    scans = [_scan(path, seconds, rows_hz) for path in paths]
    _draw(scans, rows_hz, seconds, png_path, " ".join(title.split()))


# ---------------------------------------------------------------------------------------------------------- reading


def _facts(path: str) -> tuple[int, int]:
    """(frames, samplerate) of a file."""
    with _open(path) as file:
        return max(1, file.frames), file.samplerate


def _open(path: str) -> sf.SoundFile:
    if not Path(path).exists():
        raise ClipError(
            "source_not_found", f"{path} was to be drawn, but there is no such file.", hint="Check its name."
        )
    try:
        return sf.SoundFile(path)
    except (sf.LibsndfileError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, why: Exception) -> ClipError:
    return ClipError(
        "source_unreadable", f"{path} was to be drawn, but it could not be read: {why}", hint="Export it again as WAV."
    )


class _Spectrogram:
    """Gathers band energies column by column while mono frames go by; keeps only what the next column needs."""

    def __init__(self, samplerate: int, centres: Floats, rows_hz: Floats) -> None:
        self._centres = centres.astype(np.int64)
        self._rows_hz = rows_hz
        lengths = [max(32, 2 ** round(math.log2(window_seconds * samplerate))) for _, window_seconds in _WINDOWS]
        windows = [np.hanning(length + 2)[1:-1] for length in lengths]
        self._windows = [
            (window * (2 / math.sqrt(1.5) * len(window) / window.sum())).astype(np.float32) for window in windows
        ]
        self._edges_hz = [(np.arange(length // 2 + 2) - 0.5) * samplerate / length for length in lengths]
        self._recent: list[Floats] = [np.zeros(len(rows_hz) - 1) for _ in lengths]
        # Neighbouring columns of a short clip see nearly the same long window: an eighth of it passes before a new one.
        apart = max(1.0, float(centres[-1] - centres[0]) / max(1, len(centres) - 1))
        self._every = [max(1, int(length / 8 / apart)) if apart > 1 else 1 for length in lengths]
        self._reach = max(lengths) // 2 + 1
        self._kept: Floats = np.zeros(0, dtype=np.float32)
        self._first = 0
        self._done = 0
        self.energy = np.zeros((len(rows_hz) - 1, len(centres)))

    def add(self, mono: Floats) -> None:
        """Take the next frames, `(n,)`."""
        self._kept = np.concatenate((self._kept, mono))
        end = self._first + len(self._kept)
        while self._done < len(self._centres) and self._centres[self._done] + self._reach <= end:
            self._column()
        next_centre = int(self._centres[self._done]) if self._done < len(self._centres) else end
        drop = min(max(0, next_centre - self._reach - self._first), len(self._kept))
        self._kept = self._kept[drop:]
        self._first += drop

    def finish(self) -> None:
        """Draw the columns that reach beyond the end, where silence follows."""
        while self._done < len(self._centres):
            self._column()

    def _column(self) -> None:
        centre = int(self._centres[self._done]) - self._first
        column = self._recent[0]
        for number, (from_hz, _) in enumerate(_WINDOWS):
            if self._done % self._every[number] == 0:
                self._recent[number] = self._bands(centre, number)
            # One window gives way to the next over an octave, so that no seam shows.
            share = np.clip(np.log2(self._rows_hz[:-1] / from_hz) + 0.5, 0, 1) if from_hz else 1.0
            column = column * (1 - share) + self._recent[number] * share
        self.energy[:, self._done] = column
        self._done += 1

    def _bands(self, centre: int, number: int) -> Floats:
        """The energy in each row around `centre`; a sine at full scale gives about 1 in all."""
        window = self._windows[number]
        start = centre - len(window) // 2
        piece = np.zeros(len(window), dtype=np.float32)
        inside = self._kept[max(0, start) : max(0, start + len(window))]
        at = max(0, -start)
        piece[at : at + len(inside)] = inside
        power = np.square(np.abs(np.fft.rfft(piece * window, norm="forward")), dtype=np.float64)
        total = np.concatenate(([0.0], np.cumsum(power)))
        return np.diff(np.interp(self._rows_hz, self._edges_hz[number], total))


class _Waveform:
    """Gathers the lowest and highest value and the energy of each column while frames go by."""

    def __init__(self, frames: int, columns: int) -> None:
        self._first_frames = (np.arange(columns) * frames) // columns
        self._frames = frames
        self._seen = 0
        self.lowest, self.highest = np.full(columns, np.inf), np.full(columns, -np.inf)
        self.squares, self.counts = np.zeros(columns), np.zeros(columns)

    def add(self, block: Floats) -> None:
        """Take the next frames, `(n, channels)`."""
        start, stop = self._seen, self._seen + len(block)
        self._seen = stop
        # A column holds the frames up to the next one's first; in a short file several columns show the same frame.
        firsts = self._first_frames
        lasts = np.maximum(np.append(firsts[1:], self._frames), firsts + 1)
        here = np.flatnonzero((firsts < stop) & (lasts > start))
        for column in here.tolist():
            part = block[max(0, firsts[column] - start) : lasts[column] - start]
            self.lowest[column] = min(self.lowest[column], part.min())
            self.highest[column] = max(self.highest[column], part.max())
            self.squares[column] += float(np.square(part, dtype=np.float64).sum())
            self.counts[column] += part.size


def _scan(path: str, seconds: float, rows_hz: Floats) -> _Scan:
    with _open(path) as file:
        frames, samplerate, channels = max(1, file.frames), file.samplerate, file.channels
        columns = max(1, min(_COLUMNS, round(_COLUMNS * frames / samplerate / seconds)))
        wave = _Waveform(frames, columns)
        picture = _Spectrogram(samplerate, (np.arange(columns) + 0.5) * frames / columns, rows_hz)
        peak, energy, count = 0.0, 0.0, 0
        while len(block := _read(file)):
            block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
            wave.add(block)
            picture.add(block.mean(axis=1))
            peak = max(peak, float(np.abs(block).max()))
            energy += float(np.square(block, dtype=np.float64).sum())
            count += block.size
        picture.finish()
    seen = wave.counts > 0
    return _Scan(
        name=" ".join(Path(path).name.split()),
        frames=frames,
        samplerate=samplerate,
        channels=channels,
        lowest=np.where(seen, wave.lowest, 0.0),
        highest=np.where(seen, wave.highest, 0.0),
        body=np.sqrt(wave.squares / np.maximum(1, wave.counts)),
        energy=picture.energy,
        peak=peak,
        rms=math.sqrt(energy / max(1, count)),
    )


def _read(file: sf.SoundFile) -> Floats:
    try:
        block: Floats = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
    except (sf.LibsndfileError, OSError) as error:
        raise _unreadable(file.name, error) from error
    return block


# ---------------------------------------------------------------------------------------------------------- drawing


def _draw(scans: list[_Scan], rows_hz: Floats, seconds: float, png_path: str, title: str) -> None:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH, HEIGHT), _GROUND)
    draw = ImageDraw.Draw(image)
    draw.text((_LEFT, 26), _short(draw, title, _font(30), _COLUMNS), fill=_TEXT, font=_font(30))
    loudest_db = max(10 * math.log10(max(float(scan.energy.max()), _SILENCE)) for scan in scans)
    top_db = max(-60.0, loudest_db)
    scale = max(0.05, max(scan.peak for scan in scans)) * 1.04
    for scan, top, role, colours in zip(scans, _PANEL_TOPS, ("Clip", "Take"), _WAVES, strict=True):
        _panel_head(draw, scan, top, role, colours[1])
        _waveform(draw, scan, top + _WAVE_TOP, colours, scale)
        heard = (10 * np.log10(np.maximum(scan.energy, _SILENCE)) - top_db) / _RANGE_DB + 1
        levels = np.where(scan.energy > _SILENCE, np.clip(heard, 0, 1), 0.0)
        image.paste(Image.fromarray(_coloured(levels[::-1])), (_LEFT, top + _SPECTRUM_TOP))
        _frame(draw, top + _SPECTRUM_TOP, _SPECTRUM_HEIGHT)
        _frequency_axis(draw, rows_hz, top + _SPECTRUM_TOP)
        _time_axis(draw, seconds, top + _SPECTRUM_TOP + _SPECTRUM_HEIGHT)
        _legend(image, draw, top + _SPECTRUM_TOP)
    try:
        image.save(png_path, format="PNG", optimize=False)
    except OSError as error:
        raise internal(f"The picture {png_path} could not be written: {error}.") from error


def _font(size: int) -> Font:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _short(draw: ImageDraw, text: str, font: Font, width: int) -> str:
    """Shorten `text` in its middle until it fits."""
    if draw.textlength(text, font=font) <= width:
        return text
    keep = len(text)
    while keep > 4:
        keep -= 1
        shortened = f"{text[: keep - keep // 3]}…{text[len(text) - keep // 3 :]}"
        if draw.textlength(shortened, font=font) <= width:
            return shortened
    return text[:4]


def _frame(draw: ImageDraw, top: int, height: int) -> None:
    draw.rectangle((_LEFT - 1, top - 1, _RIGHT, top + height), outline=_LINE)


def _panel_head(draw: ImageDraw, scan: _Scan, top: int, role: str, colour: Colour) -> None:
    draw.rounded_rectangle((_LEFT, top + 9, _LEFT + 12, top + 21), 3, fill=colour)
    draw.text((_LEFT + 22, top + 15), role, fill=colour, font=_font(19), anchor="lm")
    left = _LEFT + 30 + int(draw.textlength(role, font=_font(19)))
    sides = {1: "mono", 2: "stereo"}.get(scan.channels, f"{scan.channels} channels")
    levels = f"peak {_decibels(scan.peak)} · RMS {_decibels(scan.rms)}" if scan.peak else "silent"
    facts = f"{_length(scan.seconds)} · {scan.samplerate / 1000:g} kHz · {sides} · {levels}"
    room = _RIGHT - left - int(draw.textlength(facts, font=_font(16))) - 30
    draw.text((left, top + 15), _short(draw, scan.name, _font(19), room), fill=_TEXT, font=_font(19), anchor="lm")
    draw.text((_RIGHT, top + 15), facts, fill=_FAINT, font=_font(16), anchor="rm")


def _decibels(level: float) -> str:
    return f"{20 * math.log10(max(level, 1e-6)):+.1f} dBFS"


def _length(seconds: float) -> str:
    if seconds >= 120:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.3g} ms"


def _waveform(draw: ImageDraw, scan: _Scan, top: int, colours: tuple[Colour, Colour], scale: float) -> None:
    middle = top + _WAVE_HEIGHT // 2
    draw.rectangle((_LEFT, top, _RIGHT - 1, top + _WAVE_HEIGHT), fill=_PANEL)
    half = _WAVE_HEIGHT / 2 - 2
    for column in range(len(scan.lowest)):
        high, low, body = (float(value[column]) * half / scale for value in (scan.highest, scan.lowest, scan.body))
        x = _LEFT + column
        above, below, body = max(high, 0.5), max(-low, 0.5), max(body, 0.5)
        draw.line((x, middle - above, x, middle + below), fill=colours[0])
        draw.line((x, middle - min(body, above), x, middle + min(body, below)), fill=colours[1])
    _frame(draw, top, _WAVE_HEIGHT + 1)
    top_text = f"{20 * math.log10(scale / 1.04):+.1f} dB"
    draw.text((_LEFT - 10, middle - half + 4), top_text, fill=_FAINT, font=_font(13), anchor="rm")
    draw.text((_LEFT - 10, middle), "0", fill=_FAINT, font=_font(13), anchor="rm")


def _coloured(levels: Floats) -> NDArray[np.uint8]:
    """Colours for levels 0…1, `(rows, columns)` -> `(rows, columns, 3)`."""
    stops = [at for at, _ in _GRADIENT]
    return np.stack(
        [np.interp(levels, stops, [colour[k] for _, colour in _GRADIENT]) for k in range(3)], axis=-1
    ).astype(np.uint8)


def _frequency_axis(draw: ImageDraw, rows_hz: Floats, top: int) -> None:
    low, high = math.log(rows_hz[0]), math.log(rows_hz[-1])
    for hz, text in _FREQUENCIES:
        if hz > rows_hz[-1] * 1.001:
            continue
        y = top + _SPECTRUM_HEIGHT * (1 - (math.log(hz) - low) / (high - low))
        draw.line((_LEFT - 6, y, _LEFT - 2, y), fill=_FAINT)
        draw.text((_LEFT - 10, y), text, fill=_FAINT, font=_font(13), anchor="rm")


def _time_axis(draw: ImageDraw, seconds: float, top: int) -> None:
    unit, size = ("ms", 0.001) if seconds < 0.5 else ("s", 1.0) if seconds < 120 else ("min", 60.0)
    span = seconds / size
    rough = span / 10
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    for number in range(int(span / step + 1e-9) + 1):
        x = _LEFT + (_COLUMNS - 1) * number * step / span
        text = f"{number * step:g}" + (f" {unit}" if number == 0 or (number + 1) * step > span else "")
        draw.line((x, top + 1, x, top + 6), fill=_FAINT)
        draw.text((x, top + 10), text, fill=_FAINT, font=_font(13), anchor="lt" if number == 0 else "mt")


def _legend(image: Image, draw: ImageDraw, top: int) -> None:
    from PIL import Image as Images

    x, width = _RIGHT + 24, 14
    ramp = np.repeat(np.linspace(1, 0, _SPECTRUM_HEIGHT)[:, np.newaxis], width, axis=1)
    image.paste(Images.fromarray(_coloured(ramp)), (x, top))
    draw.rectangle((x - 1, top - 1, x + width, top + _SPECTRUM_HEIGHT), outline=_LINE)
    for below in (0, 20, 40, 60):
        y = top + _SPECTRUM_HEIGHT * below / _RANGE_DB
        text = "loudest" if below == 0 else f"-{below} dB"
        draw.text((x + width + 8, y + (5 if below == 0 else 0)), text, fill=_FAINT, font=_font(13), anchor="lm")
