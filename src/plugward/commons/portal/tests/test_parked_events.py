"""What a board could not handle waits visibly, and a person replays or skips it."""

from uuid import UUID

import pytest

from plugward.kernel.testing import TRANSPORTS
from plugward.kit.ids import new_id

from .conftest import ADMINISTRATOR, Browser, Open, Portal
from .specimen.service import SpecimenService


@pytest.fixture(params=TRANSPORTS)
async def portal(open_portal: Open, request: pytest.FixtureRequest) -> Portal:
    """The portal over both ways a call may go."""
    found: Portal = await open_portal(transport=request.param)
    return found


def archive_of(portal: Portal) -> SpecimenService:
    service: SpecimenService = portal.runtime.plugged["specimen"].service
    return service


async def parked_note(portal: Portal) -> tuple[Browser, str, dict[str, str]]:
    """A note whose filing failed; the administrator's browser; the form of its row."""
    archive_of(portal).archive_closed = True
    doctor, administrator = await portal.signed_in(), await portal.signed_in(ADMINISTRATOR)
    note = str(new_id())
    await doctor.post("/specimen/write", {"id": note, "text": "待归档"})
    await portal.runtime.quiet()
    page = (await administrator.get("/portal/parked")).text
    assert "specimen.note.written.v1" in page
    assert "specimen.file_it" in page
    assert "ArchiveClosed" in page
    assert "待归档" not in page  # ids only, never what it says
    row = {"board": "specimen", "parked": page.split('name="parked" value="')[1].split('"')[0]}
    return administrator, note, row


async def test_replay_handles_it_once_the_cause_is_gone(portal: Portal) -> None:
    administrator, note, row = await parked_note(portal)
    failing = await administrator.post("/portal/parked/replay", row)
    assert failing.status == 409
    assert "仍未成功" in failing.text
    archive_of(portal).archive_closed = False
    done = await administrator.post("/portal/parked/replay", row)
    assert done.status == 303
    assert archive_of(portal).filed == [UUID(note)]
    assert "没有搁置的事件" in (await administrator.get("/portal/parked")).text
    again = await administrator.post("/portal/parked/replay", row)
    assert again.status == 404
    assert archive_of(portal).filed == [UUID(note)]


async def test_skipping_needs_a_reason_and_is_in_the_audit_log(portal: Portal) -> None:
    administrator, _, row = await parked_note(portal)
    for why in ("", "   "):
        assert (await administrator.post("/portal/parked/skip", {**row, "why": why})).status == 422
    done = await administrator.post("/portal/parked/skip", {**row, "why": "重复登记"})
    assert done.status == 303
    assert archive_of(portal).filed == []
    assert "没有搁置的事件" in (await administrator.get("/portal/parked")).text


async def test_a_doctor_neither_sees_nor_replays_them(portal: Portal) -> None:
    _, _, row = await parked_note(portal)
    doctor = await portal.signed_in()
    assert (await doctor.get("/portal/parked")).status == 403
    assert (await doctor.post("/portal/parked/replay", row)).status == 403
    assert (await doctor.call("portal.parked", {})).status == 403


async def test_a_board_that_is_not_plugged_in_cannot_replay(portal: Portal) -> None:
    administrator, _, row = await parked_note(portal)
    reply = await administrator.post("/portal/parked/replay", {**row, "board": "nothing"})
    assert reply.status == 404


async def test_the_rack_counts_what_is_parked(portal: Portal) -> None:
    administrator, _, _ = await parked_note(portal)
    page = (await administrator.get("/portal/boards")).text
    assert '搁置的事件 <b class="t-d">1</b>' in page
