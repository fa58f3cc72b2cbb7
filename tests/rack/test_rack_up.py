"""``plugward rack up``: a process a board, watched, told apart, and gone without a trace.

机架：每块插板一个进程；进程被杀会再起来，机架被杀不留孤儿进程。
"""

import json
import os
import re
import signal
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

import pytest

from plugward.rack.control.client import tell
from plugward.rack.control.words import BoardStatus
from plugward.rack.discover import board_entries
from plugward.rack.supervisor.servers import alive

PLUGWARD = Path(sys.executable).with_name("plugward")
SMALL = {"identity", "masterdata", "patients", "registration", "calling", "portal"}
BOARD_MB_MAX = 90
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

    def status(self) -> dict[str, BoardStatus]:
        found = tell(self.data, "status").status
        assert found is not None
        return {board.name: board for board in found.boards}

    def pids(self) -> list[int]:
        return [pid for board in self.status().values() for pid in board.pids]

    def nats(self) -> int:
        return int((self.data / "rack" / "nats" / "nats.pid").read_text())


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


def small_plan(folder: Path) -> Path:
    out = sorted(set(board_entries()) - SMALL)
    lines = ["[rack]", "mllp_port = 0", "[groups]", 'desk = ["registration", "patients"]']
    for board in out:
        lines += [f"[boards.{board}]", "plugged = false"]
    plan = folder / "small.toml"
    plan.write_text("\n".join(lines))
    return plan


def test_processes_come_back_and_leave_nobody_behind(tmp_path: Path) -> None:
    data = tmp_path / "hospital"
    with rack_up(data, str(small_plan(tmp_path))) as rack:
        before = rack.status()
        assert set(before) == SMALL
        assert all(board.healthy and board.version for board in before.values())
        assert before["patients"].pids == before["registration"].pids  # a group
        assert len({pid for b in before.values() for pid in b.pids}) == len(SMALL) - 1
        assert before["calling"].rss_bytes < BOARD_MB_MAX * 1_000_000
        # The login page is the portal's; its campuses are asked of identity, over the wire.
        with urllib.request.urlopen(f"{rack.url}/login", timeout=10) as page:  # noqa: S310 - http
            assert page.status == 200

        [killed] = before["calling"].pids
        os.kill(killed, signal.SIGKILL)
        until(lambda: (b := rack.status()["calling"]).healthy and b.pids != (killed,))
        others = {name: b.pids for name, b in rack.status().items() if name != "calling"}
        assert others == {n: b.pids for n, b in before.items() if n != "calling"}

        assert tell(data, "unplug", "calling").done.startswith("calling is unplugged")
        assert "calling" not in rack.status()
        assert tell(data, "plug", "calling").done == "calling 1.0.0 is plugged in."
        assert rack.status()["calling"].healthy

        everybody = [*rack.pids(), rack.nats()]
        assert all(map(alive, everybody))
        rack.process.kill()  # no farewell
        until(lambda: not any(map(alive, everybody)))


@pytest.mark.full
@pytest.mark.timeout(240)
def test_the_demo_hospital_runs_as_one_process_a_board(tmp_path: Path) -> None:
    data = tmp_path / "hospital"
    plan = tmp_path / "demo.toml"
    plan.write_text("[rack]\nmllp_port = 0\n")
    with rack_up(data, str(plan), "--demo", seconds=120) as rack:
        status = rack.status()
        assert set(status) == set(board_entries())
        assert all(board.healthy for board in status.values()), status
        assert len(set(rack.pids())) == len(status)
        logins = json.loads((data / "demo-logins.json").read_text())
        doctor = next(login for login in logins if login["staff_no"] == "D10247")
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        page = browser.open(f"{rack.url}/login").read().decode()
        token = re.search(r'name="_csrf" value="([^"]+)"', page)
        assert token is not None
        form = {
            "staff": "D10247",
            "password": doctor["password"],
            "next": "/clinic",
            "_csrf": token[1],
        }
        workplace = browser.open(f"{rack.url}/login", urlencode(form).encode())
        assert workplace.url == f"{rack.url}/clinic"
        assert "心血管内科" in workplace.read().decode()
        everybody = [*rack.pids(), rack.nats()]
        rack.process.send_signal(signal.SIGINT)
        assert rack.process.wait(timeout=30) == 0
        assert not any(map(alive, everybody))
    audit = subprocess.run(
        [PLUGWARD, "audit", "--data", data], capture_output=True, text=True, check=False
    )
    assert audit.returncode == 0, audit.stdout
