"""Every page of every board, as every role and in both languages; and one visit through all desks.

The pages come from the boards' own declarations, so a new page is walked the day it is declared.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, expect

from plugward.boards.billing.tests.desk import FakeChannel
from plugward.commons.identity.seed import DEMO_STAFF
from plugward.commons.portal.table import Table
from plugward.kernel.pages import Page, Place
from plugward.rack.discover import discover
from tests.browser.clinic_day import CAO, SHEN, ZHOU, Morning
from tests.browser.harness import Hospital, Watched, new_tab
from tests.browser.test_doctor_workstation import add_drug, open_visit

pytestmark = pytest.mark.browser

SIGNED = [
    *(("D0034", 2), ("D0171", 2), ("D0052", 2)),
    *(("L0162", 1), ("L0026", 1), ("E0039", 1)),
]
LIN, GU, XU = "D10247", "C10036", "P10043"
HAN = re.compile(r"[\u4e00-\u9fff]")
LANGUAGES = ("zh-CN", "en")
# The hall's screen speaks both to everybody; the sheet of components shows examples in Chinese.
BILINGUAL = ("/calling/screen", "/portal/states")
# Words of the page itself. Names of people, drugs and documents are the hospital's data.
OWN_WORDS = """
(known) => {
  const own = "h1,h2,h3,th,button,label,legend,summary,dt,.btn,.keys,.rail,.find,.tile,.empty"
    + ",.brand small,.top .sel,.stat .l,.seg,.tabs,.lb";
  const found = new Set();
  for (const element of document.querySelectorAll(own)) {
    if (element.offsetParent === null) continue;
    let text = element.textContent + " " + (element.getAttribute("aria-label") ?? "");
    for (const name of known) text = text.replaceAll(name, "");
    if (/[\\u4e00-\\u9fff]/.test(text)) found.add(text.trim().replace(/\\s+/g, " ").slice(0, 60));
  }
  for (const input of document.querySelectorAll("[placeholder]"))
    if (/[\\u4e00-\\u9fff]/.test(input.placeholder)) found.add(input.placeholder);
  return [...found];
}
"""


@pytest.fixture(scope="module")
def hospital() -> Iterator[Hospital]:
    opened = Hospital(discover(frozenset({"hub"})).boards).start()
    opened.runtime.outside = FakeChannel()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def morning(hospital: Hospital) -> Morning:
    made: Morning = hospital.run(Morning(hospital.runtime).prepare())
    return made


# ── one visit ─────────────────────────────────────────────────────────────────────────────────
def test_one_visit_from_the_doctor_over_the_cashier_to_the_drugs(
    chromium: Browser, hospital: Hospital, morning: Morning
) -> None:
    """三药三项 418.32 → 手改 387.72 → 签名；收费 医保 325.53 自付 62.19；药房 6 盒 92.72。"""
    doctor = new_tab(chromium, hospital.url).sign_in(LIN, "/clinic")
    _prescribe(open_visit(doctor, morning, SHEN))
    assert hospital.run(morning.orders_of(SHEN)) == SIGNED
    doctor.calm()
    doctor.context.close()

    cashier = new_tab(chromium, hospital.url).sign_in(GU, "/billing/cashier")
    _settle(cashier)
    cashier.calm()
    cashier.context.close()

    window = new_tab(chromium, hospital.url).sign_in(XU, "/pharmacy/window")
    _hand_out(window)
    window.calm()
    window.context.close()


def _prescribe(doctor: Watched) -> None:
    page = doctor.page
    for letters, dose, packs in (("bhsaldp", "10", "2"), ("yse", "0.5", "2"), ("xft", "40", "4")):
        add_drug(doctor, letters, dose, packs)
    for number, letters in enumerate(("L0162", "thxh", "E0039"), 1):
        doctor.press("F8")
        page.keyboard.type(letters)
        doctor.press("Enter")
        expect(page.locator("#test-lines tbody tr")).to_have_count(number)
        expect(page.locator("#test-text")).to_be_focused()
    expect(page.locator("#total-amount")).to_have_text("¥418.32")
    expect(page.locator("#drug-lines tbody tr").nth(2).locator("td.b")).to_have_text("61.20")
    by_hand = page.locator("#drug-lines tbody tr").nth(2).locator("input[name=quantity]")
    by_hand.fill("2")
    by_hand.press("Tab")
    expect(page.locator("#total-amount")).to_have_text("¥387.72")
    expect(page.locator("#drug-lines tbody tr").nth(2).locator("td.b")).to_have_text("30.60")
    doctor.press("F9")
    expect(page.locator("#drug-lines input")).to_have_count(0)
    expect(page.locator("#total-amount")).to_have_text("¥387.72")


def _settle(cashier: Watched) -> None:
    """Found by name, the registration left for later with J and Space, paid by a scanned code."""
    page = cashier.page
    cashier.press("F2")
    page.keyboard.type(SHEN)
    cashier.press("Enter")
    expect(page.locator(".ban b").first).to_have_text(SHEN)
    papers = page.locator("label.billing-bl")
    expect(papers.filter(has_text="西药")).to_have_count(1)
    fee = papers.filter(has_text="挂号")
    if fee.count():
        place = papers.all_inner_texts().index(fee.first.inner_text())
        cashier.press(*["j"] * (place + 1), "Space")
        expect(fee.locator("input")).not_to_be_checked()
    expect(page.locator(".billing-big")).to_have_text("¥62.19")
    for amount in ("387.72", "325.53"):
        expect(page.locator(".billing-due")).to_contain_text(amount)
    drugs = page.locator("tr.sub", has_text="西药").first
    expect(drugs).to_contain_text("92.72")
    page.locator("#code").fill("285500000000000001")
    cashier.press("F9")
    expect(page.locator("#main")).to_contain_text("C1-S0000000")


def _hand_out(window: Watched) -> None:
    page = window.page
    window.press("F4")
    expect(page.locator(".ban b").first).to_have_text(SHEN)
    expect(page.locator("#rows")).to_contain_text("每日一次")
    for code in ("D0034", "D0034", "D0171", "D0171", "D0052", "D0052"):
        before = page.locator(".tb tr", has_text="正确").count()
        expect(page.locator("#scan")).to_be_focused()
        page.keyboard.type(code)
        window.press("Enter")
        expect(page.locator(".tb tr", has_text="正确")).to_have_count(before + 1)
    window.press("F9")
    expect(page.locator("#pharmacy-queue .q")).to_have_count(0)


# ── every page ────────────────────────────────────────────────────────────────────────────────
class Walk(NamedTuple):
    """What a walk has seen: routes that were answered, and what was wrong."""

    answered: set[str]
    wrong: list[str]


def declared(hospital: Hospital) -> list[Page]:
    return [
        page
        for plugged in hospital.runtime.plugged.values()
        for page in plugged.board.pages
        if page.method == "GET"
    ]


def people() -> dict[str, str]:
    """One demo person of every role."""
    found: dict[str, str] = {}
    for person in DEMO_STAFF:
        if person.role != "screen":  # shows one page, and nothing else
            found.setdefault(person.role, person.staff_no)
    return found


def names() -> list[str]:
    """What stays as it is in English: people, the hospital, and the language's own name."""
    kept = {person.name for person in DEMO_STAFF}
    kept |= {ZHOU, SHEN, CAO, "示范市第一医院", "主院区门诊药房", "中文"}
    return sorted(kept, key=len, reverse=True)


