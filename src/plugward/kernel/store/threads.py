"""Threads 线程: where one file's waiting for the disk, and its long reads, are done."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine

from .pace import Pace

T = TypeVar("T")
READERS = 2
TURN_S = 0.002  # after so much reading, whoever else waits for the event loop has a turn


class Errands:
    """A thread that does one thing after the other and tells the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._given: queue.SimpleQueue[tuple[Callable[[], None], Callable[[], None]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def run(self, errand: Callable[[], None], then: Callable[[], None]) -> None:
        """Do ``errand`` on the thread, then call ``then`` on the event loop."""
        self._given.put((errand, then))

    def finish(self) -> None:
        """Do what is left, then end."""
        self._given.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (given := self._given.get()) is not None:
            errand, then = given
            errand()
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(then)


class Readers:
    """Read connections apart from the writer: one for quick reads on the event loop's thread, and
    one for each thread that does the slow ones."""

    def __init__(self, engine: Engine, board: str, pace: Pace) -> None:
        self._engine = engine
        self._pace = pace
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix=f"read-{board}")
        self._open: list[Connection] = []
        self._read_s = 0.0

    async def run(self, function: Callable[[Connection], T], what: str) -> T:
        """The function's result. Without a name it counts as slow."""
        if not self._pace.is_quick(what):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._read_apart, function, what)
        began = time.thread_time()
        try:
            return function(self._connection())
        finally:
            took = time.thread_time() - began
            self._pace.note(what, took)
            self._read_s += took
            if self._read_s > TURN_S:
                self._read_s = 0.0
                await asyncio.sleep(0)

    def _read_apart(self, function: Callable[[Connection], T], what: str) -> T:
        connection, began = self._connection(), time.thread_time()
        try:
            return function(connection)
        finally:
            if what:
                self._pace.note(what, time.thread_time() - began)

    def _connection(self) -> Connection:
        """This thread's own connection."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._engine.connect()
            connection.exec_driver_sql("PRAGMA query_only=1")
            self._local.connection = connection
            self._open.append(connection)
        return connection

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        for connection in self._open:
            connection.close()
