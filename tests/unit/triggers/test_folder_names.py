"""A file's name says whether it is a clip; what belongs to other programs is never touched."""

from __future__ import annotations

import os

import pytest

from bridge.triggers.folder_names import NAME_LIMIT, is_ours, is_text, kind_of, numbered, readable, with_ending


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("loop.wav", "audio"), ("LOOP.WAV", "audio"), ("loop.aifc", "audio"), ("loop.w64", "audio"), ("loop.opus", "audio"),
        ("dot.", "unnamed"), ("dot.wav.", "audio"), ("two.parts.flac", "audio"), ("two\nlines.wav", "audio"),
        ("loop", "unnamed"), ("song.m4a", "other"), ("notes.txt", "other"), ("loop.wav.bak", "other"),
        (".wav", "untouched"), (".loop.wav", "untouched"), ("loop.wav.asd", "untouched"), ("l.wav.reapeaks", "untouched"),
        ("loop.wav.part", "untouched"), ("loop.tmp", "untouched"), ("Unconfirmed 1.crdownload", "untouched"),
        ("loop.wav.json", "untouched"), ("take.clipbridge.json", "untouched"), ("loop.wav.error.txt", "untouched"),
        ("Thumbs.db", "untouched"), ("desktop.ini", "untouched"), ("Icon\r", "untouched"),
    ],
)  # fmt: skip
def test_what_a_name_promises(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_a_taken_name_gets_its_number_before_the_ending() -> None:
    assert [numbered("loop.wav", number) for number in (1, 2, 13)] == ["loop.wav", "loop (2).wav", "loop (13).wav"]
    assert numbered("loop", 2) == "loop (2)"


@pytest.mark.parametrize("name", ["x" * 251 + ".wav", "ä" * 125 + ".wav", "🎹" * 62 + ".wav"])
def test_numbers_and_reports_fit_beside_the_longest_names(name: str) -> None:
    for longer in (numbered(name, 2), with_ending(name, ".error.txt"), with_ending(numbered(name, 2), ".error.txt")):
        assert len(os.fsencode(longer)) <= NAME_LIMIT
    assert numbered(name, 2).endswith(" (2).wav")


def test_names_that_are_no_text_are_known_and_made_readable() -> None:
    name = os.fsdecode(b"caf\xe9.wav")
    assert (is_text("café.wav"), is_text("🎹.wav"), is_text(name)) == (True, True, os.name == "nt")
    readable(name).encode("utf-8")


def test_our_own_folders_are_known_in_any_writing() -> None:
    assert is_ours("_Done")
    assert is_ours("_failed")
    assert not is_ours("Done")
