"""A take's name: a person can read it, and every system can write it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.pipeline.names import CLIP_MAX_BYTES, PRESET_MAX_BYTES, safe, take_stem

FORBIDDEN = set('<>:"/\\|?*') | {chr(code) for code in range(32)} | {"\x7f"}
FILE_NAME_MAX_BYTES = 255


def test_a_take_is_called_after_its_clip_and_preset() -> None:
    assert take_stem("Loop 90", "lo-fi-tape", 1) == "Loop 90 [lo-fi-tape]"
    assert take_stem("Loop 90", "lo-fi-tape", 2) == "Loop 90 [lo-fi-tape] take 2"


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("drums 🥁 über", "drums 🥁 über"),
        ("a/b\\c:d", "a b c d"),
        ("line\nbreak\ttab", "line break tab"),
        ("  dots and spaces. . ", "dots and spaces"),
        ("...", "clip"),
        ("", "clip"),
        ("?*", "clip"),
        (".hidden", "hidden"),
        ("CON", "_CON"),
        ("aux.wav", "_aux.wav"),
        ("com1", "_com1"),
        ("lpt²", "_lpt²"),
        ("console", "console"),
        ("e\u0301", "é"),
        ("x" * 300, "x" * 150),
        ("half \udcff a character", "half a character"),
    ],
)
def test_what_a_file_system_refuses_is_left_out(name: str, made: str) -> None:
    assert safe(name, CLIP_MAX_BYTES) == made


def test_a_long_name_is_never_cut_within_a_letter() -> None:
    made = safe("é" * 200, 151)
    assert made == "é" * 75


@settings(deadline=None)
@given(st.text(max_size=400), st.text(max_size=100), st.integers(1, 9_999))
def test_any_name_makes_one_that_every_system_can_write(clip: str, preset: str, number: int) -> None:
    stem = take_stem(clip, preset, number)
    hidden_side_file = f".{stem}.clipbridge.json.12345678.tmp"
    assert len(hidden_side_file.encode()) <= FILE_NAME_MAX_BYTES
    assert not FORBIDDEN & set(stem)
    assert stem == stem.strip(" .")
    assert "\n" not in stem


@settings(deadline=None)
@given(st.text(max_size=400))
def test_a_part_of_a_name_is_never_empty_nor_too_long(text: str) -> None:
    for most in (PRESET_MAX_BYTES, CLIP_MAX_BYTES):
        made = safe(text, most)
        assert made
        assert len(made.encode()) <= most
        assert made.split(".")[0].rstrip().lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}
        assert safe(made, most) == made


@pytest.mark.parametrize("text", ["con." + "x" * 200, "nul " + "." * 200 + "x", "COM7." + "é" * 100, "con" + " " * 200])
def test_a_reserved_word_in_front_of_a_long_name_is_no_way_round(text: str) -> None:
    made = safe(text, CLIP_MAX_BYTES)
    assert len(made.encode()) <= CLIP_MAX_BYTES
    assert made.split(".")[0].rstrip().lower() not in {"con", "nul", "com7"}
