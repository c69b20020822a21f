"""What a take is called: a name that a person can read and that every system can write."""

from __future__ import annotations

import re
import unicodedata

CLIP_MAX_BYTES = (
    150  # with the preset, the take's number and ".clipbridge.json" a name stays below the 255 bytes of a file system
)
PRESET_MAX_BYTES = 50
# what Windows refuses in names, besides control characters and halves of characters, which nobody can read
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


def safe(text: str, max_bytes: int) -> str:
    """`text` as part of a file name on Windows, macOS and Linux: never empty, never longer than `max_bytes` in UTF-8."""
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"\s+", " ", _UNSAFE.sub(" ", text)).strip(" .")
    if _RESERVED.match(text):
        text = f"_{text}"
    while len(text.encode()) > max_bytes:
        text = text[:-1].rstrip(" .")
    return text or "clip"


def take_stem(clip: str, preset: str, number: int) -> str:
    """`<clip> [<preset>]` for the first, `<clip> [<preset>] take 2` and so on for the others; without an ending."""
    stem = f"{safe(clip, CLIP_MAX_BYTES)} [{safe(preset, PRESET_MAX_BYTES)}]"
    return stem if number == 1 else f"{stem} take {number}"
