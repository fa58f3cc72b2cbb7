"""``plugward rack up``: a process a board, watched, told apart, and gone without a trace.

机架：每块插板一个进程；进程被杀会再起来，机架被杀不留孤儿进程。
"""

import os
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from plugward.rack.control.client import tell
from plugward.rack.discover import board_entries
from plugward.rack.supervisor.servers import alive

from .running import PLUGWARD, rack_up, until

SMALL = {"identity", "masterdata", "patients", "registration", "calling", "portal"}
BOARD_MB_MAX = 90


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
        workplace = rack.browser("D10247", "/clinic").page
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
