"""A small disk for a hospital: a real file system of a few megabytes, where one may be mounted.

Where it may not, SQLite's own limit of a file's pages stands in: the same commit fails alike.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BLOCK = b"\0" * 4096


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """An empty file system of this size."""
    with tempfile.TemporaryDirectory(prefix="plugward-disk-") as place:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", place], check=True
        )
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "-l", place], check=True)


def may_mount() -> bool:
    """Whether this user may mount a file system here."""
    if os.name != "posix" or os.geteuid() != 0:
        return False
    try:
        with small_disk(1):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def fill(disk: Path, leave_kb: int) -> Path:
    """Something else fills the disk, but for so much; the file that does."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(BLOCK) == len(BLOCK):
                pass
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave_kb * 1024))
    return ballast