def walk(
    tab: Watched,
    hospital: Hospital,
    paths: list[str],
    known: list[str],
    *,
    done: Iterable[str] = (),
    axe: bool = True,
) -> Walk:
    """Open these pages, and one of every page with an id that they lead to but those ``done``."""
    table = Table(hospital.runtime.plugged)
    seen = Walk(set(), [])
    waiting, met = list(paths), set(paths)
    english = known != []
    tab.context.add_cookies(
        [{"name": "plugward-language", "value": LANGUAGES[english], "url": hospital.url}]
    )
    shown = {table.find("GET", path)[0].page.path for path in paths} | set(done)  # type: ignore[index]  # declared
    while waiting:
        path = waiting.pop(0)
        seen.answered.add(table.find("GET", path.partition("?")[0])[0].page.path)  # type: ignore[index]  # found before
        seen.wrong.extend(f"{path}: {what}" for what in look(tab, path, known, axe=axe))
        links = tab.page.locator("a[href^='/']:not([download])").evaluate_all(
            "links => links.map((link) => link.getAttribute('href'))"
        )
        for link in (link.partition("#")[0] for link in links):
            found = table.find("GET", link.partition("?")[0])
            if found is None or link in met or found[0].page.path in shown:
                continue
            shown.add(found[0].page.path)
            met.add(link)
            waiting.append(link)
    return seen


