"""F05: billing moves to a process of its own and back, while the cashier asks for accounts.

收费插板移到独立进程再移回：数据不搬、地址不变、前后稽核皆通过。
"""

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from plugward.rack.discover import board_entries
from plugward.rack.supervisor.moving import (
    group_in,
    keep_seating,
    reseated,
    seating_of,
)
from plugward.rack.supervisor.plan import SINGLE, RackPlan

from .running import PLUGWARD, Running, rack_up

TILL = ("billing", "pricing")
CASHIER = "C10036"


def test_a_plan_with_boards_moved(tmp_path: Path) -> None:
    plan = RackPlan(groups={"till": TILL, "desk": ("patients", "registration")})
    alone = reseated(plan, {"billing": "billing"})
    assert alone.groups == {"till": ("pricing",), "desk": ("patients", "registration")}
    assert [group_in(alone, board) for board in ("billing", "pricing", "lab")] == [
        "billing",
        "till",
        "lab",
    ]
    assert reseated(plan, {"billing": "till"}).groups["till"] == ("pricing", "billing")
    beside = reseated(plan, {"billing": "lab", "pricing": "lab"})
    assert beside.groups["lab"] == ("lab", "billing", "pricing")
    assert "till" not in beside.groups
    assert {seat.name for seat in beside.seats(("lab", *TILL, "patients"))} == {"lab", "desk"}

    assert seating_of(tmp_path) == {}
    keep_seating(tmp_path, {"billing": "billing"})
    assert seating_of(tmp_path) == {"billing": "billing"}


class Cashier(threading.Thread):
    """Asks billing and the patient index in turn. What is refused is asked again, as it says."""

    def __init__(self, rack: Running) -> None:
        super().__init__(daemon=True)
        self._url = rack.url
        self._token = rack.browser(CASHIER, "/").token
        self.answered = Counter[str]()
        self.refused = Counter[str]()
        self.failed: list[str] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set() and not self.failed:
            self._until_answered("billing/v1/waiting", {"campus": "C1"})
            self._until_answered("patients/v1/many", {"wanted": []})

    def _until_answered(self, path: str, body: dict[str, object]) -> None:
        patience = time.monotonic() + 30
        while time.monotonic() < patience:
            status, said = self._ask(path, body)
            if status == 200:
                self.answered[path] += 1
                return
            if status != 503 or json.loads(said)["kind"] != "unavailable":
                break
            self.refused[path] += 1
            self.over.wait(0.1)
        self.failed.append(f"{path}: {status} {said}")

    def _ask(self, path: str, body: dict[str, object]) -> tuple[int, str]:
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self._url}/api/{path}",
            json.dumps(body).encode(),
            {"authorization": f"Bearer {self._token}", "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def asks_on(self, times: int = 20) -> None:
        """So many more answers from billing, or what went wrong."""
        until = self.answered["billing/v1/waiting"] + times
        deadline = time.monotonic() + 60
        while self.answered["billing/v1/waiting"] < until:
            assert not self.failed, self.failed
            assert time.monotonic() < deadline, "nobody answers the cashier"
            time.sleep(0.05)


def few_processes(folder: Path) -> None:
    """The till is one process, what can run together another one: five others are as they must."""
    ward = sorted(set(board_entries()) - set(SINGLE) - set(TILL))
    (folder / "rack.toml").write_text(
        f"[rack]\nmllp_port = 0\n[groups]\ntill = {json.dumps(TILL)}\nward = {json.dumps(ward)}\n",
        "utf-8",
    )


def said(*words: object) -> str:
    done = subprocess.run([PLUGWARD, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(done.stdout.split())


@pytest.mark.full
def test_billing_moves_out_and_back_and_the_cashier_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "hospital"
    data.mkdir()
    few_processes(data)
    with rack_up(data, "--demo", seconds=120) as rack:
        before = rack.status()
        assert before["billing"].pids == before["pricing"].pids
        assert all(board.healthy for board in before.values())
    assert "everything holds" in said("audit", "--data", data)
    files = {path.name: path.stat().st_ino for path in (data / "boards").glob("*.sqlite")}

    with rack_up(data, "--demo", seconds=120) as rack:
        address, before = rack.url, rack.status()
        cashier = Cashier(rack)
        cashier.start()
        cashier.asks_on()

        told = said("move", "billing", "--to", "alone", "--data", data)
        assert "for a moment callers do without billing, pricing" in told
        assert "billing has its own process. Its data are where they were." in told
        cashier.asks_on()
        alone = rack.status()
        assert alone["billing"].pids != alone["pricing"].pids
        untouched = set(before) - set(TILL)
        assert {n: alone[n].pids for n in untouched} == {n: before[n].pids for n in untouched}
        what_cannot_be_moved_stays(data)

        told = said("move", "billing", "--to", "together", "--data", data)
        assert "billing shares a process with pricing" in told
        cashier.asks_on()
        back = rack.status()
        assert back["billing"].pids == back["pricing"].pids
        said("move", "billing", "--to", "alone", "--data", data)
        cashier.asks_on()
        cashier.over.set()
        cashier.join(30)
        assert cashier.failed == []
        assert cashier.refused["patients/v1/many"] == 0
        assert rack.url == address
    assert "everything holds" in said("audit", "--data", data)
    assert files == {path.name: path.stat().st_ino for path in (data / "boards").glob("*.sqlite")}

    with rack_up(data, "--demo", seconds=120) as rack:  # a start remembers where boards sit
        assert rack.status()["billing"].group == "billing"
        assert rack.status()["pricing"].group == "till"
        said("move", "billing", "--to", "together", "--data", data)
        assert rack.status()["billing"].group == "till"
    assert "everything holds" in said("audit", "--data", data)


def what_cannot_be_moved_stays(data: Path) -> None:
    for words, why in (
        (("billing", "--to", "alone"), "is there already"),
        (("billing", "--to", "together", "--with", "nobody"), "no board and no group"),
        (("billing", "--to", "together", "--with", "portal"), "its door would close"),
        (("identity", "--to", "together"), "puts identity with nobody"),
        (("billing", "--to", "elsewhere"), "--to alone, or --to together"),
        (("nobody", "--to", "alone"), "not plugged in"),
    ):
        done = subprocess.run(
            [PLUGWARD, "move", *words, "--data", data], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert why in done.stdout, done.stdout
