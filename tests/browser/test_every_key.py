"""Every key that a manifest declares, pressed on its page: one sees what it does.

The keys come from the boards' declarations. For each is written here what it shows; a key that
nobody wrote down, or that is declared no more, fails.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Error, expect

from plugward.boards.billing.contract import (
    Billing,
    Channel,
    ChannelAction,
    LegId,
    LineState,
    OpenBill,
    Pay,
)
from plugward.boards.billing.tests.desk import FakeChannel
from plugward.boards.calling.contract import Calling, Queue
from plugward.boards.lab.contract import Lab, WithdrawReason
from plugward.boards.orders.contract import NewLine, Orders, SignGroup
from plugward.boards.patients.contract import Patients, RegisterPatient
from plugward.kernel.pages import Page
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_date
from plugward.rack.discover import discover
from plugward.vocabulary import BillId, OrderGroupId, OrderKind, OrderLineId, PatientId, ReportId
from tests.browser.clinic_day import C1, CAO, CARDIOLOGY, SHEN, ZHOU, Morning
from tests.browser.harness import Hospital, Watched, new_tab
from tests.browser.test_cockpit_and_reports import facts_are_in
from tests.browser.test_money_and_drugs import signed_today

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(600)]

DOCTOR, CASHIER, PHARMACIST, TECHNICIAN = "D10247", "C10036", "P10043", "L10008"
TRIAGE, STEWARD, MANAGER, NURSE, ADMINISTRATOR = "T10011", "S10005", "M10001", "N10052", "A10001"
VISITS = "/datacentre/reports/encounters.visits-by-department"
SMALLEST = (1366, 768)
PATIENCE_MS = 8_000
Press = Callable[[], None]
Effect = Callable[[Watched, Press], None]
Kept = dict[str, Any]  # what a later scene needs of an earlier one


class Scene(NamedTuple):
    """A page in a state where its keys have something to do, and what they do, in this order."""

    page: str  # as declared
    staff_no: str
    path: str
    keys: dict[str, Effect]
    clicks: tuple[str, ...] = ()  # what is clicked before, one after another
    before: Callable[[Morning, Kept], Any] | None = None  # what happens in the hospital before
    size: tuple[int, int] = (1440, 900)


# ── what a key may do ────────────────────────────────────────────────────────────────────────
def focuses(field: str) -> Effect:
    def effect(tab: Watched, press: Press) -> None:
        tab.page.evaluate("document.activeElement.blur()")
        press()
        expect(tab.page.locator(field)).to_be_focused()

    return effect


def says(words: str = "", *, fill: dict[str, str] | None = None) -> Effect:
    """The line that tells what happened says so, or the page does."""

    def effect(tab: Watched, press: Press) -> None:
        for field, value in (fill or {}).items():
            tab.page.locator(field).first.fill(value)
        press()
        if words:
            expect(tab.page.locator("body")).to_contain_text(words)
        else:
            expect(tab.page.locator("#said-note")).not_to_be_empty()

    return effect


def goes(path: str, *, fill: dict[str, str] | None = None) -> Effect:
    def effect(tab: Watched, press: Press) -> None:
        for field, value in (fill or {}).items():
            tab.page.locator(field).first.fill(value)
        press()
        tab.page.wait_for_url(re.compile(re.escape(tab.url) + path))

    return effect


def checks(field: str) -> Effect:
    def effect(tab: Watched, press: Press) -> None:
        press()
        expect(tab.page.locator(field)).to_be_checked()

    return effect


def shows(selector: str) -> Effect:
    def effect(tab: Watched, press: Press) -> None:
        press()
        expect(tab.page.locator(selector).first).to_be_visible()

    return effect


def opens(path: str) -> Effect:
    def effect(tab: Watched, press: Press) -> None:
        with tab.context.expect_page() as opened:
            press()
        opened.value.wait_for_url(re.compile(path))
        opened.value.close()

    return effect


def downloads(tab: Watched, press: Press) -> None:
    with tab.page.expect_download() as file:
        press()
    assert file.value.suggested_filename


def answers(tab: Watched, press: Press) -> None:
    """The server is asked and the page is drawn anew with what it says."""
    with tab.page.expect_response(lambda answer: answer.status < 400):
        press()
    tab.settled()


NOT_HERE = says("此处没有可用的按钮")


def chooses_papers(tab: Watched, press: Press) -> None:
    first = tab.page.locator("#documents input[type=checkbox]").first
    tab.page.evaluate("document.activeElement.blur()")
    expect(first).to_be_checked()
    press()
    expect(first).not_to_be_checked()


def chooses_all(tab: Watched, press: Press) -> None:
    left = tab.page.locator("#documents input[type=checkbox]:not(:checked)")
    expect(left).not_to_have_count(0)
    press()
    expect(left).to_have_count(0)


def signs(tab: Watched, press: Press) -> None:
    page = tab.page
    tab.press("F8")
    page.keyboard.type("L0026")
    tab.press("Enter")
    expect(page.locator("#test-lines tbody tr")).not_to_have_count(0)
    expect(page.locator("#test-text")).to_be_focused()
    press()
    expect(page.locator("#test-lines input")).to_have_count(0)
    expect(page.locator("#test-lines .tag.n").last).to_have_text("已签名")


def dispenses(tab: Watched, press: Press) -> None:
    page = tab.page
    for code in ("D0034", "D0034", "D0171", "D0171", "D0052", "D0052"):
        before = page.locator(".tb tr", has_text="正确").count()
        expect(page.locator("#scan")).to_be_focused()
        page.keyboard.type(code)
        tab.press("Enter")
        expect(page.locator(".tb tr", has_text="正确")).to_have_count(before + 1)
    press()
    expect(page.locator(".ban b")).to_have_count(0)


def draws_every_tube(tab: Watched, press: Press) -> None:
    tubes = tab.page.locator("main form[hx-post='/lab/collect']")
    while count := tubes.count():
        press()
        expect(tubes).to_have_count(count - 1)
    expect(tab.page.locator("#said-note")).to_contain_text("已采集")


def receives_and_issues(tab: Watched, press: Press) -> None:
    tab.page.get_by_role("textbox", name="钾").fill("7.1")
    press()
    expect(tab.page.locator("main")).to_contain_text("报告已签发")


def receives_and_saves(tab: Watched, press: Press) -> None:
    expect(tab.page.locator("#issue")).to_contain_text("接收")
    tab.press("F9")
    tab.page.get_by_role("textbox", name="钾").fill("6.9")
    press()
    tab.page.wait_for_url("**state=resulted*")
    expect(tab.page.locator("#said-note")).not_to_be_empty()
    expect(tab.page.get_by_role("textbox", name="钾")).to_have_value("6.9")


def accepts_the_suggestion(tab: Watched, press: Press) -> None:
    expect(tab.page.locator("#f-dose")).to_have_value("100")
    press()
    expect(tab.page.locator("#f-dose")).to_have_value("10")
    expect(tab.page.locator("#f-dose")).not_to_have_attribute("aria-invalid", "true")


# ── the hospital ─────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def hospital() -> Iterator[Hospital]:
    opened = Hospital(discover(frozenset({"hub"})).boards).start()
    opened.runtime.outside = FakeChannel()
    yield opened
    opened.close()


async def a_busy_morning(morning: Morning) -> Morning:
    """One has paid for drugs and tests, one is to pay, one has a potassium to be drawn."""
    await signed_today(morning)
    await sign(morning, CAO, OrderKind.LAB, "L0033")
    await pay(morning, ZHOU)
    await pay(morning, CAO)
    return morning


async def sign(morning: Morning, name: str, kind: OrderKind, item: str) -> None:
    line = NewLine(id=OrderLineId(new_id()), kind=kind, item=item)
    with morning._as("doctor"):
        await morning.runtime.client(Orders).sign(
            SignGroup(
                id=OrderGroupId(new_id()),
                encounter=morning.visits[name],
                patient=morning.patients[name],
                campus=C1,
                department=CARDIOLOGY,
                lines=(line,),
            )
        )
    await morning.runtime.quiet(patience_s=60)


async def pay(morning: Morning, name: str, channel: Channel = Channel.CASH) -> BillId:
    billing, visit, bill = morning.runtime.client(Billing), morning.visits[name], BillId(new_id())
    with morning._as("cashier"):
        account = await billing.account(visit)
    charges = tuple(line.id for line in account.lines if line.state is LineState.PENDING)
    with morning._as("cashier"):
        await billing.open_bill(OpenBill(id=bill, encounter=visit, campus=C1, charges=charges))
    with morning._as("cashier"):
        await billing.pay(Pay(id=LegId(new_id()), bill=bill, channel=channel))
    await morning.runtime.quiet(patience_s=60)
    return bill


async def queues(morning: Morning) -> list[Queue]:
    calling, doctor = morning.runtime.client(Calling), morning.member("doctor")
    with morning._as("doctor"):
        desks = await calling.queues_of(doctor.id, hospital_date(morning.runtime.clock.now()))
    found = []
    for desk in dict.fromkeys(desk.queue for desk in desks):
        with morning._as("doctor"):
            found.append(await calling.queue(desk))
    return found


async def someone_is_missed(morning: Morning, kept: Kept) -> None:
    """The doctor has called somebody three times, who did not come."""
    calling, doctor = morning.runtime.client(Calling), morning.member("doctor")
    queue = next(queue for queue in await queues(morning) if queue.waiting)
    with morning._as("doctor"):
        ticket = await calling.call_next(queue.waiting[0].queue, doctor.id)
    for _ in range(2):
        with morning._as("doctor"):
            await calling.recall(ticket.id)
    with morning._as("doctor"):
        await calling.miss(ticket.id)
    kept["hall"] = f"/calling/hall?queue={quote(ticket.queue)}"


async def who_was_called_comes_in(morning: Morning, kept: Kept) -> None:
    del kept
    for ticket in [ticket for queue in await queues(morning) for ticket in queue.called]:
        with morning._as("doctor"):
            await morning.runtime.client(Calling).serve(ticket.id)
    await morning.runtime.quiet(patience_s=60)


async def two_alike(morning: Morning, kept: Kept) -> None:
    del kept
    for name in ("孔明", "孔鸣"):
        patient = RegisterPatient(
            id=PatientId(new_id()), campus=C1, name=name, birth_date=date(1950, 1, 2)
        )
        with morning._as("registrar"):
            await morning.runtime.client(Patients).register(patient)
    await morning.runtime.quiet(patience_s=60)


async def the_channel_is_silent(morning: Morning, kept: Kept) -> None:
    """A payment nobody answers; by the time the cashier asks, the channel speaks again."""
    del kept
    channel = morning.runtime.outside
    assert isinstance(channel, FakeChannel)
    await sign(morning, SHEN, OrderKind.LAB, "L0026")
    channel.silent = set(ChannelAction)
    await pay(morning, SHEN, Channel.PHONE)
    channel.silent = set()


async def the_report_is_withdrawn(morning: Morning, kept: Kept) -> None:
    report = ReportId(UUID(kept["report"].rpartition("/")[2]))
    with morning._as("lab-technician"):
        await morning.runtime.client(Lab).withdraw(report, next(iter(WithdrawReason)))


def scenes(morning: Morning) -> list[Scene]:
    """In the order of a morning: what one page ends, the next may need."""
    shen, zhou = f"/clinic/visits/{morning.visits[SHEN]}", f"/clinic/visits/{morning.visits[ZHOU]}"
    counter = f"/billing/cashier?encounter={morning.visits[SHEN]}"
    fields = {
        "F6": focuses("#f-complaint"),
        "F7": focuses("#drug-text"),
        "F8": focuses("#test-text"),
        "Alt+D": focuses("#diagnosis-text"),
    }
    of_a_visit: dict[str, Effect] = {
        **fields,
        "F10": opens("/print$"),
        "Alt+H": shows(".context.open"),
        "Alt+C": shows("#refusal:not(:empty)"),  # there is no earlier note
        "F9": signs,
        "F4": shows(".ban b"),
    }
    visit, nobody = "/clinic/visits/{encounter}", (*fields, "Alt+R", "Alt+C", "F9", "F10", "Alt+H")
    cockpit = goes("/datacentre/cockpit")
    window, lab = "/pharmacy/window", "/lab/worklist"
    receipt = {
        "#receive-item": "D0034",
        "#batch": "B-77",
        "#expires": "2031-01-31",
        "#quantity": "5",
    }
    return [
        Scene("/patients/find", TRIAGE, "/patients/find", {"F2": focuses("#find-text")}),
        Scene(
            "/patients/duplicates",
            STEWARD,
            "/patients/duplicates",
            {"F9": says("没有待核对的档案")},
            before=two_alike,
        ),
        Scene(
            "/registration/desk",
            TRIAGE,
            "/registration/desk",
            {
                "F2": focuses("#who"),
                "F4": focuses("#new-name"),
                "F9": says("挂号并签到", fill={"#new-name": "秦风"}),
            },
        ),
        Scene(
            "/calling/hall",
            TRIAGE,
            "hall",
            {"F3": answers, "F8": goes("/calling/screen")},
            before=someone_is_missed,
        ),
        Scene("/clinic", DOCTOR, "/clinic", dict.fromkeys(nobody, NOT_HERE)),
        Scene(visit, DOCTOR, zhou, {"Alt+R": shows("#take-over")}),
        Scene(visit, DOCTOR, shen, of_a_visit, size=SMALLEST),
        Scene(
            "/clinic",
            DOCTOR,
            "/clinic",
            {"F4": shows(".ban b")},
            before=who_was_called_comes_in,
        ),
        Scene("/billing/cashier", CASHIER, "/billing/cashier", {"F2": focuses("#who")}),
        Scene(
            "/billing/cashier",
            CASHIER,
            counter,
            {
                "Space": chooses_papers,
                "Ctrl+A": chooses_all,
                "F7": answers,
                "F8": checks("#pay-card"),
                "F4": checks("#pay-cash"),
                "F3": checks("#pay-phone"),
                "F9": says("C1-S0000000", fill={"#code": "285500000000000001"}),
            },
        ),
        Scene("/billing/cashier", CASHIER, counter, {"F10": goes("/billing/receipts/")}),
        Scene(
            "/billing/unresolved",
            CASHIER,
            "/billing/unresolved",
            {"F9": says("没有未决款项")},
            before=the_channel_is_silent,
        ),
        Scene(
            window,
            PHARMACIST,
            window,
            {"F7": answers, "F2": focuses("#scan")},
            clicks=(f"#pharmacy-queue a.q:has-text('{ZHOU}')",),
        ),
        Scene(window, PHARMACIST, window, {"F4": shows(".ban b"), "F9": dispenses}),
        Scene(
            window,
            PHARMACIST,
            window,
            {"F6": says("挂起"), "F8": goes("/pharmacy/counselling/")},
            clicks=("#pharmacy-queue a.q",),
        ),
        Scene(
            "/pharmacy/returns",
            PHARMACIST,
            "/pharmacy/returns",
            {"F9": says(fill={"input[name=quantity]": "1"})},
            clicks=("a.q",),
        ),
        Scene(
            "/drug_store/stock",
            PHARMACIST,
            "/drug_store/stock",
            {
                "F2": focuses("#item"),
                "F8": focuses("#receive-item"),
                "F9": says("B-77", fill=receipt),
            },
        ),
        Scene("/lab/collection", NURSE, "/lab/collection", {"F9": draws_every_tube}),
        Scene(
            lab,
            TECHNICIAN,
            f"{lab}?state=collected",
            {"F2": focuses("#barcode"), "F8": receives_and_saves, "F9": receives_and_issues},
            clicks=(f"#lab-list a.q:has-text('{CAO}')",),
        ),
        Scene(
            "/lab/critical/{critical}",
            DOCTOR,
            "/lab/critical",
            {"F9": says("已确认")},
            clicks=("main a[href^='/lab/critical/']",),
        ),
        Scene(
            "/lab/reports/{report}",
            DOCTOR,
            "report",
            {"F9": goes("/$")},
            before=the_report_is_withdrawn,
        ),
        Scene(
            "/billing/refunds",
            CASHIER,
            counter,
            {
                "F2": focuses("#who"),
                "F9": says(fill={"tr:has-text('营养') input[name=units]": "1"}),
            },
            clicks=("a[href^='/billing/refunds?bill=']",),
        ),
        Scene("/billing/day", CASHIER, "/billing/day", {"F9": says("日结单")}),
        Scene("/datacentre/reports", MANAGER, "/datacentre/reports", {"F4": cockpit}),
        Scene(
            "/datacentre/reports/{report}",
            MANAGER,
            VISITS,
            {
                "F6": focuses("#since"),
                "F8": downloads,
                "F9": goes(f"{VISITS}.*since=2020-01-01", fill={"#since": "2020-01-01"}),
                "F4": cockpit,
            },
        ),
        Scene(
            "/datacentre/reports/{report}/facts",
            MANAGER,
            VISITS,
            {"F4": cockpit},
            clicks=("main td a[href*='/facts']",),
        ),
        Scene(
            "/identity/open/{patient}",
            NURSE,
            f"/identity/open/{morning.patients[SHEN]}",
            {"F9": goes("/$", fill={"#words": "转来抢救，查既往用药"})},
        ),
        Scene(
            "/portal/states",
            ADMINISTRATOR,
            "/portal/states",
            {"F9": answers, "Alt+1": accepts_the_suggestion},
        ),
    ]


def declared(hospital: Hospital) -> set[tuple[str, str]]:
    pages: list[Page] = [
        page
        for plugged in hospital.runtime.plugged.values()
        for page in plugged.board.pages
        if page.method == "GET"
    ]
    return {(page.path, key.key) for page in pages for key in page.keys}


def play(tab: Watched, scene: Scene, kept: Kept) -> None:
    tab.page.set_default_timeout(PATIENCE_MS)
    tab.sign_in(scene.staff_no, kept.get(scene.path, scene.path))
    for selector in scene.clicks:
        tab.settled().page.locator(selector).first.click()
    tab.settled()
    for key, effect in scene.keys.items():
        modifier, _, last = key.rpartition("+")
        chord = {"Ctrl": "Control+", "": ""}.get(modifier, f"{modifier}+") + last
        if modifier:
            chord = chord[: -len(last)] + last.lower()
        try:
            effect(tab, lambda chord=chord: tab.press(chord) and None)
        except (AssertionError, Error) as wrong:
            wrong.add_note(f"{key} on {scene.page} ({tab.page.url})")
            raise
    if scene.page == "/lab/critical/{critical}":
        tab.page.get_by_role("link", name="报告").click()
        tab.page.wait_for_url("**/lab/reports/*")
        kept["report"] = tab.page.url.removeprefix(tab.url)


def test_every_declared_key_does_something_one_sees(chromium: Browser, hospital: Hospital) -> None:
    """清单声明的每个按键：在其页面上按下，看得见结果。"""
    morning: Morning = hospital.run(a_busy_morning(Morning(hospital.runtime)))
    hospital.run(facts_are_in(hospital))
    kept: Kept = {}
    told = set()
    for scene in scenes(morning):
        if scene.before is not None:
            hospital.run(scene.before(morning, kept))
        tab = new_tab(chromium, hospital.url, size=scene.size)
        play(tab, scene, kept)
        assert tab.forbidden == []
        # The sheet of states shows a panel that fails.
        assert [said for said in tab.complaints if "/portal/states/broken" not in said] == []
        tab.context.close()
        told |= {(scene.page, key) for key in scene.keys}
    assert told == declared(hospital)