def look(tab: Watched, path: str, known: list[str], *, axe: bool = True) -> list[str]:
    """Open one page and tell everything that is not as it should be."""
    answer = tab.page.goto(tab.url + path)
    assert answer is not None
    if answer.status != 200:
        tab.failed.clear()
        return [f"answers {answer.status}"]
    page = tab.settled().page
    wrong = [*tab.complaints, *tab.forbidden, *tab.failed]
    if path in ("/portal/states", "/portal/states/broken"):  # shows a panel that fails
        wrong = [one for one in wrong if "/portal/states/broken" not in one]
    if axe:
        wrong += tab.violations()
    if known and not path.startswith(BILINGUAL):
        wrong += [f"not in English: {text}" for text in page.evaluate(OWN_WORDS, known)]
    tab.complaints.clear()
    tab.forbidden.clear()
    tab.failed.clear()
    return wrong


def may_open(hospital: Hospital, tab: Watched) -> list[str]:
    """The paths without ids that the portal answers for whoever is signed in."""
    granted = set(
        tab.page.locator("a[data-command], .tile").evaluate_all(
            "links => links.map((link) => link.getAttribute('href'))"
        )
    )
    return [page.path for page in declared(hospital) if page.path in granted]


@pytest.mark.usefixtures("morning")
def test_every_page_is_calm_accessible_and_speaks_one_language(
    chromium: Browser, hospital: Hospital
) -> None:
    """SEC-WEB-01：每块插板的每个页面：无控制台报错，axe-core 零违规，英文页面没有中文界面词。

    axe-core looks at each page once here, in every language and role in the test below.
    """
    left = {p.path for p in declared(hospital) if p.place in (Place.RAIL, Place.PUBLIC)} | {"/"}
    needed = {page.path: page.permission for page in declared(hospital)}
    wrong: list[str] = []
    done: set[str] = set()
    for role, staff_no in people().items():
        if not {needed[path] for path in left} & granted_to(hospital, role):
            continue  # every page this role may open has been walked
        tab = sign_in(chromium, hospital, staff_no)
        mine = [path for path in may_open(hospital, tab) if path in left]
        before = set(done)
        for known in ([], names()):
            found = walk(tab, hospital, mine, known, done=before, axe=known == [])
            left -= found.answered
            done |= found.answered
            wrong += [f"{role} {what}" for what in found.wrong]
        tab.context.close()
    assert wrong == [], "\n".join(wrong)
    assert left <= {"/calling/screen"}  # its own account has no home; test_waiting_hall.py


def granted_to(hospital: Hospital, role: str) -> set[str]:
    """What the boards' manifests give this role."""
    return {
        permission
        for plugged in hospital.runtime.plugged.values()
        for permission in plugged.board.manifest.roles.get(role, ())
    }


def sign_in(chromium: Browser, hospital: Hospital, staff_no: str) -> Watched:
    tab = new_tab(chromium, hospital.url)
    tab.sign_in(staff_no)
    return tab


@pytest.mark.full
@pytest.mark.usefixtures("morning")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("role", sorted(people()))
def test_every_page_as_every_role(
    chromium: Browser, hospital: Hospital, role: str, language: str
) -> None:
    """The whole product: what one role is shown may differ from what another one is."""
    tab = sign_in(chromium, hospital, people()[role])
    found = walk(tab, hospital, may_open(hospital, tab), names() if language == "en" else [])
    tab.context.close()
    assert found.wrong == [], "\n".join(found.wrong)


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_may_not_is_told_what_to_do(
    chromium: Browser, hospital: Hospital, morning: Morning, language: str
) -> None:
    """A role without the right sees a refusal that helps, with a way back."""
    del morning
    tab = sign_in(chromium, hospital, GU)
    tab.context.add_cookies([{"name": "plugward-language", "value": language, "url": hospital.url}])
    answer = tab.page.goto(f"{hospital.url}/portal/boards")
    assert answer is not None
    assert answer.status == 403
    expect(tab.page.locator("main")).to_contain_text(
        {"en": "Your role does not include this", "zh-CN": "信息科"}[language]
    )
    expect(tab.page.locator("main a[href='/']")).to_be_visible()
    tab.accessible()
    tab.calm(expected=["403 /portal/boards"])
    tab.context.close()
