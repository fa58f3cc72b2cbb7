"""One moment 同一时刻: while every file's write lock is held, views of all files can begin."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

LOCK_WAIT_S = 10.0


@contextmanager
def nobody_writes(databases: Sequence[Path]) -> Iterator[list[float]]:
    """Hold every write lock; the list then says for how many milliseconds writers waited."""
    held: list[float] = []
    with ExitStack() as stack:
        began = time.perf_counter()
        for path in databases:
            lock = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)
            stack.callback(lock.close)
            lock.execute("BEGIN IMMEDIATE")
        yield held
        held.append(round((time.perf_counter() - began) * 1000, 1))
