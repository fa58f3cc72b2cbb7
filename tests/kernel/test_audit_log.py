"""Who did and saw what: complete, durable before the answer, and no line can be changed unseen."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from plugward.kernel import Unavailable
from plugward.kernel import auditlog as auditlogs
from plugward.kernel.access import Access, AccessScope
from plugward.kernel.audit import audit_runtime
from plugward.kernel.auditanchors import Anchors, verify_anchors
from plugward.kernel.auditlog import AuditLog, verify
from plugward.kernel.auditstore import FileStore
from plugward.kernel.clock import ManualClock
from plugward.kernel.envelope import acting_as
from plugward.kernel.refusals import NotAllowed
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id

from .hospital import MRS_CHEN, a_parcel, hospital, outcome, received
from .labels.board import board as labels_board
from .parcels.board import board as parcels_board
from .parcels.contract import ParcelNotFound, Parcels


async def worked_in(folder: Path, parcels: int = 6) -> None:
    """A hospital that worked for a while and was shut down properly."""
    async with hospital(parcels_board, labels_board, folder=folder) as runtime:
        for _ in range(parcels):
            parcel = await received(runtime)
            with acting_as(a_tester()):
                await runtime.client(Parcels).parcel(parcel.id)
                await outcome(runtime.client(Parcels).hand_out(new_id()))
        await runtime.quiet()


def damaged(folder: Path, *statements: str) -> list[str]:
    """What the verification says after somebody with the file and root rights changed it."""
    with sqlite3.connect(folder / "audit.sqlite") as db:
        for trigger in ("audit_no_update", "audit_no_delete"):
            db.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            assert db.execute(statement).rowcount > 0
        return list(verify(db))


async def test_an_untouched_log_is_whole(tmp_path: Path) -> None:
    await worked_in(tmp_path)
    with sqlite3.connect(tmp_path / "audit.sqlite") as db:
        assert list(verify(db)) == []
        assert db.execute("SELECT count(*) FROM audit_entry").fetchone() == (18,)


async def test_the_log_refuses_to_be_edited(tmp_path: Path) -> None:
    await worked_in(tmp_path)
    with sqlite3.connect(tmp_path / "audit.sqlite") as db:
        for statement in ("UPDATE audit_entry SET actor='nobody'", "DELETE FROM audit_entry"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            "UPDATE audit_entry SET body=replace(body, 'tester', 'another') WHERE seq=7",
            "entry 7 was changed",
        ),
        ("UPDATE audit_entry SET at='2026-01-01' WHERE seq=5", "entry 5 was changed"),
        ("DELETE FROM audit_entry WHERE seq=9", "entry 9 is missing"),
        ("DELETE FROM audit_entry WHERE seq>15", "the tail was cut before entry 18"),
        ("DELETE FROM audit_entry", "the tail was cut before entry 18"),
    ],
)
async def test_what_somebody_changed_by_hand_is_found(
    tmp_path: Path, statement: str, sentence: str
) -> None:
    """改、删、截尾，都能查出。"""
    await worked_in(tmp_path)
    assert sentence in "\n".join(damaged(tmp_path, statement))


async def test_entries_changed_and_rehashed_differ_from_the_anchor(tmp_path: Path) -> None:
    await worked_in(tmp_path)
    with sqlite3.connect(tmp_path / "audit.sqlite") as db:
        db.execute("DROP TRIGGER audit_no_update")
        head = auditlogs.START
        for lane, seq, at, body in db.execute(
            "SELECT lane, seq, at, body FROM audit_entry ORDER BY seq"
        ).fetchall():
            forged = body.replace("staff:tester", "staff:another")
            head = auditlogs._link(head, lane, seq, at, forged)
            db.execute("UPDATE audit_entry SET body=?, hash=? WHERE seq=?", (forged, head, seq))
        assert list(verify(db)) == ["audit lane main: entry 18 differs from its anchor"]


async def test_a_cut_tail_is_found_while_the_hospital_runs(tmp_path: Path) -> None:
    async with hospital(folder=tmp_path) as runtime:
        await received(runtime)
        await runtime.quiet()
        assert list(runtime.audit.verify()) == []
        with sqlite3.connect(tmp_path / "audit.sqlite") as db:
            db.execute("DROP TRIGGER audit_no_delete")
            db.execute("DELETE FROM audit_entry")
        assert list(runtime.audit.verify()) == ["audit lane main: the tail was cut before entry 1"]


async def test_the_chain_goes_on_over_a_restart(tmp_path: Path) -> None:
    await worked_in(tmp_path, parcels=2)
    await worked_in(tmp_path, parcels=2)
    with sqlite3.connect(tmp_path / "audit.sqlite") as db:
        assert list(verify(db)) == []
        assert db.execute("SELECT max(seq) FROM audit_entry").fetchone() == (12,)


async def test_heads_are_anchored_every_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditlogs, "ANCHOR_EVERY", 4)
    async with hospital(folder=tmp_path) as runtime:
        for _ in range(9):
            await received(runtime)
            await runtime.quiet()
        with sqlite3.connect(tmp_path / "audit.sqlite") as db:
            assert db.execute("SELECT seq FROM audit_anchor").fetchall() == [(4,), (8,)]


# ── what stands in it ────────────────────────────────────────────────────────────────────────
def bodies(runtime: Runtime, operation: str) -> list[dict[str, Any]]:
    return [entry.body for entry in runtime.audit.entries(operation=operation)]


async def test_every_command_that_took_effect_has_its_entry() -> None:
    async with hospital(parcels_board, labels_board) as runtime:
        parcels = [await received(runtime) for _ in range(12)]
        with acting_as(a_tester()):
            await runtime.client(Parcels).walk((parcels[0].id,), 3)
        await runtime.quiet()
        report = await audit_runtime(runtime)
        assert report.holds
        [line] = [p for p in report.lines if (p.id, p.board) == ("K2", "parcels")]
        assert line.examined == 13
        assert len(bodies(runtime, "parcels.receive")) == 12


async def test_an_entry_names_ids_and_no_values() -> None:
    async with hospital() as runtime:
        with acting_as(a_tester()) as call:
            await runtime.client(Parcels).receive(a_parcel(name="审计测试·唯一串"))
        await runtime.quiet()
        [body] = bodies(runtime, "parcels.receive")
        assert body["patients"] == [str(MRS_CHEN)]
        assert (body["actor"], body["campus"], body["result"]) == ("staff:tester", "C1", "done")
        assert body["request"] == str(call.envelope.request)
        assert body["trace"] == call.envelope.trace
        assert "唯一串" not in json.dumps(body, ensure_ascii=False)


async def test_reading_a_patients_things_is_on_record_before_the_answer() -> None:
    async with hospital() as runtime:
        parcel = await received(runtime)
        with acting_as(a_tester()):
            await runtime.client(Parcels).parcel(parcel.id)
            [body] = bodies(runtime, "parcels.parcel")
            assert (body["result"], body["patients"]) == ("read", [str(MRS_CHEN)])


async def test_an_answer_about_nobody_is_not_on_record() -> None:
    async with hospital() as runtime:
        runtime.plugged["parcels"].service.gate.set()
        with acting_as(a_tester()):
            await runtime.client(Parcels).wait()
        assert bodies(runtime, "parcels.wait") == []


async def test_refused_commands_are_on_record_too() -> None:
    async with hospital() as runtime:
        with acting_as(a_tester()), pytest.raises(ParcelNotFound):
            await runtime.client(Parcels).hand_out(new_id())
        with acting_as(a_tester(frozenset())), pytest.raises(NotAllowed):
            await runtime.client(Parcels).receive(a_parcel())
        assert [b["result"] for b in bodies(runtime, "parcels.hand_out")] == ["not-found"]
        [forbidden] = bodies(runtime, "parcels.receive")
        assert (forbidden["result"], forbidden["patients"]) == ("forbidden", [str(MRS_CHEN)])


async def test_one_page_is_written_down_together_before_it_leaves() -> None:
    async with hospital() as runtime:
        parcel = await received(runtime)
        async with AccessScope(runtime.audit.append) as scope:
            with acting_as(a_tester()):
                await runtime.client(Parcels).parcel(parcel.id)
                await runtime.client(Parcels).parcels_of(MRS_CHEN)
            assert len(scope.entries) == 2
            assert bodies(runtime, "parcels.parcel") == []
        assert len(bodies(runtime, "parcels.parcel")) == 1
        assert len(bodies(runtime, "parcels.parcels_of")) == 1


# ── a log that cannot be written ─────────────────────────────────────────────────────────────
class Full:
    """The disk of the audit log is full (and is emptied)."""

    def __init__(self, runtime: Runtime) -> None:
        self._db = runtime.audit.store.db
        self._db.execute("PRAGMA journal_mode=DELETE")

    def __enter__(self) -> None:
        [(pages,)] = self._db.execute("PRAGMA page_count").fetchall()
        self._db.execute(f"PRAGMA max_page_count={pages}")

    def __exit__(self, *problem: object) -> None:
        self._db.execute("PRAGMA max_page_count=1000000")


async def test_what_cannot_be_written_down_is_not_shown(tmp_path: Path) -> None:
    """审计写不进，就不给看。"""
    async with hospital(folder=tmp_path) as runtime:
        parcel = await received(runtime)
        await runtime.quiet()
        client = runtime.client(Parcels)
        with Full(runtime):
            with acting_as(a_tester()):
                outcomes = [await outcome(client.parcel(parcel.id)) for _ in range(40)]
            refused = outcomes[-1]
            assert isinstance(refused, Unavailable)
            assert (refused.board, refused.reason) == ("audit", "storage")
        with acting_as(a_tester()):
            assert await client.parcel(parcel.id) == parcel
        assert list(runtime.audit.verify()) == []
        shown = sum(1 for o in outcomes if o == parcel)
        assert len(bodies(runtime, "parcels.parcel")) == shown + 1


async def test_commands_are_written_down_later_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their record stands in the board's own outbox, in the transaction of their effect."""
    monkeypatch.setattr(auditlogs, "UNAVAILABLE_WAIT_S", 0.01)
    async with hospital(folder=tmp_path) as runtime:
        with Full(runtime):
            for _ in range(40):
                await received(runtime)
            await asyncio.sleep(0.05)
            assert runtime.audit.lag > 0
        await runtime.quiet()
        report = await audit_runtime(runtime)
        assert report.holds
        assert len(bodies(runtime, "parcels.receive")) == 40


