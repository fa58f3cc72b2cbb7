"""A child 子进程: started, watched, started again with patience, stopped in time."""

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from .spec import Ready

STOP_S = 20.0
READY_S = 40.0
AGAIN_S = 0.2
AGAIN_S_MAX = 10.0
STEADY_S = 30.0  # after so long, the next end counts as the first
WORDS_MAX = 400
_log = logging.getLogger("plugward.rack")
Changed = Callable[[], None]


def board_process(spec: Path) -> list[str]:
    return [sys.executable, "-m", "plugward.rack.process", str(spec)]


class Child:
    """One process that should run until it is told to stop."""

    def __init__(self, label: str, command: Sequence[str], log: Path) -> None:
        self.label = label
        self.ready: Ready | None = None
        self.starts = 0
        self.why = "not started"
        self.ended = ""  # how it ended the last time, if it ever did
        self._command = list(command)
        self._log_file = log
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False
        self._is_ready = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process and self._process.returncode is None else 0

    @property
    def healthy(self) -> bool:
        return self.pid != 0 and self.ready is not None and not self.ready.left_out

    def start(self) -> None:
        self._stopping = False
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def until_ready(self, seconds: float = READY_S) -> bool:
        """Whether it said so in time; a child that ends early goes on trying meanwhile."""
        try:
            await asyncio.wait_for(self._is_ready.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Ask, wait, insist."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                _log.error("%s did not stop within %s s and was killed", self.label, STOP_S)
                process.kill()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        again = AGAIN_S
        while not self._stopping:
            started = loop.time()
            code = await self._once()
            if self._stopping:
                return
            if loop.time() - started > STEADY_S:
                again = AGAIN_S
            self.ended = self.why = f"ended with {code}: {self._last_words()}"
            _log.error("%s %s; again in %.1f s", self.label, self.why, again)
            await asyncio.sleep(again)
            again = min(again * 2, AGAIN_S_MAX)

    async def _once(self) -> int:
        """One life, to its end."""
        self.ready = None
        self._is_ready.clear()
        self._log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._log_file.open("ab") as log:
            self._process = process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,  # its end tells the child that we are gone
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours to pass on, in order
            )
        self.starts += 1
        self.why = "starting"
        assert process.stdout is not None, "a pipe was asked for"
        while line := await process.stdout.readline():
            try:
                self.ready = msgspec.json.decode(line, type=Ready)
            except msgspec.DecodeError:
                continue  # somebody printed
            self.why = "; ".join(f"{b}: {why}" for b, why in self.ready.left_out.items())
            self._is_ready.set()
        code = await process.wait()
        self.ready = None
        return code

    def _last_words(self) -> str:
        try:
            lines = self._log_file.read_text("utf-8", "replace").splitlines()
        except OSError:
            return "no word"
        return lines[-1][:WORDS_MAX] if lines else "no word"
