"""A file that is either not there or complete and on disk."""

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, body: bytes) -> None:
    """Write beside it, sync, rename."""
    fresh = path.with_name(f".{path.name}.part")
    try:
        with fresh.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