async def test_a_board_that_was_away_for_a_while_brings_its_commands_along(tmp_path: Path) -> None:
    async with hospital(folder=tmp_path) as runtime:
        await received(runtime)
        await runtime.quiet()
        await runtime.unplug("parcels")
        await runtime.plug(parcels_board)
        await received(runtime)
        await runtime.quiet()
        assert len(bodies(runtime, "parcels.receive")) == 2


def an_access() -> Access:
    """Somebody signed in."""
    return Access(
        operation="identity.sign_in",
        result="done",
        actor="staff:lin",
        on_behalf_of=None,
        roles=(),
        device=None,
        address=None,
        campus="C1",
        patients=(),
        encounters=(),
        reason=None,
        request=new_id(),
        trace="",
        arguments_hash=b"",
    )


# ── anchors beyond reach ────────────────────────────────────────────────────────────────────
def rewritten(folder: Path) -> None:
    """Somebody with every right on the store writes history anew: fresh hashes, fresh anchors."""
    with sqlite3.connect(folder / "audit.sqlite") as db:
        for trigger in ("audit_no_update", "audit_no_delete"):
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute("DELETE FROM audit_anchor")
        db.execute("DELETE FROM audit_entry WHERE seq=2")
        rows = db.execute("SELECT seq, at, body FROM audit_entry ORDER BY seq").fetchall()
        head = auditlogs.START
        for number, (seq, at, body) in enumerate(rows, start=1):
            head = auditlogs._link(head, "main", number, at, body)
            db.execute("UPDATE audit_entry SET seq=?, hash=? WHERE seq=?", (number, head, seq))
        assert list(verify(db)) == []  # the store itself looks whole


