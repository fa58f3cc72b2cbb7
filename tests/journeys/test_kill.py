"""kill -9 in the middle of a day: nothing acknowledged is lost, nothing is half done."""

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest

from plugward.kernel.audit import audit_runtime
from plugward.kernel.clock import ManualClock
from plugward.rack.embedded import Embedded
from plugward.rack.folder import DataFolder

PLUGWARD = Path(sys.executable).with_name("plugward")


def killed_day(folder: Path, acknowledged: Path, seed: int, after_s: float) -> int:
    """Start a day, kill it when patients have been in for a while; how many were acknowledged."""
    process = subprocess.Popen(
        [PLUGWARD, "day", "--visits", "60", "--seed", str(seed), "--data", folder,
         "--acknowledged", acknowledged],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 40
    while not (acknowledged.exists() and acknowledged.stat().st_size):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline, "the day did not begin"
        time.sleep(0.02)
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return len(acknowledged.read_text().splitlines())


def done_requests(folder: Path) -> set[bytes]:
    """Every request the boards remember as done."""
    found: set[bytes] = set()
    for path in (folder / "boards").glob("*.sqlite"):
        with sqlite3.connect(path) as db:
            rows = db.execute(f"SELECT request FROM {path.stem}_sys_done")  # noqa: S608 - our names
            found.update(bytes(row[0]) for row in rows)
    return found


async def recovered_breaches(folder: Path) -> list[str]:
    """Start again in the evening of that day, let every fact arrive, and audit."""
    data = DataFolder(folder)
    data.open()
    evening = ManualClock("2026-03-02 21:30")
    hospital = Embedded(data, clock=evening, without=frozenset({"portal", "hub"}))
    await hospital.start()
    try:
        await hospital.runtime.quiet(patience_s=60)
        report = await audit_runtime(hospital.runtime)
    finally:
        await hospital.stop()
        data.close()
    return [f"{line.id} {line.board}: {b}" for line in report.lines for b in line.breaches]


def one_kill(folder: Path, seed: int) -> None:
    acknowledged = folder / "acknowledged"
    data = folder / "hospital"
    after_s = random.Random(seed).uniform(0.05, 2.5)
    count = killed_day(data, acknowledged, seed, after_s)
    promised = {UUID(line).bytes for line in acknowledged.read_text().splitlines()}
    assert promised <= done_requests(data), f"seed {seed}: acknowledged and lost"
    assert count > 0
    assert asyncio.run(recovered_breaches(data)) == []


@pytest.mark.parametrize("seed", range(2))
def test_kill_minus_nine_in_the_middle_of_a_day(tmp_path: Path, seed: int) -> None:
    """断电也不丢：已确认的都在，重启后账物相符。"""
    one_kill(tmp_path, seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 110))
def test_ten_kills_at_random_points(tmp_path: Path, seed: int) -> None:
    one_kill(tmp_path, seed)
