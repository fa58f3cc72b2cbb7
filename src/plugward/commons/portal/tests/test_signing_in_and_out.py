"""The door: signing in, leaving, locking, and what the cookie is worth."""

from datetime import timedelta

import pytest

from plugward.commons.identity.contract import Identity
from plugward.commons.identity.first import first_administrator
from plugward.commons.identity.seed import demo_staff_id
from plugward.kernel.envelope import acting_as
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id

from .conftest import ADMINISTRATOR, DOCTOR, PASSWORD, SCREEN, Open, Portal


async def test_the_front_page_of_a_stranger_is_the_login(portal: Portal) -> None:
    reply = await portal.browser().get("/")
    assert reply.status == 200
    assert 'name="password"' in reply.text
    assert "示范市第一医院" in reply.text
    asked = await portal.browser().get("/specimen/notes")
    assert asked.headers["location"] == "/login?next=/specimen/notes"


async def test_a_doctor_signs_in_with_a_password_and_comes_where_he_wanted(portal: Portal) -> None:
    browser = portal.browser()
    await browser.get("/login?next=/specimen/notes")
    reply = await browser.post(
        "/login", {"staff": DOCTOR, "password": PASSWORD, "next": "/specimen/notes"}
    )
    assert (reply.status, reply.headers["location"]) == (303, "/specimen/notes")
    page = await browser.get("/specimen/notes")
    assert "林予安" in page.text
    assert "演示环境" in page.text  # every demo page says so


async def test_the_cookie_is_closed_to_scripts_and_other_sites(portal: Portal) -> None:
    browser = portal.browser()
    await browser.get("/login")
    reply = await browser.post("/login", {"role": DOCTOR})
    [cookie] = [v for n, v in reply.all_headers if n == "set-cookie" and "__Host-plugward=" in v]
    for part in ("Path=/", "SameSite=Strict", "Secure", "HttpOnly"):
        assert part in cookie
    assert "Domain" not in cookie
    assert len(browser.token) >= 22  # 128 bits and more


async def test_a_browser_that_keeps_no_secure_cookie_here_is_told_so(portal: Portal) -> None:
    browser = portal.browser(keeps_secure=False)
    await browser.get("/login")
    page = await browser.get("/login")
    assert "不保存安全 Cookie" in page.text
    await browser.post("/login", {"role": DOCTOR})
    assert "plugward" in browser.cookies
    assert (await browser.get("/specimen/notes")).status == 200


async def test_behind_https_the_plain_name_is_worth_nothing(open_portal: Open) -> None:
    portal = await open_portal(https=True)
    browser = await portal.signed_in()
    token = browser.cookies.pop("__Host-plugward")
    browser.cookies["plugward"] = token
    assert (await browser.get("/specimen/notes")).status == 303


async def test_wrong_name_and_wrong_password_look_alike(portal: Portal) -> None:
    texts = []
    for staff, password in ((DOCTOR, "wrong"), ("X99999", "wrong"), (DOCTOR, "")):
        browser = portal.browser(address="10.1.1.1")
        await browser.get("/login")
        reply = await browser.post("/login", {"staff": staff, "password": password})
        assert reply.status == 401
        texts.append("工号或密码" in reply.text)
        assert 'value="wrong"' not in reply.text
    assert texts == [True, True, True]


async def test_guessing_makes_one_place_wait_and_not_the_doctor(portal: Portal) -> None:
    guess = portal.browser(address="10.1.1.66")
    await guess.get("/login")
    statuses = []
    for _ in range(8):
        reply = await guess.post("/login", {"staff": DOCTOR, "password": "guess"})
        statuses.append(reply.status)
    assert 429 in statuses
    assert int(reply.headers["retry-after"]) > 0
    own = portal.browser(address="10.1.1.7")
    await own.get("/login")
    reply = await own.post("/login", {"staff": DOCTOR, "password": PASSWORD})
    assert reply.status == 303


async def test_after_signing_out_the_old_cookie_opens_nothing(portal: Portal) -> None:
    browser = await portal.signed_in()
    token = browser.cookies["__Host-plugward"]
    reply = await browser.post("/logout", {})
    assert reply.headers["location"] == "/login"
    assert "__Host-plugward" not in browser.cookies
    browser.cookies["__Host-plugward"] = token
    assert (await browser.get("/specimen/notes")).status == 303
    assert (await browser.call("specimen.notes", {})).status == 401