async def test_sec_audit_05_history_written_anew_differs_from_the_anchors_outside(
    tmp_path: Path,
) -> None:
    outside = tmp_path / "elsewhere"
    clock = ManualClock("2026-03-02 08:00")
    log = AuditLog(tmp_path / "audit.sqlite", clock, anchors=outside)
    runtime = Runtime(Databases(tmp_path, durable=False), clock, log)
    await runtime.start([parcels_board, labels_board])
    for _ in range(3):
        await received(runtime)
    await runtime.quiet()
    assert list(runtime.audit.verify()) == []
    await runtime.stop()
    assert len((outside / "main.jsonl").read_text().splitlines()) == 1
    rewritten(tmp_path)
    store = FileStore(tmp_path / "audit.sqlite")
    store.open()
    said = list(verify_anchors(outside, store))
    store.close()
    assert len(said) == 1
    assert "audit lane main: the tail was cut before entry 3" in said[0]


async def test_sec_audit_05_lanes_vouch_for_one_another(tmp_path: Path) -> None:
    """Two processes on one store: cutting one lane shows in the other's anchors too."""
    outside = tmp_path / "elsewhere"
    clock = ManualClock("2026-03-02 08:00")
    for lane in ("main", "night"):
        log = AuditLog(tmp_path / "audit.sqlite", clock, lane=lane, anchors=outside)
        await log.start()
        await log.append([an_access()])
        await log.stop()
    (outside / "main.jsonl").unlink()  # the lane's own anchors are gone with its entries
    with sqlite3.connect(tmp_path / "audit.sqlite") as db:
        db.execute("DROP TRIGGER audit_no_delete")
        db.execute("DELETE FROM audit_entry WHERE lane='main'")
        db.execute("DELETE FROM audit_anchor WHERE lane='main'")
    store = FileStore(tmp_path / "audit.sqlite")
    store.open()
    [said] = verify_anchors(outside, store)
    store.close()
    assert said == "audit lane main: the tail was cut before entry 1 (anchors night.jsonl:1)"


def test_a_line_taken_out_of_the_anchors_shows(tmp_path: Path) -> None:
    anchors = Anchors(tmp_path, "main")
    anchors.open()
    for seq in (1, 2, 3):
        anchors.write({"main": (seq, bytes([seq]) * 32)}, f"2026-03-02T08:0{seq}")
    path = tmp_path / "main.jsonl"
    first, _, third = path.read_text().splitlines()
    path.write_text(f"{first}\n{third}\n")
    store = FileStore(None)
    store.open()
    said = list(verify_anchors(tmp_path, store))
    store.close()
    assert said[-1] == "anchors main.jsonl: line 2 was changed or one before it is missing"
