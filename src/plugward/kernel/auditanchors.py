"""Anchors 锚点: the heads of all audit lanes, kept where the log's administrator cannot write.

Each line of ``<lane>.jsonl`` holds the heads of every lane at that moment and a root over them and
over the line before it. So a lane that is cut, or rewritten with fresh hashes, differs from what
its own anchors and those of every other lane say; and a line taken out of an anchor file shows in
the next one's root. The folder should be another account's append-only storage.
"""

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from .auditstore import AuditStore, StoreAway

Heads = dict[str, tuple[int, bytes]]
FIRST_ROOT = "0" * 64


class Anchors:
    """One process's file of anchors. It is only ever appended to, and on disk before it counts."""

    def __init__(self, folder: Path, lane: str) -> None:
        self.folder = folder
        self._path = folder / f"{lane}.jsonl"
        self._root = FIRST_ROOT
        self._last: Heads = {}

    def open(self) -> None:
        """Find the last root, so that the chain of anchors goes on over a restart."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._path.exists():
            lines = self._path.read_text("utf-8").splitlines()
            if lines:
                self._root = json.loads(lines[-1])["root"]

    def write(self, heads: Heads, at: str) -> None:
        """Append one line with these heads; the same ones again say nothing new."""
        if heads == self._last:
            return
        told = {lane: [seq, found.hex()] for lane, (seq, found) in sorted(heads.items())}
        root = _root_of(self._root, told, at)
        line = json.dumps({"at": at, "heads": told, "root": root}, sort_keys=True)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, f"{line}\n".encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StoreAway from error
        self._root, self._last = root, dict(heads)


def last_heads(store: AuditStore) -> Iterator[tuple[str, int, bytes]]:
    """The newest anchored head of every lane in a store."""
    newest: dict[str, tuple[int, bytes]] = {}
    for lane, seq, found in store.anchors():
        if seq > newest.get(lane, (0, b""))[0]:
            newest[lane] = (seq, found)
    for lane, (seq, found) in newest.items():
        yield lane, seq, found


def verify_anchors(folder: Path, store: AuditStore) -> Iterator[str]:
    """Compare a store with every anchor in a folder; a sentence for each that does not fit."""
    for path in sorted(folder.glob("*.jsonl")):
        root = FIRST_ROOT
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            anchor: dict[str, Any] = json.loads(line)
            root = _root_of(root, anchor["heads"], anchor["at"])
            if root != anchor["root"]:
                yield f"anchors {path.name}: line {number} was changed or one before it is missing"
                break
            yield from _differing(path.name, number, anchor["heads"], store)


def _differing(
    name: str, number: int, heads: dict[str, tuple[int, str]], store: AuditStore
) -> Iterator[str]:
    where = f"(anchors {name}:{number})"
    for lane, (seq, found) in heads.items():
        kept = store.hash_at(lane, seq)
        if kept is None:
            yield f"audit lane {lane}: the tail was cut before entry {seq} {where}"
        elif kept.hex() != found:
            yield f"audit lane {lane}: entry {seq} differs from its anchor {where}"


def _root_of(before: str, heads: dict[str, Any], at: str) -> str:
    told = json.dumps([before, sorted(heads.items()), at], sort_keys=True)
    return sha256(told.encode()).hexdigest()
