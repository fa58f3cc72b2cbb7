"""The harness: a hospital that runs beside the test, a browser, and an eye on what it says.

A page under watch counts what the person really did (keys as chords, clicks), and remembers every
console error, every breach of the content policy and every request that failed.
"""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    expect,
)

from plugward.commons.identity.demo import Login, prepare
from plugward.commons.portal.server import serve
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.board import Board
from plugward.kernel.clock import SystemClock
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases

ROOT = Path(__file__).parents[2]
AXE = ROOT / "build/test-assets/axe.min.js"
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# The cookies of whoever has signed in to a hospital: signing in is tested once, not at every page.
COOKIES: dict[tuple[str, str], list[Any]] = {}
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
START_S_MAX = 30
# What a person does, seen by the page itself: one key with its modifiers is one act.
WATCH = """
(() => {
  const modifiers = new Set(["Control", "Alt", "Shift", "Meta"]);
  addEventListener("keydown", (e) => e.isTrusted && !e.repeat && !modifiers.has(e.key)
    && window.plugwardActed("key", (e.ctrlKey ? "Ctrl+" : "") + (e.altKey ? "Alt+" : "") + e.key),
    true);
  addEventListener("pointerdown", (e) => e.isTrusted && window.plugwardActed("click", e.target.id
    || e.target.textContent.trim().slice(0, 20)), true);
  addEventListener("securitypolicyviolation", (e) => window.plugwardForbade(
    `${e.effectiveDirective} ${e.blockedURI} ${e.sample}`));
})();
"""


def chromium_path() -> str | None:
    """Debian's Chromium, if it is here."""
    found = next((path for path in CHROMIUM if Path(path).exists()), None)
    return found or shutil.which("chromium")


class Hospital:
    """A hospital in a thread of its own, served on a free port of this machine."""

    def __init__(
        self, boards: Iterable[Board], *, settings: dict[str, dict[str, Any]] | None = None
    ) -> None:
        self._boards = tuple(boards)
        self._settings = settings or {}
        self._folder = Path(tempfile.mkdtemp(prefix="plugward-browser-"))
        self._thread = threading.Thread(target=self._run, name="hospital", daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._problem: BaseException | None = None
        self.runtime: Runtime
        self.port = 0
        self.logins: dict[str, Login] = {}

    def start(self) -> "Hospital":
        self._thread.start()
        assert self._ready.wait(START_S_MAX), "the hospital did not open"
        if self._problem is not None:
            raise self._problem
        return self

    def close(self) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_S_MAX)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something inside the hospital: its contracts, as the test needs them."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S_MAX)

    def _run(self) -> None:
        try:
            asyncio.run(self._open())
        except BaseException as error:
            self._problem = error
            self._ready.set()
            raise

    async def _open(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        clock = SystemClock()
        self.runtime = Runtime(
            Databases(self._folder, durable=False),
            clock,
            AuditLog(None, clock),
            settings={"identity": {"demo": True}, "portal": {"demo": True}, **self._settings},
        )
        await self.runtime.start(self._boards)
        try:
            self.logins = {
                login.staff_no: login for login in await prepare(self.runtime, self._folder)
            }
            await serve(
                self.runtime,
                host="127.0.0.1",
                port=0,
                demo=True,
                stop=self._stop,
                listening=self._listening,
            )
        finally:
            await self.runtime.stop()

    def _listening(self, port: int) -> None:
        self.port = port
        self._ready.set()


class Watched:
    """A tab under watch."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.acts: list[tuple[str, str]] = []
        self.forbidden: list[str] = []
        self.complaints: list[str] = []
        self.failed: list[str] = []
        context.expose_function("plugwardActed", self._acted)
        context.expose_function("plugwardForbade", self._forbade)
        context.add_init_script(WATCH)
        context.on("page", self._look_at)
        self.page: Page = context.new_page()

    def _look_at(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", self._broke)
        page.on("response", self._answered)

    def _acted(self, kind: str, what: str) -> None:
        self.acts.append((kind, what))

    def _forbade(self, what: str) -> None:
        self.forbidden.append(what)

    def _broke(self, error: Any) -> None:
        self.complaints.append(f"error: {error}")

    def _said(self, message: ConsoleMessage) -> None:
        # Chromium's own line about a status is kept with the response instead.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.failed.append(f"{response.status} {response.url.removeprefix(self.url)}")

    def sign_in(self, staff_no: str, to: str = "/", *, own_session: bool = False) -> "Watched":
        """Be this person: in the session of an earlier tab, or through the door.

        ``own_session`` for tests that end or lock it.
        """
        known = COOKIES.get((self.url, staff_no))
        if known is not None and not own_session:
            self.context.add_cookies(known)
            self.goto(to)
            if "/login" not in self.page.url:  # that session has not ended meanwhile
                return self
        self._through_the_door(staff_no, to)
        if not own_session:
            COOKIES[self.url, staff_no] = self.context.storage_state()["cookies"]
        return self

    def _through_the_door(self, staff_no: str, to: str) -> None:
        """By the demo's one-click role, or the same door with any demo person's number."""
        self.page.goto(f"{self.url}/login?next={to}")
        button = self.page.locator(f"button[name=role][value={staff_no}]")
        if button.count() == 0:
            self.page.locator("button[name=role]").first.evaluate(
                "(button, staff) => (button.value = staff)", staff_no
            )
            button = self.page.locator(f"button[name=role][value={staff_no}]")
        button.click()
        self.page.wait_for_url(f"{self.url}{to}")
        self.acts.clear()

    def goto(self, path: str) -> "Watched":
        self.page.goto(self.url + path)
        return self

    def press(self, *keys: str) -> "Watched":
        for key in keys:
            self.page.keyboard.press(key)
        return self

    @property
    def keys(self) -> list[str]:
        """The keys pressed since the last ``acts.clear()``."""
        return [what for kind, what in self.acts if kind == "key"]

    def settled(self) -> "Watched":
        """Wait until the page has fetched what it fetches by itself."""
        expect(self.page.locator(".htmx-request")).to_have_count(0)
        return self

    def calm(self, *, expected: Sequence[str] = ()) -> None:
        """Nothing was complained about, nothing forbidden was tried, and nothing failed but
        ``expected`` (parts of ``status path``)."""
        assert self.forbidden == [], self.forbidden
        complaints = [c for c in self.complaints if not any(e in c for e in expected)]
        assert complaints == [], complaints
        failed = [f for f in self.failed if not any(e in f for e in expected)]
        assert failed == [], failed

    def accessible(self) -> None:
        """axe-core finds nothing against WCAG 2.1 A and AA on what is shown now."""
        found = self.violations()
        assert found == [], "\n".join(found)

    def violations(self) -> list[str]:
        """What axe-core finds on what is shown now."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text("utf-8"))
        found: list[str] = self.page.evaluate(
            "async (tags) => (await axe.run({runOnly: tags})).violations.map("
            "v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 160)).join(' | '))",
            AXE_RULES,
        )
        return found


def new_tab(
    browser: Browser,
    url: str,
    *,
    size: tuple[int, int] = (1440, 900),
) -> Watched:
    """A fresh browser profile with one tab."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        locale="zh-CN",
        timezone_id="Asia/Shanghai",
        reduced_motion="reduce",
    )
    return Watched(context, url)
