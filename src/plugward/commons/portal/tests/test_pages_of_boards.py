"""What the portal makes of the pages boards declare, and of texts that are not what they seem."""

import json

import pytest

from plugward.kernel.envelope import acting_as
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id

from .conftest import ADMINISTRATOR, DOCTOR, ELSEWHERE, Browser, Elements, Open, Portal
from .specimen.board import board as specimen_board
from .specimen.contract import NoteId, Specimen, WriteNote

EVIL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onfocus='alert(1)' autofocus='",
    '" hx-get="/logout" hx-trigger="load" x="',
    "{{ 7*7 }}{% raw %}${7*7}#{7*7}",
    "</script><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "javascript:alert(1)",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<style>*{display:none}</style>",
    "<div hx-post='/specimen/write' hx-trigger='load'></div>",
    "--></textarea><script>alert(1)</script>",
    "\u2028alert(1)\u2029",
    "<!--<script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "=cmd|' /C calc'!A0",
    "\x00<script\x00>alert(1)</script>",
]


async def write(browser: Browser, text: str) -> str:
    note = str(new_id())
    reply = await browser.post("/specimen/write", {"id": note, "text": text})
    assert reply.status == 303, reply.text
    return note


@pytest.mark.parametrize("text", EVIL)
async def test_sec_web_03_04_and_05_text_of_others_stays_text(portal: Portal, text: str) -> None:
    browser = await portal.signed_in()
    note = await write(browser, text)
    for path in ("/", "/specimen/notes", f"/specimen/notes/{note}", "/specimen/list"):
        for headers in ({}, {"hx-request": "true"}):
            page = (await browser.get(path, headers=headers)).text
            for tag, attributes in Elements(page).found:
                assert tag not in ("iframe", "object", "embed", "base", "mglyph", "math")
                if tag == "script":
                    assert "src" in attributes or attributes["type"] == "application/json"
                assert not [a for a in attributes if a.startswith("on")], (tag, attributes)
                assert not attributes.get("href", "").startswith("javascript:")
                assert attributes.get("hx-get") != "/logout"
    reply = await browser.call("specimen.note", {"note": note})
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["text"] == text


async def test_sec_web_04_an_expression_is_not_worked_out(portal: Portal) -> None:
    browser = await portal.signed_in()
    note = await write(browser, "{{ 7*7 }}-{{ viewer }}")
    page = (await browser.get(f"/specimen/notes/{note}")).text
    assert "{{ 7*7 }}-{{ viewer }}" in page


async def test_sec_web_05_text_from_outside_is_out_of_htmx_reach(portal: Portal) -> None:
    browser = await portal.signed_in()
    await write(browser, "<div hx-get='/'>x</div>")
    page = (await browser.get("/specimen/notes")).text
    assert '<div class="outside" hx-disable>&lt;div hx-get' in page
    config = json.loads(
        next(a["content"] for _, a in Elements(page).found if a.get("name") == "htmx-config")
    )
    assert config["allowEval"] is False
    assert config["selfRequestsOnly"] is True
    assert config["includeIndicatorStyles"] is False


async def test_sec_web_03_refusals_and_errors_repeat_nothing_unescaped(portal: Portal) -> None:
    browser = await portal.signed_in()
    await write(browser, "<img src=x onerror=alert(1)>")
    again = await browser.post(
        "/specimen/write",
        {"id": str(new_id()), "text": "<img src=x onerror=alert(1)>"},
        headers={"hx-request": "true"},
    )
    assert again.status == 409
    assert "<img" not in again.text
    assert "&lt;img" in again.text
    for path in ("/<script>alert(1)</script>", "/specimen/notes/<img src=x>"):
        assert "<script>alert" not in (await browser.get(path)).text
        assert "<img" not in (await browser.get(path)).text


# ── pages ─────────────────────────────────────────────────────────────────────────────────────
async def test_a_page_is_framed_and_its_fragment_is_not(portal: Portal) -> None:
    browser = await portal.signed_in()
    whole = (await browser.get("/specimen/notes")).text
    assert whole.startswith("<!doctype html>")
    assert 'aria-current="page"' in whole
    assert '<kbd class="kbd">F9</kbd>' in whole
    part = (await browser.get("/specimen/notes", headers={"hx-request": "true"})).text
    assert part.lstrip().startswith('<main class="main g-qwc" id="main"')
    assert "</html>" not in part


async def test_keys_come_from_one_list(portal: Portal) -> None:
    page = (await (await portal.signed_in()).get("/specimen/notes")).text
    data = page.split('id="page-keys">')[1].split("</script>")[0]
    keys = {key["key"]: key for key in json.loads(data)}
    assert keys["F9"]["target"] == "#save"
    assert keys["F1"]["builtin"] == "sheet"
    assert keys["J"]["builtin"] == "next"
    assert not {"F5", "F11", "F12", "Ctrl+W", "Ctrl+T", "Ctrl+N"} & set(keys)
    sheet = page.split('id="key-sheet"')[1].split("</dialog>")[0]
    for key in keys:
        assert f">{key.replace('+', ' ')}</kbd>" in sheet