async def test_signing_in_gives_a_new_reference_each_time(portal: Portal) -> None:
    browser = portal.browser()
    planted = "chosen-by-an-attacker-0000000000"
    browser.cookies["__Host-plugward"] = planted
    await browser.sign_in(DOCTOR)
    assert browser.token != planted


async def test_a_locked_screen_answers_nothing_but_unlocking(portal: Portal) -> None:
    browser = await portal.signed_in()
    await browser.post("/portal/lock", {})
    page = await browser.get("/specimen/notes")
    assert page.status == 423
    assert "林予安" in page.text  # whose screen it is
    assert "样本记录" not in page.text
    fragment = await browser.get("/specimen/notes", headers={"hx-request": "true"})
    assert (fragment.status, fragment.body) == (423, b"")
    assert (await browser.call("specimen.notes", {})).status == 423
    assert (await browser.post("/portal/draft-key", {})).status == 423
    wrong = await browser.post("/portal/unlock", {"password": "wrong"})
    assert wrong.status == 401
    assert (await browser.get("/specimen/notes")).status == 423
    right = await browser.post("/portal/unlock", {"password": PASSWORD, "next": "/specimen/notes"})
    assert right.headers["location"] == "/specimen/notes"
    assert (await browser.get("/specimen/notes")).status == 200


async def test_a_screen_nobody_sits_at_locks_itself_even_while_it_refreshes(
    portal: Portal,
) -> None:
    browser = await portal.signed_in()
    quiet = {"hx-request": "true", "x-quiet": "1"}
    for _ in range(40):
        portal.clock.set(portal.clock.now() + timedelta(minutes=1))
        reply = await browser.get("/specimen/notes", headers=quiet)
        if reply.status == 423:
            break
    assert reply.status == 423


async def test_whoever_is_disabled_is_out_at_the_next_request(portal: Portal) -> None:
    browser = await portal.signed_in()
    identity = portal.runtime.client(Identity)
    with acting_as(a_tester(campuses=("*",)), request=new_id()):
        await identity.disable(demo_staff_id(DOCTOR), "离职")
    assert (await browser.get("/specimen/notes")).status == 303
    assert (await browser.call("specimen.notes", {})).status == 401


async def test_sec_gate_04_one_click_roles_show_only_on_this_machine(portal: Portal) -> None:
    assert 'value="D10247"' in (await portal.browser().get("/login")).text
    elsewhere = portal.browser(address="10.0.0.9")
    assert 'value="D10247"' not in (await elsewhere.get("/login")).text
    forwarded = {"x-forwarded-for": "10.0.0.9"}
    hidden = await portal.browser().get("/login", headers=forwarded)
    assert 'value="D10247"' not in hidden.text
    reply = await elsewhere.post("/login", {"role": DOCTOR})
    assert reply.status == 403
    assert elsewhere.token == ""


async def test_a_page_of_yesterday_signs_nobody_in(portal: Portal) -> None:
    browser = portal.browser()
    await browser.get("/login")
    reply = await browser.post("/login", {"role": DOCTOR, "_csrf": "0" * 40})
    assert reply.status == 403
    assert "页面已过期" in reply.text


async def test_the_language_is_changed_and_kept(portal: Portal) -> None:
    browser = await portal.signed_in()
    assert "我的插板" in (await browser.get("/")).text
    await browser.post("/portal/language", {"back": "/"})
    english = (await browser.get("/")).text
    assert '<html lang="en"' in english
    assert "My boards" in english
    assert "我的插板" not in english


async def test_each_person_gets_an_own_key_for_drafts_and_always_the_same(portal: Portal) -> None:
    keys: dict[str, set[bytes]] = {}
    for staff in (DOCTOR, DOCTOR, ADMINISTRATOR):
        browser = await portal.signed_in(staff)
        reply = await browser.ask(
            "POST", "/portal/draft-key", headers={"x-csrf-token": browser.csrf}
        )
        assert len(reply.body) == 32
        keys.setdefault(staff, set()).add(reply.body)
    assert len(keys[DOCTOR]) == 1
    assert keys[DOCTOR].isdisjoint(keys[ADMINISTRATOR])
    assert (await portal.browser().ask("POST", "/portal/draft-key")).status == 401


