"""Presets: the person's before ours, counting at once, and broken ones told by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.errors import ClipError
from bridge.presets import BUILT_IN, Presets


@pytest.fixture
def presets(tmp_path: Path) -> Presets:
    (tmp_path / "presets").mkdir()
    return Presets(tmp_path / "presets")


def write(presets: Presets, name: str, text: str) -> Path:
    file = presets.user_dir / f"{name}.toml"
    file.write_text(text)
    return file


def refused(presets: Presets, name: str | None) -> str:
    with pytest.raises(ClipError) as caught:
        presets.get(name)
    assert caught.value.code == "bad_request"
    return caught.value.message


def test_every_built_in_preset_can_be_used_and_says_what_it_does(presets: Presets) -> None:
    found, broken = presets.all()
    assert not broken
    assert len(found) >= 12
    assert "default" in presets.names()
    for preset in found:
        assert preset.built_in
        assert preset.description, preset.name
        assert preset.values.get("prompt"), preset.name


def test_a_preset_of_ones_own_goes_before_a_built_in_of_that_name(presets: Presets) -> None:
    write(presets, "default", 'description = "Mine"\nprompt = "my own words"\nstrength = 1\n')
    preset = presets.get(None)
    assert (preset.name, preset.description, preset.built_in) == ("default", "Mine", False)
    assert preset.values == {"prompt": "my own words", "strength": 1}


def test_a_change_counts_at_once(presets: Presets) -> None:
    file = write(presets, "mine", 'prompt = "one"\n')
    assert presets.get("mine").values["prompt"] == "one"
    file.write_text('prompt = "two"\n')
    os.utime(file, ns=(1, 1))  # also where the clock says that the file is older now
    assert presets.get("mine").values["prompt"] == "two"
    file.unlink()
    assert "no preset" in refused(presets, "mine")


def test_an_unknown_name_is_told_with_the_nearest_one(presets: Presets) -> None:
    write(presets, "lo-fi-tape", 'prompt = "tape"\n')
    assert 'did you mean "lo-fi-tape"?' in refused(presets, "lofi-tape")


@pytest.mark.parametrize("name", ["../default", "/etc/passwd", "a\0b", "..", "."])
def test_a_name_is_no_path(presets: Presets, name: str) -> None:
    refused(presets, name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strenght = 0.5\n", 'strenght is an unknown key (did you mean "strength"?)'),
        ("strength = 7\n", "strength"),
        ('source = "/a.wav"\n', "source is an unknown key"),
        ('provider = "nobody"\n', "provider"),
        ("prompt = \n", "cannot be read"),
        ("strength = 7\nfoo = 1\nvariations = 0\n", "foo"),
    ],
)
def test_a_broken_preset_is_told_by_name_and_takes_no_other_along(presets: Presets, text: str, said: str) -> None:
    write(presets, "broken", text)
    write(presets, "whole", 'prompt = "x"\n')
    told = refused(presets, "broken")
    assert "broken.toml" in told
    assert said in told
    found, broken = presets.all()
    assert "whole" in {preset.name for preset in found}
    assert set(broken) == {"broken"}
    assert "broken" in presets.names()


def test_a_file_that_is_no_text_is_broken_too(presets: Presets) -> None:
    (presets.user_dir / "bytes.toml").write_bytes(b'prompt = "\xff"')
    assert "bytes.toml" in refused(presets, "bytes")


def test_hidden_files_are_no_presets(presets: Presets) -> None:
    write(presets, "._mine", 'prompt = "x"\n')
    assert "._mine" not in presets.names()


def test_without_a_folder_of_ones_own_the_built_in_ones_are_there(tmp_path: Path) -> None:
    assert Presets(tmp_path / "nowhere").names() == sorted(path.stem for path in BUILT_IN.glob("*.toml"))


def test_a_preset_saved_by_windows_notepad_is_read(presets: Presets) -> None:
    (presets.user_dir / "windows.toml").write_bytes(b'\xef\xbb\xbfprompt = "tape"\r\n')
    assert presets.get("windows").values == {"prompt": "tape"}
