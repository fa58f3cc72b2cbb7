"""What every request must pass: host, origin, token, pace, size. Rows of the security checks."""

import json
from pathlib import Path

import pytest

from plugward.commons.portal.guard import SECURITY_HEADERS
from plugward.kit.ids import new_id

from .conftest import ADMINISTRATOR, CASHIER, Open, Portal

EVERY_KIND_OF_ANSWER = [
    ("GET", "/", 200),
    ("GET", "/login", 200),
    ("GET", "/health", 200),
    ("GET", "/static/x/app.css", 200),
    ("GET", "/static/x/../board.toml", 404),
    ("GET", "/metrics", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/openapi/nothing.json", 404),
    ("GET", "/specimen/notes", 303),
    ("POST", "/login", 403),
    ("POST", "/specimen/write", 401),
    ("POST", "/api/specimen/v1/notes", 401),
    ("DELETE", "/", 405),
    ("GET", "/portal/live", 303),
]


@pytest.mark.parametrize(("method", "path", "status"), EVERY_KIND_OF_ANSWER)
async def test_sec_web_01_and_11_every_answer_carries_the_security_headers(
    portal: Portal, method: str, path: str, status: int
) -> None:
    reply = await portal.browser().ask(method, path)
    assert reply.status == status
    for name, value in SECURITY_HEADERS:
        assert reply.headers[name] == value
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert "report-uri /portal/csp" in reply.headers["content-security-policy"]
    assert "strict-transport-security" not in reply.headers  # plain HTTP on this machine
    assert reply.headers["x-request-id"]


async def test_sec_web_11_production_tells_browsers_to_stay_with_https(open_portal: Open) -> None:
    portal = await open_portal(https=True)
    reply = await portal.browser().get("/login")
    assert "max-age=31536000" in reply.headers["strict-transport-security"]


async def test_sec_web_01_a_signed_in_persons_errors_carry_them_too(portal: Portal) -> None:
    browser = await portal.signed_in()
    for path, status in (
        ("/specimen/broken", 500),
        ("/specimen/wrong-template", 500),
        ("/specimen/secret", 403),
        (f"/specimen/notes/{new_id()}", 404),
        ("/specimen/notes/not-an-id", 422),
        ("/nowhere", 404),
    ):
        reply = await browser.get(path)
        assert reply.status == status, path
        for name, value in SECURITY_HEADERS:
            assert reply.headers[name] == value
        assert reply.headers["cache-control"] == "no-store"


async def test_sec_web_01_pages_have_no_inline_script_or_style(portal: Portal) -> None:
    browser = await portal.signed_in()
    administrator = await portal.signed_in(ADMINISTRATOR)
    for who, path in (
        (portal.browser(), "/login"),
        (browser, "/"),
        (browser, "/specimen/notes"),
        (administrator, "/portal/boards"),
        (administrator, "/portal/parked"),
        (administrator, "/portal/states"),
    ):
        text = (await who.get(path)).text
        assert "<style" not in text
        assert ' style="' not in text
        assert " onclick" not in text
        assert "hx-on" not in text
        for script in text.split("<script")[1:]:
            assert script.startswith((" defer src=", ' type="application/json"'))


async def test_sec_gate_05_a_rebound_name_gets_nothing_of_ours(portal: Portal) -> None:
    browser = await portal.signed_in()
    for host in ("evil.test", "evil.test:8000", "127.0.0.1.evil.test", "localhost.", ""):
        reply = await browser.ask("GET", "/", host=host)
        assert reply.status == 421, host
        assert reply.body == b""
    for host in ("127.0.0.1:8000", "localhost:8000", "localhost", "[::1]:8000", "LOCALHOST"):
        assert (await browser.ask("GET", "/health", host=host)).status == 200, host


async def test_sec_web_02_a_form_of_another_site_changes_nothing(portal: Portal) -> None:
    browser = await portal.signed_in()
    note = {"id": str(new_id()), "text": "来自别处"}
    foreign = [
        {"origin": "http://evil.test", "sec-fetch-site": "cross-site"},
        {"origin": "http://evil.test:8000", "sec-fetch-site": "same-origin"},
        {"origin": "null", "sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:9999", "sec-fetch-site": "same-site"},
    ]
    for headers in foreign:
        reply = await browser.post("/specimen/write", note, headers=headers)
        assert reply.status == 403, headers
    assert (await browser.call("specimen.notes", {})).json() == []


async def test_sec_web_02_an_origin_is_needed_where_a_browser_would_send_one(
    portal: Portal,
) -> None:
    """Without fetch metadata (an old browser) a null origin is somebody else's."""
    browser = await portal.signed_in()
    note = {"id": str(new_id()), "text": "null origin"}
    reply = await browser.post(
        "/specimen/write", note, headers={"origin": "null", "sec-fetch-site": "none"}
    )
    assert reply.status == 403


async def test_sec_web_02_without_the_pages_token_nothing_is_done(portal: Portal) -> None:
    browser = await portal.signed_in()
    other = await portal.signed_in(CASHIER)
    note = {"id": str(new_id()), "text": "无令牌", "_act": str(new_id())}
    for token in ("", "0" * 40, other.csrf):
        reply = await browser.ask("POST", "/specimen/write", form={**note, "_csrf": token})
        assert reply.status == 403
    reply = await browser.ask(
        "POST",
        "/api/specimen/v1/write",
        body=json.dumps({"note": {"id": str(new_id()), "text": "无令牌"}}).encode(),
        headers={"content-type": "application/json"},
    )
    assert reply.status == 403
    assert (await browser.post("/specimen/write", note)).status == 303


async def test_sec_web_02_a_get_never_does_what_a_post_does(portal: Portal) -> None:
    browser = await portal.signed_in()
    for path in ("/specimen/write?text=x", "/api/specimen/v1/write", "/portal/draft-key"):
        assert (await browser.get(path)).status == 405, path
    assert (await browser.get("/logout")).status == 303
    assert (await browser.get("/specimen/notes")).status == 200  # still signed in
    assert (await browser.get("/portal/lock")).status == 303
    assert (await browser.get("/specimen/notes")).status == 200  # not locked


async def test_sec_web_02_our_data_are_not_there_to_be_embedded_elsewhere(portal: Portal) -> None:
    browser = await portal.signed_in()
    reply = await browser.get(
        "/specimen/notes", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    )
    assert reply.status == 403


async def test_sec_web_02_no_page_sends_people_to_another_host(portal: Portal) -> None:
    for to in ("https://evil.test", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/a\nb"):
        browser = portal.browser()
        await browser.get("/login")
        reply = await browser.post("/login", {"role": "D10247", "next": to})
        assert reply.headers["location"].startswith("/")
        assert "evil.test" not in reply.headers["location"]


async def test_sec_api_01_whoever_floods_waits_and_others_do_not(open_portal: Open) -> None:
    portal = await open_portal(rate_per_s=5, rate_burst=20)
    flooding = await portal.signed_in()
    other = await portal.signed_in(CASHIER)
    statuses = [(await flooding.get("/")).status for _ in range(60)]
    assert statuses.count(429) >= 30
    late = await flooding.get("/")
    assert late.status == 429
    assert int(late.headers["retry-after"]) >= 1
    assert (await other.get("/")).status == 200


async def test_sec_api_01_strangers_are_counted_by_their_address(open_portal: Open) -> None:
    portal = await open_portal(guest_rate_per_s=1, guest_rate_burst=5)
    here, there = portal.browser(address="10.0.0.1"), portal.browser(address="10.0.0.2")
    statuses = [(await here.get("/health")).status for _ in range(20)]
    assert 429 in statuses
    assert (await there.get("/health")).status == 200


async def test_sec_api_06_nobody_chooses_an_address_by_a_header(open_portal: Open) -> None:
    portal = await open_portal(guest_rate_per_s=1, guest_rate_burst=5)
    browser = portal.browser(address="10.0.0.1")
    statuses = [
        (await browser.get("/health", headers={"x-forwarded-for": f"10.9.9.{n}"})).status
        for n in range(20)
    ]
    assert 429 in statuses


async def test_sec_api_03_too_much_too_deep_and_too_many_are_declared_refusals(
    portal: Portal,
) -> None:
    browser = await portal.signed_in()
    huge = b'{"note": {"text": "' + b"x" * (11 << 20) + b'"}}'
    assert (await browser.call("specimen.write", huge)).status == 413
    assert (await browser.ask("POST", "/specimen/write", body=huge)).status == 413
    deep = b'{"note": ' + b'{"inner": ' * 33 + b"1" + b"}" * 34
    refused = await browser.call("specimen.write", deep)
    assert refused.status == 422
    assert "32" in refused.json()["message"]
    brackets_in_text = {"note": {"id": str(new_id()), "text": "[{" * 200}}
    assert (await browser.call("specimen.write", brackets_in_text)).status == 200
    many = await browser.call("specimen.notes", {"limit": 10**9})
    assert many.status in (200, 422)
    assert len(many.json()) <= 50 or many.status == 422
    for beyond in (10**30, -(10**30)):
        assert (await browser.call("specimen.notes", {"limit": beyond})).status in (200, 422)


async def test_sec_api_03_doubled_and_unknown_fields_are_refused(portal: Portal) -> None:
    browser = await portal.signed_in()
    note = {"id": str(new_id()), "text": "a"}
    doubled = f'{{"note": {{"id": "{note["id"]}", "text": "a", "text": "b"}}}}'.encode()
    assert (await browser.call("specimen.write", doubled)).status == 422
    for wrong in (
        {"note": {**note, "state": "signed"}},
        {"note": note, "actor": "staff:somebody"},
        {"note": {**note, "parts": [{"label": "x", "price": 1}]}},
    ):
        refused = await browser.call("specimen.write", wrong)
        assert refused.status == 422
        assert refused.json()["code"] == "BadRequest"
        assert "unknown field" in refused.json()["message"]
    reply = await browser.post("/specimen/write", {**note, "price": "1"})
    assert reply.status == 422
    twice = await browser.post("/specimen/write", {"id": note["id"], "text": ["a", "b"]})
    assert twice.status == 422
    assert (await browser.call("specimen.notes", {})).json() == []


async def test_not_json_is_not_guessed_at(portal: Portal) -> None:
    browser = await portal.signed_in()
    for body in (b"", b"[]", b"1", b"{", b'{"limit": NaN}', b"\xff"):
        expected = 200 if body == b"" else 422
        assert (await browser.call("specimen.notes", body)).status == expected, body
    form = await browser.call("specimen.notes", b"{}", content_type="text/plain")
    assert form.status == 415


async def test_sec_api_07_descriptions_and_metrics_are_not_public(portal: Portal) -> None:
    stranger = portal.browser(address="10.0.0.9")
    for path in ("/metrics", "/openapi.json", "/openapi/specimen.json"):
        assert (await stranger.get(path)).status == 404
        forwarded = {"x-forwarded-for": "10.0.0.9"}
        assert (await portal.browser().get(path, headers=forwarded)).status == 404
    engineer = portal.browser(address="10.0.0.9")
    administrator = await portal.signed_in(ADMINISTRATOR)
    engineer.cookies = administrator.cookies
    assert (await engineer.get("/metrics")).status == 200
    assert (await stranger.get("/health")).json() == {"status": "ok"}


async def test_sec_gate_06_an_error_says_a_code_and_an_id_and_nothing_else(
    portal: Portal, caplog: pytest.LogCaptureFixture
) -> None:
    browser = await portal.signed_in()
    replies = [
        await browser.get("/specimen/broken"),
        await browser.call("specimen.broken", {}),
        await browser.get("/specimen/wrong-template"),
    ]
    for reply in replies:
        assert reply.status == 500
        for leak in ("ValueError", "唯一串", "Traceback", "jinja2", "/src/"):
            assert leak not in reply.text
    assert replies[1].json()["trace"] == replies[1].headers["x-request-id"]
    assert "唯一串" not in caplog.text


async def test_the_access_log_has_no_patient_data(
    portal: Portal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    browser = await portal.signed_in()
    await browser.get("/specimen/notes?name=审计测试·唯一串".encode().decode("latin-1"))
    await browser.get("/patients/审计测试·唯一串".encode().decode("latin-1"))
    await browser.post("/specimen/write", {"id": str(new_id()), "text": "审计测试·唯一串"})
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "page /specimen/notes 200" in text
    assert "唯一串" not in text
    assert "审计" not in text


async def test_static_files_stay_inside_their_folder(portal: Portal) -> None:
    browser = portal.browser()
    for path in (
        "/static/x/../board.toml",
        "/static/x/../../identity/board.toml",
        "/static/x//etc/passwd",
        "/static/x/..\\board.toml",
        "/static/x/js",
        "/static/x/vendor/filled-from.txt\0.css",
    ):
        assert (await browser.get(path)).status == 404, path
    page = (await browser.get("/login")).text
    address = page.split('href="')[2].split('"')[0]
    reply = await browser.get(address, headers={"accept-encoding": "gzip"})
    assert reply.headers["content-encoding"] == "gzip"
    assert "immutable" in reply.headers["cache-control"]
    old = await browser.get("/static/0000000000/app.css")
    assert old.headers["cache-control"] == "no-cache"


async def test_the_content_policy_report_is_counted_and_names_no_address(
    portal: Portal, caplog: pytest.LogCaptureFixture
) -> None:
    report = {"csp-report": {"effective-directive": "script-src", "blocked-uri": "http://x/唯一串"}}
    browser = portal.browser()
    reply = await browser.ask(
        "POST",
        "/portal/csp",
        body=json.dumps(report).encode(),
        headers={"content-type": "application/csp-report"},
    )
    assert reply.status == 204
    assert "script-src" in caplog.text
    assert "唯一串" not in caplog.text
    assert (await browser.ask("POST", "/portal/csp", body=b"\xff\xfe")).status == 204


def test_no_template_switches_escaping_off() -> None:
    """``|safe`` and ``autoescape false`` exist nowhere; markup is made in rendering.py alone."""
    source = Path(__file__).parents[4]
    for path in source.rglob("templates/**/*.html"):
        text = path.read_text("utf-8")
        for wrong in ("|safe", "| safe", "autoescape", "Markup", ' style="', "hx-on", "<style"):
            assert wrong not in text, path