@pytest.mark.parametrize("path", ["/portal/boards", "/portal/parked", "/portal/states"])
async def test_a_doctor_does_not_open_the_administrators_pages(portal: Portal, path: str) -> None:
    assert (await (await portal.signed_in()).get(path)).status == 403
    assert (await (await portal.signed_in(ADMINISTRATOR)).get(path)).status == 200


# ── one's own account ─────────────────────────────────────────────────────────────────────────
NEW_PASSWORD = "vier-hohe-tannen"  # noqa: S105 - of an invented person, in this test only


async def test_a_person_sees_and_ends_own_sessions(portal: Portal) -> None:
    here, forgotten = await portal.signed_in(), await portal.signed_in()
    page = (await here.get("/portal/me")).text
    assert page.count('action="/portal/me/end"') == 1  # the other one; this one is marked
    assert "当前" in page
    session = page.split('name="session" value="')[1].split('"')[0]
    assert (await here.post("/portal/me/end", {"session": session})).status == 303
    assert (await forgotten.get("/specimen/notes")).status == 303
    assert (await here.get("/specimen/notes")).status == 200
    stranger = await portal.signed_in(ADMINISTRATOR)
    mine = (await here.get("/portal/me")).text
    assert (await stranger.post("/portal/me/end", {"session": session})).status == 404
    assert (await stranger.post("/portal/me/end", {"session": "x"})).status == 422
    assert "当前" in mine


async def test_the_password_is_changed_by_whoever_knows_the_old_one(portal: Portal) -> None:
    browser, other = await portal.signed_in(), await portal.signed_in()
    forms = [
        ({"current": "wrong", "new": NEW_PASSWORD, "again": NEW_PASSWORD}, 401),
        ({"current": PASSWORD, "new": NEW_PASSWORD, "again": "another"}, 422),
        ({"current": PASSWORD, "new": "short", "again": "short"}, 422),
    ]
    for form, status in forms:
        assert (await browser.post("/portal/password", form)).status == status
    done = await browser.post(
        "/portal/password", {"current": PASSWORD, "new": NEW_PASSWORD, "again": NEW_PASSWORD}
    )
    assert done.status == 200
    assert "密码已修改" in done.text
    assert (await other.get("/specimen/notes")).status == 303  # other sessions have ended
    again = portal.browser()
    await again.get("/login")
    assert (await again.post("/login", {"staff": DOCTOR, "password": PASSWORD})).status == 401
    assert (await again.post("/login", {"staff": DOCTOR, "password": NEW_PASSWORD})).status == 303


async def test_the_first_administrator_begins_with_a_code(open_portal: Open) -> None:
    portal = await open_portal(demo=False)
    first = await first_administrator(portal.runtime)
    assert first is not None
    browser = portal.browser()
    page = await browser.get("/activate")
    assert 'name="code"' in page.text
    form = {
        "staff": first.staff_no,
        "code": first.code,
        "password": NEW_PASSWORD,
        "again": NEW_PASSWORD,
    }
    for wrong, status in (
        ({"code": "0" * 24}, 401),
        ({"again": "something else"}, 422),
        ({"password": "short", "again": "short"}, 422),
    ):
        assert (await browser.post("/activate", {**form, **wrong})).status == status
        assert browser.token == ""
    assert (await browser.post("/activate", form)).status == 303
    assert (await browser.get("/portal/boards")).status == 200
    used = portal.browser()
    await used.get("/activate")
    assert (await used.post("/activate", form)).status == 401
    assert "演示环境" not in (await browser.get("/")).text


async def test_a_page_knows_when_its_screen_locks_and_a_wall_screen_never_does(
    portal: Portal,
) -> None:
    page = (await (await portal.signed_in()).get("/specimen/notes")).text
    idle = int(page.split('data-idle-ms="')[1].split('"')[0])
    assert 60_000 <= idle <= 30 * 60_000
    wall = (await (await portal.signed_in(SCREEN)).get("/portal/me")).text
    assert 'data-idle-ms="0"' in wall
