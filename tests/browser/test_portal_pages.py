"""The portal's own pages in a real browser: they look, speak and behave as promised."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.harness import Hospital

pytestmark = pytest.mark.browser

DOCTOR = "D10247"
ADMINISTRATOR = "A10001"
PAGES = ["/", "/portal/boards", "/portal/parked", "/portal/states", "/portal/me"]


def test_the_login_page_is_calm_and_accessible(tab: Open) -> None:
    login = tab()
    login.goto("/")
    expect(login.page.locator("#staff")).to_be_focused()
    login.calm()
    login.accessible()
    login.goto("/activate")
    login.calm()
    login.accessible()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_calm_and_accessible(tab: Open, platform: Hospital, path: str) -> None:
    """SEC-WEB-01: no breach of the content policy; no console error; axe-core finds nothing."""
    page = tab(ADMINISTRATOR)
    for language in ("zh-CN", "en"):
        page.context.add_cookies(
            [{"name": "plugward-language", "value": language, "url": platform.url}]
        )
        page.goto(path).settled()
        assert page.page.locator("html").get_attribute("lang") == language
        page.calm(expected=["/portal/states/broken"])
        page.accessible()


def test_the_smallest_screen_scrolls_no_page(tab: Open) -> None:
    page = tab(ADMINISTRATOR, size=(1366, 768))
    for path in PAGES:
        page.goto(path)
        height = page.page.evaluate("document.documentElement.scrollHeight")
        width = page.page.evaluate("document.documentElement.scrollWidth")
        assert (path, width, height) == (path, 1366, 768)


def test_signing_in_takes_one_field_a_password_and_enter(tab: Open, platform: Hospital) -> None:
    """The workplace is remembered; the home page is ready within a second."""
    first = tab()
    first.goto("/login")
    login = platform.logins[DOCTOR]
    first.page.fill("#staff", login.staff_no)
    first.page.fill("#password", login.password)
    first.press("Enter")
    first.page.wait_for_url(f"{platform.url}/")
    expect(first.page.locator(".who")).to_contain_text("林予安")
    ready = first.page.evaluate(
        "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    )
    assert ready < 1000
    first.calm()


def test_icons_are_drawn_from_the_sprite(tab: Open) -> None:
    page = tab(DOCTOR)
    box = page.page.evaluate("document.querySelector('.rail svg use').getBBox().width")
    assert box > 5


# ── keys ──────────────────────────────────────────────────────────────────────────────────────
def test_the_f1_sheet_lists_the_keys_of_this_page(tab: Open) -> None:
    page = tab(DOCTOR, "/specimen/notes")
    page.press("F1")
    sheet = page.page.locator("#key-sheet")
    expect(sheet).to_be_visible()
    expect(sheet).to_contain_text("保存")
    page.press("Escape")
    expect(sheet).to_be_hidden()
    page.calm()


def test_alt_1_opens_the_first_board_from_home(tab: Open, platform: Hospital) -> None:
    page = tab(DOCTOR)
    page.press("Alt+1")
    page.page.wait_for_url(f"{platform.url}/specimen/notes")
    assert page.keys == ["Alt+1"]


def test_a_function_key_focuses_a_field_and_another_presses_a_button(tab: Open) -> None:
    page = tab(DOCTOR, "/specimen/notes")
    page.press("F6")
    expect(page.page.locator("#text")).to_be_focused()
    page.page.keyboard.type("按键写成")
    page.press("F9")
    expect(page.page.locator(".q").filter(has_text="按键写成").first).to_be_visible()
    expect(page.page.locator("#said-note")).to_have_text("已保存")
    page.calm()


def test_keys_do_nothing_while_an_input_method_is_composing(tab: Open) -> None:
    page = tab(DOCTOR, "/specimen/notes")
    page.press("F6")
    page.page.evaluate(
        "document.querySelector('#text').dispatchEvent(new KeyboardEvent('keydown',"
        "{key: 'F1', code: 'F1', isComposing: true, bubbles: true, cancelable: true}))"
    )
    expect(page.page.locator("#key-sheet")).to_be_hidden()


def test_single_letters_belong_to_the_field_that_has_the_focus(tab: Open) -> None:
    page = tab(DOCTOR, "/specimen/notes")
    page.press("F6")
    page.page.keyboard.type("jk")
    assert page.page.input_value("#text") == "jk"
    expect(page.page.locator("#text")).to_be_focused()


def test_j_and_k_walk_the_list(tab: Open) -> None:
    page = tab(DOCTOR, "/specimen/notes")
    for text in ("列表甲", "列表乙"):
        page.press("F6")
        page.page.keyboard.type(text)
        page.press("F9")
        expect(page.page.locator(".q").filter(has_text=text).first).to_be_visible()
    page.page.locator("body").click(position={"x": 700, "y": 600})
    page.press("j", "j")
    expect(page.page.locator("[data-row]").nth(1)).to_be_focused()
    page.press("k")
    expect(page.page.locator("[data-row]").nth(0)).to_be_focused()


def test_the_command_palette_finds_a_page(tab: Open, platform: Hospital) -> None:
    page = tab(ADMINISTRATOR)
    page.press("Control+k")
    page.page.keyboard.type("插板")
    page.press("Enter")
    page.page.wait_for_url(f"{platform.url}/portal/boards")
    page.calm()


# ── states ────────────────────────────────────────────────────────────────────────────────────
def test_a_panel_that_fails_fails_alone_and_can_be_retried(tab: Open) -> None:
    page = tab(ADMINISTRATOR, "/portal/states")
    panel = page.page.locator("#state-error")
    expect(panel).to_contain_text("处方审核暂不可用")
    expect(panel).to_contain_text("您的处方没有丢失")
    expect(panel.locator("[data-error-id]")).not_to_be_empty()
    before = len(page.failed)
    page.page.locator("body").click(position={"x": 700, "y": 880})
    with page.page.expect_response("**/portal/states/broken"):
        page.press("r")
    page.page.wait_for_timeout(100)
    assert len(page.failed) == before + 1
    expect(page.page.locator("main")).to_contain_text("告警分级")


def test_a_chart_is_drawn_and_has_a_table_that_says_the_same(tab: Open) -> None:
    page = tab(ADMINISTRATOR, "/portal/states")
    figure = page.page.locator("#example-chart")
    expect(figure.locator("canvas")).to_be_visible()
    assert figure.locator("[role=img]").get_attribute("aria-label")
    page.page.click("button[data-chart-table]")
    expect(figure.locator("table")).to_be_visible()
    expect(figure.locator("canvas")).to_be_hidden()
    expect(figure.locator("tbody tr")).to_have_count(10)
    page.calm(expected=["/portal/states/broken"])


def test_a_refusal_stands_in_the_form_and_keeps_what_was_typed(tab: Open) -> None:
    page = tab(DOCTOR, "/specimen/notes")
    for _ in range(2):
        page.page.fill("#text", "写两遍的话")
        page.press("F9")
        page.page.wait_for_timeout(250)
    expect(page.page.locator(".refusal")).to_contain_text("已有相同的记录：写两遍的话")
    assert page.page.input_value("#text") == "写两遍的话"
    page.calm(expected=["409 /specimen/write"])


# ── drafts ────────────────────────────────────────────────────────────────────────────────────
TYPED = "发现血压升高 8 年，头胀 1 周。"


@pytest.mark.parametrize("way", ["reload", "back", "close", "log out"])
def test_nothing_typed_is_lost(tab: Open, way: str) -> None:
    """F5, Back, closing the tab and a lost session: the draft is offered first of all."""
    page = tab(DOCTOR, own_session=True)
    page.goto("/specimen/notes")
    page.page.locator("#text").press_sequentially(TYPED)
    if way == "reload":
        page.page.reload()
    elif way == "back":
        page.page.go_back()
        page.page.go_forward()
    elif way == "close":
        page.page.close()
        page.page = page.context.new_page()
        page.goto("/specimen/notes")
    else:
        page.page.click("#log-out button")
        page.sign_in(DOCTOR, "/specimen/notes", own_session=True)
    if way == "back":  # the browser may put it back by itself; then it is still sealed
        page.page.wait_for_timeout(500)
        if page.page.input_value("#text") == TYPED:
            stored = page.page.evaluate("Object.keys(localStorage).join()")
            assert "specimen.note" in stored
            return
    found = page.page.locator("[data-title]")
    expect(found).to_contain_text("已找回")
    page.page.click("button[data-choice=show]")
    expect(page.page.locator("[data-difference]")).to_contain_text(TYPED)
    page.page.click("button[data-choice=restore]")
    assert page.page.input_value("#text") == TYPED


def test_drafts_lie_sealed_on_the_device(tab: Open) -> None:
    page = tab(DOCTOR, "/specimen/notes")
    page.page.locator("#text").press_sequentially(TYPED)
    page.page.wait_for_timeout(1000)
    stored = page.page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    assert "plugward.draft." in stored
    assert "血压" not in stored
    expect(page.page.locator("#draft-note")).to_contain_text("草稿已加密存于本机")


def test_somebody_else_at_the_same_computer_is_not_offered_the_draft(tab: Open) -> None:
    page = tab(DOCTOR, "/specimen/notes", own_session=True)
    page.page.locator("#text").press_sequentially(TYPED)
    page.page.wait_for_timeout(200)
    page.page.click("#log-out button")
    page.sign_in("D10101", "/specimen/notes", own_session=True)
    page.page.wait_for_timeout(400)
    expect(page.page.locator("[data-choice=restore]")).to_have_count(0)


def test_a_draft_that_became_a_record_is_gone(tab: Open) -> None:
    page = tab(DOCTOR, "/specimen/notes")
    page.page.locator("#text").press_sequentially("成为记录的草稿")
    page.press("F9")
    expect(page.page.locator(".q").filter(has_text="成为记录的草稿").first).to_be_visible()
    page.page.wait_for_timeout(200)
    page.page.reload()
    page.page.wait_for_timeout(400)
    expect(page.page.locator("[data-choice=restore]")).to_have_count(0)


# ── offline, lock ─────────────────────────────────────────────────────────────────────────────
def test_without_a_connection_writing_goes_on_and_saving_says_why_not(tab: Open) -> None:
    page = tab(DOCTOR, "/specimen/notes")
    expect(page.page.locator("#conn")).to_have_text("实时")
    page.context.set_offline(True)
    page.page.evaluate("dispatchEvent(new Event('offline'))")
    expect(page.page.locator("#conn")).to_contain_text("离线")
    expect(page.page.locator("#save")).to_be_disabled()
    assert page.page.locator("#save").get_attribute("title") == "需要联网后才能执行"
    page.page.locator("#text").press_sequentially("离线书写")
    page.page.wait_for_timeout(300)
    assert "plugward.draft." in page.page.evaluate("JSON.stringify({...localStorage})")
    page.context.set_offline(False)
    page.page.reload()
    expect(page.page.locator("#conn")).to_have_text("实时")
    expect(page.page.locator("#save")).to_be_enabled()


def test_locking_blanks_the_page_and_keeps_the_draft(tab: Open, platform: Hospital) -> None:
    page = tab(DOCTOR, "/specimen/notes", own_session=True)
    page.page.locator("#text").press_sequentially(TYPED)
    page.press("Escape", "Alt+l")
    expect(page.page.locator("h2").filter(has_text="已锁屏")).to_be_visible()
    assert "血压" not in page.page.content()
    page.page.fill("#password", platform.logins[DOCTOR].password)
    page.press("Enter")
    expect(page.page.locator(".who")).to_contain_text("林予安")
    page.goto("/specimen/notes")
    expect(page.page.locator("[data-title]")).to_contain_text("已找回")


def test_a_search_field_walks_its_hits_and_keeps_the_focus(tab: Open) -> None:
    page = tab(DOCTOR, "/specimen/notes")
    page.page.evaluate(
        """() => {
        const row = document.createElement("div");
        row.innerHTML = '<input class="in" id="search" data-combo="#hits" aria-label="药品">'
          + '<div id="hits" role="listbox" class="clinic-hits" aria-label="药品">'
          + '<button type="button" role="option" data-option>甲</button>'
          + '<button type="button" role="option" data-option>乙</button></div>';
        document.querySelector("main form").prepend(row);
        htmx.process(row);
        row.addEventListener("click", (e) => document.title = e.target.textContent);
        }"""
    )
    page.page.focus("#search")
    page.press("ArrowDown", "ArrowDown", "ArrowUp", "ArrowDown", "Enter")
    expect(page.page).to_have_title("乙")
    expect(page.page.locator("#search")).to_be_focused()
    assert page.page.get_attribute("#search", "aria-activedescendant")
    page.press("Escape")
    expect(page.page.locator("#hits")).to_be_hidden()
    expect(page.page.locator("#search")).to_be_focused()


def test_a_parked_event_is_replayed_from_its_row(tab: Open, platform: Hospital) -> None:
    """From the alert to the failing message two keys, replay one act."""
    service = platform.runtime.plugged["specimen"].service
    service.archive_closed = True
    doctor = tab(DOCTOR, "/specimen/notes")
    doctor.page.fill("#text", "归档失败的记录")
    doctor.press("F9")
    expect(doctor.page.locator("#said-note")).to_have_text("已保存")
    page = tab(ADMINISTRATOR)
    page.goto("/portal/parked")
    row = page.page.locator("tr[data-row]")
    expect(row).to_have_count(1)
    page.accessible()
    page.page.get_by_role("button", name="重放").click()
    expect(page.page.locator(".refusal")).to_contain_text("仍未成功")
    service.archive_closed = False
    page.page.get_by_role("button", name="重放").click()
    expect(page.page.locator("main")).to_contain_text("没有搁置的事件")
    page.calm(expected=["409 /portal/parked/replay"])
