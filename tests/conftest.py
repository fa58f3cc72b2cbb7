"""What every test run shares: with ``PLUGWARD_NO_SKIP=1`` a run that skipped anything fails."""

import os
from collections.abc import Iterator

import pytest

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
