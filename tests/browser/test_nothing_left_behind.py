"""SEC-DATA-12: after signing out, the computer in the corridor holds nothing of the patient."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.harness import FLAGS, Hospital, chromium_path

pytestmark = pytest.mark.browser
NOTE, DRAFT = "青石巷病人血压很高", "还没有写完的病情摘要"


@pytest.fixture
def corridor(chromium: Browser, tmp_path: Path) -> Iterator[BrowserContext]:
    """A browser that keeps a profile on its disk, as those at work do."""
    path = chromium_path()
    assert path is not None, "the fixture chromium found one"
    context = chromium.browser_type.launch_persistent_context(
        tmp_path / "profile", executable_path=path, headless=True, args=list(FLAGS)
    )
    yield context
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)


def _sign_in(page: Page, hospital: Hospital) -> None:
    login = hospital.logins["D10247"]
    page.goto(f"{hospital.url}/login")
    page.fill("#staff", login.staff_no)
    page.fill("#password", login.password)
    page.press("#password", "Enter")
    page.wait_for_url(f"{hospital.url}/")


@pytest.mark.full
def test_sec_data_12_no_page_is_kept_and_nothing_readable_stays_behind(
    corridor: BrowserContext, platform: Hospital, tmp_path: Path
) -> None:
    kept: list[str] = []
    page = corridor.new_page()
    page.on(
        "response",
        lambda reply: (
            None
            if "/static/" in reply.url or reply.headers.get("cache-control") == "no-store"
            else kept.append(reply.url)
        ),
    )
    _sign_in(page, platform)
    page.goto(f"{platform.url}/specimen/notes")
    page.fill("#text", NOTE)
    page.keyboard.press("F9")
    expect(page.locator("#said-note")).to_have_text("已保存")
    page.locator("#text").press_sequentially(DRAFT)
    page.wait_for_function("Object.keys(localStorage).some(k => k.startsWith('plugward.draft.'))")
    page.goto(f"{platform.url}/specimen/list")
    page.click("#log-out button")
    page.wait_for_url("**/login*")
    page.go_back()
    assert NOTE not in page.content()
    corridor.close()
    assert kept == []
    assert _found_in(tmp_path / "profile", "plugward.draft.")  # the search does find what is there
    for words in (NOTE, DRAFT):
        assert _found_in(tmp_path / "profile", words) == []


def _found_in(folder: Path, words: str) -> list[str]:
    forms = (words.encode(), words.encode("utf-16-le"), words.encode("unicode-escape"))
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(form in path.read_bytes() for form in forms)
    ]
