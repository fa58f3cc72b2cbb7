"""A rack as its operator starts it, its doors, and who signs in at them."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from plugward.rack.control.client import tell
from plugward.rack.control.words import BoardStatus, RackStatus

PLUGWARD = Path(sys.executable).with_name("plugward")
PATIENCE_S = 40


def until(what: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)
    return found


class Running:
    def __init__(self, process: "subprocess.Popen[str]", data: Path, url: str) -> None:
        self.process = process
        self.data = data
        self.url = url

    def whole(self) -> RackStatus:
        found = tell(self.data, "status").status
        assert found is not None
        return found

    def status(self) -> dict[str, BoardStatus]:
        return {board.name: board for board in self.whole().boards}

    def pids(self) -> list[int]:
        return [pid for board in self.status().values() for pid in board.pids]

    def nats(self) -> int:
        return int((self.data / "rack" / "nats" / "nats.pid").read_text())

    def browser(self, staff: str, then: str) -> "Browser":
        """Somebody of the demo signs in at the door and goes to a page."""
        logins = json.loads((self.data / "demo-logins.json").read_text())
        password = next(who["password"] for who in logins if who["staff_no"] == staff)
        return Browser(self.url, staff, password, then)


class Browser:
    def __init__(self, url: str, staff: str, password: str, then: str) -> None:
        self.jar = CookieJar()
        self.door = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        page = self.door.open(f"{url}/login").read().decode()
        token = re.search(r'name="_csrf" value="([^"]+)"', page)
        assert token is not None
        form = {"staff": staff, "password": password, "next": then, "_csrf": token[1]}
        self.page = self.door.open(f"{url}/login", urlencode(form).encode())

    @property
    def token(self) -> str:
        """The session's reference, as a program would send it."""
        return next(str(c.value) for c in self.jar if c.name == "plugward")


@contextmanager
def rack_up(data: Path, *options: str, seconds: float = PATIENCE_S) -> Iterator[Running]:
    said = data.parent / "said"
    with said.open("w") as file:
        process = subprocess.Popen(
            [PLUGWARD, "rack", "up", *options, "--data", data, "--port", "0"],
            stdout=file, stderr=subprocess.STDOUT, text=True, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
    try:

        def up() -> Any:
            assert process.poll() is None, said.read_text()
            return re.search(r"http://127\.0\.0\.1:\d+", said.read_text())

        yield Running(process, data, until(up, seconds)[0])
    finally:
        process.terminate()
        process.wait(timeout=30)
