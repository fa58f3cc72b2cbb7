"""Files in 文件采集: a file becomes a message when it is whole, and is put away once it is kept.

Whole is what was renamed into place, or has not changed for a while, or has its mark beside it;
never what somebody holds a lock on. It is moved aside first, so that no two hubs take it, and what
was moved aside when a hub died is taken again: the same file is known by its name, time and
content, and is kept once.
"""

import asyncio
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from plugward.kit.time import hospital_date

from ..node import Node
from ..routing import Incoming
from ..taking import Verdict, take
from ..web.asgi import BODY_BYTES_MAX
from .sources_declared import FilesIn, Whole

TAKING, PROCESSED, FAILED = ".taking", "processed", "failed"
UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp")
_AT_ONCE = 500


class Found(NamedTuple):
    """A file as it was looked at."""

    name: str
    size: int
    changed_ns: int


class FilesSource:
    """One folder that is looked at again and again."""

    def __init__(self, name: str, told: FilesIn, node: Node) -> None:
        self._name = name
        self._told = told
        self._node = node
        self._folder = node.folder / told.folder
        self._seen: dict[Found, float] = {}
        self.every_s = told.every_s

    async def look(self) -> None:
        """Take what is whole, the oldest first; stop where the hub cannot keep it now."""
        loop = asyncio.get_running_loop()
        for found in await loop.run_in_executor(None, self._whole, loop.time()):
            aside = await loop.run_in_executor(None, self._set_aside, found)
            if aside is not None and not await self._take(aside):
                return

    async def close(self) -> None:
        """Nothing is held between two looks."""

    async def _take(self, aside: Path) -> bool:
        loop = asyncio.get_running_loop()
        body, mark = await loop.run_in_executor(None, _read, aside)
        if body is None:
            why = f"it is longer than {BODY_BYTES_MAX} bytes"
            await loop.run_in_executor(None, self._put_away, aside, FAILED, why)
            return True
        digest = hashlib.sha256(body).hexdigest()[:32]
        incoming = Incoming(body, kind=f"file {aside.name}", sender=self._name)
        key = f"{aside.name[-60:]} {mark} {digest}"
        taken = await take(self._node, incoming, key=key, peer=f"files {self._name}")
        if taken.verdict is Verdict.AWAY:
            return False  # it stays aside, and is the first of the next look
        if taken.verdict is Verdict.ACCEPTED:
            await loop.run_in_executor(None, self._put_away, aside, PROCESSED, "")
        else:
            why = f"{taken.at}: {taken.words}" if taken.at else taken.words
            await loop.run_in_executor(None, self._put_away, aside, FAILED, why)
        return True

    # ── on the executor: the disk may be slow, or somebody else's ───────────────────────────
    def _whole(self, now: float) -> list[Found]:
        (self._folder / TAKING).mkdir(mode=0o700, parents=True, exist_ok=True)
        left = list(self._listed(self._folder / TAKING))
        there = list(self._listed(self._folder))
        self._seen = {one: self._seen.get(one, now) for one in there}
        ready = [one for one in there if self._is_whole(one, now)]
        ready.sort(key=lambda one: (one.changed_ns, one.name))
        return (sorted(left, key=lambda one: (one.changed_ns, one.name)) + ready)[:_AT_ONCE]

    def _listed(self, folder: Path) -> Iterator[Found]:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or name.lower().endswith(UNFINISHED):
                    continue
                if not fnmatchcase(name, self._told.pattern) or self._is_mark(name):
                    continue
                told = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(told.st_mode):
                    yield Found(name, told.st_size, told.st_mtime_ns)

    def _is_mark(self, name: str) -> bool:
        return self._told.whole is Whole.MARKED and name.endswith(self._told.mark)

    def _is_whole(self, found: Found, now: float) -> bool:
        if self._told.whole is Whole.RENAMED:
            return True
        if self._told.whole is Whole.MARKED:
            return (self._folder / (found.name + self._told.mark)).exists()
        return now - self._seen[found] >= self._told.settle_s

    def _set_aside(self, found: Found) -> Path | None:
        aside = self._folder / TAKING / found.name
        if aside.exists():
            return aside
        path = self._folder / found.name
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # whoever writes may hold it
                told = os.fstat(file.fileno())
                if (told.st_size, told.st_mtime_ns) != (found.size, found.changed_ns):
                    return None
                path.rename(aside)
        except OSError:  # held, gone, or not ours to read: the next look sees
            return None
        return aside

    def _put_away(self, aside: Path, where: str, why: str) -> None:
        if where == PROCESSED and not self._told.keep:
            aside.unlink()
        else:
            day = hospital_date(self._node.clock.now()).isoformat()
            folder = self._folder / where / day
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            place = _free(folder, aside.name)
            aside.rename(place)
            if why:
                place.with_name(place.name + ".why.txt").write_text(why + "\n", "utf-8")
        if self._told.whole is Whole.MARKED:
            (self._folder / (aside.name + self._told.mark)).unlink(missing_ok=True)


def _read(path: Path) -> tuple[bytes | None, int]:
    with path.open("rb") as file:
        body = file.read(BODY_BYTES_MAX + 1)
        mark = os.fstat(file.fileno()).st_mtime_ns
    return (None if len(body) > BODY_BYTES_MAX else body), mark


def _free(folder: Path, name: str) -> Path:
    place, number = folder / name, 1
    while place.exists():
        number += 1
        place = folder / f"{name}.{number}"
    return place