async def test_an_action_leads_back_and_says_what_happened(portal: Portal) -> None:
    browser = await portal.signed_in()
    reply = await browser.post("/specimen/write", {"id": str(new_id()), "text": "甲"})
    assert (reply.status, reply.headers["location"]) == (303, "/specimen/notes")
    assert "已保存" in (await browser.get("/specimen/notes")).text
    assert "已保存" not in (await browser.get("/specimen/notes")).text
    swapped = await browser.post(
        "/specimen/write",
        {"id": str(new_id()), "text": "乙"},
        headers={"hx-request": "true", "hx-current-url": "http://127.0.0.1:8000/specimen/notes"},
    )
    assert json.loads(swapped.headers["hx-location"])["target"] == "#main"
    assert json.loads(swapped.headers["hx-trigger"])["plugward:said"] == "已保存"


async def test_pressing_twice_writes_once(portal: Portal) -> None:
    """The browser keeps the id of an act until it has an answer."""
    browser = await portal.signed_in()
    act, note = str(new_id()), str(new_id())
    form = {"id": note, "text": "一次", "_act": act}
    for _ in range(2):
        assert (await browser.post("/specimen/write", form)).status == 303
    assert len((await browser.call("specimen.notes", {})).json()) == 1
    other = await browser.post("/specimen/write", {**form, "text": "另一件事"})
    assert other.status == 409


async def test_a_refused_form_answers_with_a_message_for_its_place(portal: Portal) -> None:
    browser = await portal.signed_in()
    await write(browser, "同一句")
    reply = await browser.post(
        "/specimen/write",
        {"id": str(new_id()), "text": "同一句"},
        headers={"hx-request": "true"},
    )
    assert reply.status == 409
    assert "已有相同的记录：同一句。" in reply.text
    assert "<html" not in reply.text


async def test_a_page_that_takes_too_long_says_so_and_delays_nobody(open_portal: Open) -> None:
    portal = await open_portal(page_ms_max=100)
    browser = await portal.signed_in()
    reply = await browser.get("/specimen/slow")
    assert reply.status == 503
    assert "暂不可用" in reply.text


async def test_a_board_that_is_unplugged_and_plugged_again(portal: Portal) -> None:
    browser = await portal.signed_in()
    await portal.runtime.unplug("specimen")
    assert (await browser.get("/specimen/notes")).status == 404
    home = await browser.get("/")
    assert home.status == 200
    assert "样本记录" not in home.text
    assert (await browser.call("specimen.notes", {})).status == 404
    await portal.runtime.plug(specimen_board)
    assert (await browser.get("/specimen/notes")).status == 200


async def test_the_home_page_shows_what_boards_say_of_themselves(portal: Portal) -> None:
    browser = await portal.signed_in()
    await write(browser, "待处理的一件事")
    page = (await browser.get("/")).text
    assert "1 份记录" in page
    assert "待处理的一件事" in page
    assert 'id="tile-1"' in page


async def test_a_plain_list_needs_no_template(portal: Portal) -> None:
    browser = await portal.signed_in()
    await write(browser, "一行")
    page = (await browser.get("/specimen/list")).text
    assert "<td>一行</td>" in page
    assert 'hx-post="/portal/do/specimen/tear_up"' in page
    row = json.loads(page.split("hx-vals='")[1].split("'")[0])
    here = {"hx-request": "true", "hx-current-url": "http://127.0.0.1:8000/specimen/list"}
    reply = await browser.post("/portal/do/specimen/tear_up", row, headers=here)
    assert json.loads(reply.headers["hx-location"])["path"] == "/specimen/list"
    assert "<td>一行</td>" not in (await browser.get("/specimen/list")).text
    assert (await browser.post("/portal/do/specimen/note", row)).status == 404
    assert (await browser.post("/portal/do/specimen/write", row)).status in (404, 422)


async def test_the_rack_shows_every_board_as_it_runs(portal: Portal) -> None:
    browser = await portal.signed_in(ADMINISTRATOR)
    await browser.call("specimen.notes", {})
    page = (await browser.get("/portal/boards?board=specimen")).text
    for text in ("样本", "1.2.3", "specimen.notes", "门户测试用的插板。", "没有其他插板依赖它"):
        assert text in page
    assert (await browser.get("/portal/boards?board=nothing")).status == 200


