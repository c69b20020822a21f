"""What the system can tell of a file: does it lie on a share or on this computer, and does somebody still write it.

Only questions; what follows from the answers is for whoever asks.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# File systems whose files another machine (or the host of a virtual one) can change without an event here.
NETWORK_TYPES: Final = frozenset(
    {
        "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "ftp", "gfs2", "glusterfs", "lustre",
        "ncp", "ncpfs", "nfs", "nfs4", "ocfs2", "prl_fs", "smb", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs",
        "vmhgfs", "webdav",
    }
)  # fmt: skip
# FUSE says `fuse.<name>`: these run over a network, others (ntfs-3g, exfat) do not.
NETWORK_FUSE: Final = frozenset(
    {
        "afp", "curlftpfs", "davfs2", "gcsfuse", "glusterfs", "goofys", "gvfsd-fuse", "rclone", "s3fs", "sshfs",
        "vmhgfs-fuse",
    }
)  # fmt: skip
MOUNT_TIMEOUT_SECONDS: Final = 5.0
_DRIVE_REMOTE: Final = 4  # GetDriveTypeW, "Remarks" in Microsoft's reference
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")
_MAC_MOUNT: Final = re.compile(r"^.* on (?P<point>/.*) \((?P<type>[^,)\s]+)[,)]")


def is_network_path(path: str | os.PathLike[str]) -> bool:
    """Whether `path`, or the nearest folder above it that is there, lies on a network share."""
    real = _nearest(os.fspath(path))
    if sys.platform == "win32":
        return is_unc(real) or _windows_drive_is_remote(real)
    if sys.platform == "darwin":
        return is_network_type(type_at(real, mac_mounts(_mount_lines())))
    try:
        table = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return False
    return is_network_type(type_at(real, linux_mounts(table)))


def is_network_type(name: str | None) -> bool:
    """Whether a file system of that type lives on another machine."""
    if name is None:
        return False
    kind, _, below = name.lower().partition(".")
    return kind in NETWORK_TYPES or (kind in {"fuse", "fuseblk"} and below in NETWORK_FUSE)


def is_unc(path: str) -> bool:
    r"""Whether a Windows path names a machine: `\\server\share\…`, also as `\\?\UNC\server\share\…`."""
    text = path.replace("/", "\\")
    if text.startswith(("\\\\?\\", "\\\\.\\")):
        return text[4:].upper().startswith("UNC\\")
    return text.startswith("\\\\")


def linux_mounts(table: bytes) -> list[tuple[str, str]]:
    """Mount point and type of each line of /proc/self/mountinfo; the type comes after the lone dash (proc(5))."""
    mounts = []
    for line in table.splitlines():
        fields = line.split(b" ")
        if b"-" not in fields[6:]:
            continue
        point = _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), fields[4])
        mounts.append((os.fsdecode(point), os.fsdecode(fields[fields.index(b"-", 6) + 1])))
    return mounts


def mac_mounts(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Mount point and type of each line that macOS's `mount` prints: `what on /point (type, options)`."""
    found = (_MAC_MOUNT.match(line) for line in lines)
    return [(line["point"], line["type"]) for line in found if line is not None]


def type_at(path: str, mounts: Iterable[tuple[str, str]]) -> str | None:
    """The type of the file system that holds `path`: of the deepest mount point above it, of equal ones the last."""
    best, best_type = "", None
    for point, kind in mounts:
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, best_type = point, kind
    return best_type


def is_open_for_writing(path: str) -> bool:
    """Whether some program has the file open to write into it. False where the system does not tell.

    Linux answers for one's own files (a read lease is refused while there is a writer: fcntl(2), F_SETLEASE), Windows
    by refusing to open it beside a writer; macOS has no cheap answer. Not for network paths, where a refusal means
    something else.
    """
    if sys.platform == "win32":
        return _windows_has_writer(path)
    elif sys.platform == "linux":  # noqa: RET505  (so that each system's branch is checked on that system only)
        return _linux_has_writer(path)
    else:
        return False


def _nearest(path: str) -> str:
    current = os.path.realpath(path)
    while not os.path.exists(current) and os.path.dirname(current) != current:
        current = os.path.dirname(current)
    return current


def _mount_lines() -> list[str]:
    try:
        answer = subprocess.run(
            ["/sbin/mount"], capture_output=True, timeout=MOUNT_TIMEOUT_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return os.fsdecode(answer.stdout).splitlines()


if sys.platform == "linux":
    import errno
    import fcntl
    import signal

    def _linux_has_writer(path: str) -> bool:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            # Should somebody begin to write in the very moment of the lease, the kernel tells us by a signal. Its usual
            # choice would end the process; this one is ignored unless somebody asks for it.
            fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            return error.errno == errno.EAGAIN
        finally:
            os.close(handle)
        return False


if sys.platform == "win32":
    import ctypes

    def _windows_drive_is_remote(path: str) -> bool:
        drive = os.path.splitdrive(path)[0]
        return bool(drive) and ctypes.windll.kernel32.GetDriveTypeW(drive + "\\") == _DRIVE_REMOTE

    def _windows_has_writer(path: str) -> bool:
        generic_read, share_read_and_delete, open_existing, sharing_violation = 0x8000_0000, 0x1 | 0x4, 3, 32
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel32.CreateFileW.restype = ctypes.c_void_p
        handle = kernel32.CreateFileW(path, generic_read, share_read_and_delete, None, open_existing, 0, None)
        if handle == ctypes.c_void_p(-1).value:
            return ctypes.get_last_error() == sharing_violation
        kernel32.CloseHandle(ctypes.c_void_p(handle))
        return False
