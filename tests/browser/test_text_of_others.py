"""SEC-WEB-03, -04, -05 in a real browser: whatever others wrote, it is shown and does nothing."""

import pytest
from playwright.sync_api import expect

from plugward.commons.portal.tests.test_pages_of_boards import EVIL
from tests.browser.conftest import Open

pytestmark = pytest.mark.browser


def test_sec_web_03_no_text_of_others_ever_runs(tab: Open) -> None:
    page = tab("D10247", "/specimen/notes")
    page.page.on("dialog", lambda dialog: page.complaints.append(f"dialog {dialog.message}"))
    texts = [text for text in EVIL if "\x00" not in text]
    for text in texts:
        page.page.fill("#text", text)
        page.press("F9")
        expect(page.page.locator("#said-note")).to_have_text("已保存")
        expect(page.page.locator("#text")).to_have_value("")
    for path in ("/specimen/notes", "/specimen/list", "/"):
        page.goto(path)
        page.page.wait_for_timeout(300)
        for tag in ("iframe", "object", "img"):
            assert page.page.locator(f"main {tag}").count() == 0
    page.goto("/specimen/notes")
    shown = page.page.locator(".outside").all_text_contents()
    for text in texts:
        assert any(text.strip() in found for found in shown), text
    page.calm()