# ── interfaces ────────────────────────────────────────────────────────────────────────────────
async def test_every_contract_is_described_and_callable(portal: Portal) -> None:
    browser = await portal.signed_in()
    index = (await browser.get("/openapi.json")).json()
    assert set(index["interfaces"]) == {"identity", "portal", "specimen"}
    for path in index["interfaces"].values():
        document = (await browser.get(path)).json()
        assert document["openapi"] == "3.1.0"
        for operation in document["paths"].values():
            assert "x-permission" in operation["post"]
    document = (await browser.get("/openapi/specimen.json")).json()
    assert document["x-events"] == ["specimen.note.written.v1"]
    write_path = document["paths"]["/api/specimen/v1/write"]["post"]
    assert write_path["parameters"][0]["name"] == "X-Request-Id"


async def test_a_refusal_on_the_wire_has_code_fields_and_trace(portal: Portal) -> None:
    browser = await portal.signed_in()
    missing = await browser.call("specimen.note", {"note": str(new_id())})
    assert missing.status == 404
    assert missing.json()["code"] == "specimen.NoteNotFound"
    assert missing.json()["trace"] == missing.headers["x-request-id"]
    forbidden = await browser.call("specimen.secret", {})
    assert (forbidden.status, forbidden.json()["code"]) == (403, "NotAllowed")
    assert (await browser.call("specimen.nothing", {})).status == 404
    assert (await browser.call("nothing.nothing", {})).status == 404


async def test_a_retry_over_the_wire_happens_once(portal: Portal) -> None:
    browser = await portal.signed_in()
    request, note = str(new_id()), {"note": {"id": str(new_id()), "text": "一次"}}
    first = await browser.call("specimen.write", note, x_request_id=request)
    second = await browser.call("specimen.write", note, x_request_id=request)
    assert first.json() == second.json()
    assert len((await browser.call("specimen.notes", {})).json()) == 1
    random_id = "8b7fd4b0-1c7e-4d4e-9a55-0d6e8a6b7c11"
    refused = await browser.call("specimen.write", note, x_request_id=random_id)
    assert refused.status == 422


async def test_a_system_signs_its_calls_with_its_session_and_needs_no_cookie(
    portal: Portal,
) -> None:
    browser = await portal.signed_in()
    system = portal.browser()
    bearer = {"authorization": f"Bearer {browser.token}", "content-type": "application/json"}
    reply = await system.ask("POST", "/api/specimen/v1/notes", body=b"{}", headers=bearer)
    assert reply.status == 200
    wrong = {**bearer, "authorization": "Bearer 0000"}
    reply = await system.ask("POST", "/api/specimen/v1/notes", body=b"{}", headers=wrong)
    assert reply.status == 401


async def test_another_campus_sees_and_writes_nothing_here(portal: Portal) -> None:
    here, there = await portal.signed_in(DOCTOR), await portal.signed_in(ELSEWHERE)
    note = await write(here, "本部的记录")
    random = str(new_id())
    for path in (note, random):
        reply = await there.get(f"/specimen/notes/{path}")
        assert reply.status == 404
        assert "本部的记录" not in reply.text
    assert (await there.call("specimen.notes", {})).json() == []
    foreign = await there.call("specimen.notes", {}, x_campus="C1")
    assert foreign.status == 403


async def test_metrics_count_calls_by_outcome(portal: Portal) -> None:
    browser = await portal.signed_in()
    await browser.call("specimen.notes", {})
    await browser.call("specimen.secret", {})
    text = (await browser.get("/metrics")).text
    assert 'plugward_calls_total{operation="specimen.notes",outcome="ok"} 1' in text
    assert 'plugward_calls_total{operation="specimen.secret",outcome="forbidden"} 1' in text
    assert 'plugward_board_up{board="specimen"} 1' in text


async def test_what_a_page_looked_at_is_in_the_audit_log_before_the_answer(
    portal: Portal,
) -> None:
    browser = await portal.signed_in()
    await browser.get("/specimen/secret")
    reply = await browser.call("specimen.secret", {})
    entries = portal.runtime.audit.entries(operation="specimen.secret")
    assert [entry.body["result"] for entry in entries] == ["forbidden"]
    assert entries[0].body["request"] == reply.headers["x-request-id"]
    assert entries[0].body["address"] == "127.0.0.1"
    assert entries[0].body["device"]


async def test_the_person_in_the_records_is_the_one_who_signed_in(portal: Portal) -> None:
    """A page cannot be made to act as somebody else, whatever the form says."""
    browser = await portal.signed_in()
    reply = await browser.post(
        "/specimen/write", {"id": str(new_id()), "text": "谁写的", "viewer": "staff:other"}
    )
    assert reply.status == 422
    specimen = portal.runtime.client(Specimen)
    with acting_as(a_tester(frozenset({"specimen.write"})), request=new_id()):
        await specimen.write(WriteNote(id=NoteId(new_id()), text="另一人"))
    assert len((await browser.call("specimen.notes", {})).json()) == 1
