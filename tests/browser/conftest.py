"""Fixtures of the browser tests. Without Chromium they are skipped, and say why."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from plugward.kernel.board import load_board
from tests.browser.harness import AXE, FLAGS, Hospital, Watched, chromium_path, new_tab

Open = Callable[..., Watched]


@pytest.fixture(autouse=True)
def _benches_are_closed() -> None:
    """No bench is opened here; the kernel's fixture would want an event loop, and while the browser
    is driven the thread's loop is the browser's own."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """For this package only: while it is open, this thread can run no other event loop."""
    path = chromium_path()
    if path is None:
        pytest.skip("Chromium is not here; on Debian: apt-get install chromium")
    if not AXE.exists():
        pytest.skip("axe-core is not here; run: python hatch_build.py --with-tests")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def _tabs_are_closed(request: pytest.FixtureRequest) -> Iterator[None]:
    """A tab left open would go on listening to its hospital beside the tests that follow."""
    browser = request.getfixturevalue("chromium") if "chromium" in request.fixturenames else None
    yield
    for context in browser.contexts if browser else ():
        context.close()


@pytest.fixture(scope="package")
def platform() -> Iterator[Hospital]:
    """Identity, the portal and a small board: what the portal's own pages need."""
    boards = (
        "plugward.commons.identity.board:board",
        "plugward.commons.masterdata.board:board",
        "plugward.commons.portal.board:board",
        "plugward.commons.portal.tests.specimen.board:board",
    )
    hospital = Hospital(load_board(board) for board in boards).start()
    yield hospital
    hospital.close()


@pytest.fixture
def tab(chromium: Browser, platform: Hospital) -> Iterator[Open]:
    """Open tabs of the platform. ``own_session`` for tests that end or lock it."""
    opened: list[Watched] = []

    def open_tab(
        staff_no: str = "",
        to: str = "/",
        *,
        size: tuple[int, int] = (1440, 900),
        own_session: bool = False,
    ) -> Watched:
        watched = new_tab(chromium, platform.url, size=size)
        opened.append(watched)
        return watched.sign_in(staff_no, to, own_session=own_session) if staff_no else watched

    yield open_tab
    for watched in opened:
        watched.context.close()
