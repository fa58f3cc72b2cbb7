"""What every test run shares: with ``PLUGWARD_NO_SKIP=1`` a run that skipped anything fails.

And ``made_once``: a hospital that takes seconds to fill is filled once a run, and copied.
"""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MadeOnce = Callable[[str, Callable[[Path], None]], Path]

NO_SKIP = os.environ.get("PLUGWARD_NO_SKIP", "") not in ("", "0")


class NothingSkipped:
    """Counts what was skipped. With xdist the workers' reports arrive here too."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            where = report.longrepr
            reason = where[2] if isinstance(where, tuple) else str(where)
            self.skipped.append(f"{report.nodeid}: {reason}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        yield

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section("nothing may be skipped in this run", red=True)
            for line in self.skipped:
                terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    if NO_SKIP and not hasattr(config, "workerinput"):
        config.pluginmanager.register(NothingSkipped(), "plugward-nothing-skipped")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """A folder filled once in this run, by whichever worker comes first. Shared: copy it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
    shared.mkdir(exist_ok=True)

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        done, part = shared / name, shared / f"{name}.part"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                fill(part)
                part.rename(done)
        return done

    return make


@pytest.fixture(scope="session")
def prepared(made_once: MadeOnce) -> Path:
    """The stores of a hospital that has catalogues, stock and today's clinics. To be copied."""
    from plugward.kernel.dispatch import Transport
    from tests.journeys.house import House

    async def fill(folder: Path) -> None:
        house = House(folder, Transport.STRICT)
        await house.open()
        await house.close()

    return made_once("prepared", lambda folder: asyncio.run(fill(folder)))
