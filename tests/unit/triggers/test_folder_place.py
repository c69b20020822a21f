"""Which files of a folder count, told alike by a look at everything and by a look at one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bridge.config import Config
from bridge.home import Home
from bridge.triggers.folder import places_of
from bridge.triggers.folder_place import Place, look, scan

PRESETS = ["default", "lo-fi", "loud.wav"]
FILES = [
    "a.wav", "b.txt", "c", ".d.wav", "e.wav.part", "f.wav.json", "_Done/g.wav", "_Failed/h.wav", "lo-fi/i.wav",
    "lo-fi/j.txt", "lo-fi/deep/k.wav", "unknown/l.wav", "unknown/m.als", "unknown/_Done/n.wav", ".hidden/o.wav",
    "loud.wav/p.wav", "quiet.wav/q.wav", "deep/er/and/_Failed/r.aif", "_done", "cafe\u0301.wav",
]  # fmt: skip
LINKS = {"link.wav": "a.wav", "round.wav": "round.wav", "gone.wav": "nowhere", "linked": "lo-fi", "up": "."}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for name, target in LINKS.items():
        (tmp_path / "root" / name).symlink_to(target)
    return tmp_path / "root"


def place(root: Path, kind: Any, **more: Any) -> Place:
    return Place("key", str(root), kind, "default", 0.5, **more)


def seen(one: Place) -> dict[str, str]:
    """Everything in the place by path; fails where a look at one path sees another thing than the scan."""

    def mention(_rel: str, _why: str) -> None:
        pass

    found = {seen.rel: seen for seen in scan(one, PRESETS, mention)}
    for folder, folders, files in os.walk(one.root):
        for name in (*folders, *files):
            rel = str((Path(folder) / name).relative_to(one.root))
            assert look(one, rel, PRESETS, mention) == found.get(rel), rel
    return {rel: seen.what for rel, seen in found.items()}


def test_in_drop_every_file_counts_down_to_the_presets(root: Path) -> None:
    assert seen(place(root, "drop")) == {
        "a.wav": "audio", "b.txt": "other", "c": "unnamed", "lo-fi/i.wav": "audio", "lo-fi/j.txt": "other",
        "unknown/l.wav": "audio", "loud.wav/p.wav": "audio", "quiet.wav": "folder", "link.wav": "audio",
        "round.wav": "audio", "gone.wav": "audio", "cafe\u0301.wav": "audio",
    }  # fmt: skip


def test_in_a_watched_folder_only_clips_count(root: Path) -> None:
    assert sorted(seen(place(root, "watch"))) == sorted(["a.wav", "link.wav", "cafe\u0301.wav"])


def test_a_recursive_one_goes_down_but_not_round(root: Path) -> None:
    assert set(seen(place(root, "watch", recursive=True))) == {
        "a.wav", "link.wav", "cafe\u0301.wav", "lo-fi/i.wav", "lo-fi/deep/k.wav", "unknown/l.wav",
        "unknown/_Done/n.wav", "loud.wav/p.wav", "quiet.wav/q.wav", "deep/er/and/_Failed/r.aif",
    }  # fmt: skip


def test_what_it_is_closed_to_is_not_entered(root: Path) -> None:
    real = os.path.realpath(root)
    one = place(
        root, "watch", recursive=True, closed_to=(f"{real}/lo-fi", f"{real}/deep"), open_to=(f"{real}/deep/er",)
    )
    assert not any(rel.startswith(("lo-fi", "deep")) for rel in seen(one))


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(place(tmp_path / "gone", "watch"), PRESETS, lambda *_: None)


def test_passing_over_is_said_with_its_reason(root: Path) -> None:
    said: dict[str, str] = {}
    scan(place(root, "watch", recursive=True), PRESETS, said.__setitem__)
    assert sorted(said) == ["gone.wav", "round.wav"]


def test_each_folder_and_preset_is_looked_after_once_and_our_own_never(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    paths = ["exports", "exports/", "home", "home/Drop/lo-fi", "home/jobs", "home/Results", "other"]
    entries = [{"path": f"{tmp_path}/{path}"} for path in paths] + [{"path": f"{tmp_path}/other", "preset": "lo-fi"}]
    places = places_of(home, Config.model_validate({"watch": entries}))
    assert [(Path(one.root).name, one.preset, one.moves) for one in places] == [
        ("Drop", "default", True),
        ("exports", "default", False),
        ("Results", "default", False),
        ("other", "default", False),
        ("other", "lo-fi", False),
    ]
