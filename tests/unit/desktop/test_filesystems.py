"""The bridge knows which folders lie on another machine, and which files somebody still writes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bridge.desktop.filesystems import (
    is_network_path,
    is_network_type,
    is_open_for_writing,
    is_unc,
    linux_mounts,
    mac_mounts,
    type_at,
)

MOUNTINFO = rb"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
31 22 0:27 / /mnt/studio\040share rw,relatime shared:14 master:2 - cifs //nas/studio rw,vers=3.1.1
32 31 0:28 / /mnt/studio\040share/local rw,relatime - tmpfs tmpfs rw
33 22 0:29 / /home/me/far rw,nosuid - fuse.sshfs me@far:/ rw
34 22 0:30 / /media/stick rw - fuseblk /dev/sdb1 rw
35 22 0:31 / /over rw - ext4 /dev/sdc rw
36 22 0:32 / /over rw - nfs4 server:/over rw
a line that is none
"""

MAC_MOUNT = """/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
//me@nas._smb._tcp.local/studio on /Volumes/studio (one) (smbfs, nodev, nosuid, mounted by me)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
""".splitlines()


@pytest.mark.parametrize(
    ("path", "far"),
    [
        ("/home/me/clip.wav", False),
        ("/mnt/studio share/song/clip.wav", True),
        ("/mnt/studio share", True),
        ("/mnt/studio shared/clip.wav", False),
        ("/mnt/studio share/local/clip.wav", False),
        ("/home/me/far/clip.wav", True),
        ("/media/stick/clip.wav", False),
        ("/over/clip.wav", True),
    ],
)
def test_on_linux_the_deepest_mount_above_a_path_decides(path: str, far: bool) -> None:
    assert is_network_type(type_at(path, linux_mounts(MOUNTINFO))) is far


@pytest.mark.parametrize(
    ("path", "far"), [("/Users/me/clip.wav", False), ("/Volumes/studio (one)/clip.wav", True), ("/Volumes/x", False)]
)
def test_on_macos_the_mount_command_tells(path: str, far: bool) -> None:
    assert is_network_type(type_at(path, mac_mounts(MAC_MOUNT))) is far


@pytest.mark.parametrize(
    ("path", "far"),
    [
        (r"\\nas\studio\clip.wav", True),
        ("//nas/studio/clip.wav", True),
        (r"\\?\UNC\nas\studio\clip.wav", True),
        (r"\\?\C:\clip.wav", False),
        (r"C:\clip.wav", False),
    ],
)
def test_on_windows_a_path_can_name_its_machine(path: str, far: bool) -> None:
    assert is_unc(path) is far


def test_a_folder_of_this_computer_is_no_share_even_before_it_is_made(tmp_path: Path) -> None:
    assert not is_network_path(tmp_path)
    assert not is_network_path(tmp_path / "not" / "yet" / "there")


@pytest.mark.skipif(sys.platform not in {"linux", "win32"}, reason="only on Linux and Windows is this told")
def test_a_file_is_known_to_be_written_for_as_long_as_a_writer_has_it(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    with path.open("wb") as writer:
        writer.write(b"x")
        assert is_open_for_writing(str(path))
    assert not is_open_for_writing(str(path))
    with path.open("rb"):
        assert not is_open_for_writing(str(path))
    assert not is_open_for_writing(str(tmp_path / "gone.wav"))
