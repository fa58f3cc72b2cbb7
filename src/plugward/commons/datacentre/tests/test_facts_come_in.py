"""Facts come in 事实入库: as they happen, once, in order, and again after whatever happened."""

import asyncio
from functools import partial
from itertools import product
from typing import Any

import pytest

from plugward.commons.datacentre.board import board as datacentre_board
from plugward.commons.datacentre.loading import Declared, batch_of, write_batch
from plugward.commons.datacentre.schema import FactTable, tables_of
from plugward.commons.datacentre.tests.conftest import Hospital, a_stay, ended, run_python
from plugward.commons.datacentre.tests.ward import board as ward_module
from plugward.commons.datacentre.tests.ward.board import BROKEN, ENORMOUS
from plugward.commons.datacentre.tests.ward.board import board as ward_board
from plugward.commons.datacentre.tests.ward.contract import StayBegun, StayEnded, Ward
from plugward.commons.datacentre.warehouse import Warehouse, forget_board, prepare_board
from plugward.kernel.codec import to_json
from plugward.kernel.message import Event, tag_of
from plugward.kernel.refusals import Unavailable
from plugward.kernel.store.frames import Frame
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_time


async def test_a_fact_is_a_row_without_the_patients_name(hospital: Hospital, ward: Any) -> None:
    stay = a_stay()
    await ward.begin(stay)
    assert await hospital.rows("ward_stays", "stay, room, state, cost") == [
        (stay.id, "101", "begun", 0)
    ]
    columns = await hospital.service.warehouse.read(
        lambda c: c.execute("DESCRIBE fact.ward_stays").fetchall()
    )
    assert "patient_name" not in {name for name, *_ in columns}


async def test_a_later_fact_replaces_the_row_of_its_key(hospital: Hospital, ward: Any) -> None:
    stay = a_stay()
    await ward.begin(stay)
    await hospital.caught_up()
    await ward.end(ended(stay, fen=1_250, meals=3))
    assert await hospital.rows("ward_stays", "state, cost") == [("ended", 1_250)]
    assert len(await hospital.rows("ward_meals")) == 3


async def test_begun_and_ended_in_one_batch_is_ended(hospital: Hospital, ward: Any) -> None:
    for _ in range(30):
        stay = a_stay()
        await ward.begin(stay)
        await ward.end(ended(stay))
    assert {state for (state,) in await hospital.rows("ward_stays", "state")} == {"ended"}
    assert len(await hospital.rows("ward_stays")) == 30


async def test_the_same_events_read_twice_change_nothing(hospital: Hospital, ward: Any) -> None:
    stay = a_stay()
    await ward.begin(stay)
    await ward.end(ended(stay))
    before = await hospital.rows("ward_stays"), await hospital.rows("ward_meals")
    source = hospital.service.collector.sources["ward"]
    frames = await source.plugged.feed.after(0)
    for frame in frames:
        if frame.tag in source.declared:
            await hospital.service.collector.take(source, frame)
    assert (await hospital.rows("ward_stays"), await hospital.rows("ward_meals")) == before


async def test_an_older_event_that_comes_late_does_not_undo_a_newer_one(
    hospital: Hospital, ward: Any
) -> None:
    stay = a_stay()
    await ward.begin(stay)
    await ward.end(ended(stay))
    await hospital.caught_up()
    source = hospital.service.collector.sources["ward"]
    begun = next(f for f in await source.plugged.feed.after(0) if f.tag == "ward.stay.begun.v1")
    await hospital.service.collector.take(source, begun)
    assert await hospital.rows("ward_stays", "state") == [("ended",)]


async def test_after_a_stop_only_what_is_new_is_read(hospital: Hospital, ward: Any) -> None:
    for _ in range(5):
        await ward.begin(a_stay())
    await hospital.caught_up()
    await hospital.again()
    await hospital.caught_up()
    assert hospital.service.collector.rows == 0
    await ward.begin(a_stay())
    assert len(await hospital.rows("ward_stays")) == 6
    assert hospital.service.collector.rows == 1


async def test_what_happened_while_it_was_away_is_caught_up(hospital: Hospital, ward: Any) -> None:
    await ward.begin(a_stay())
    await hospital.caught_up()
    await hospital.runtime.unplug("datacentre")
    # More than one batch of the outbox.
    await asyncio.gather(*(ward.begin(a_stay()) for _ in range(700)))
    await hospital.runtime.plug(datacentre_board)
    assert len(await hospital.rows("ward_stays")) == 701


async def test_killed_in_the_middle_it_goes_on_where_the_file_stands(
    hospital: Hospital, ward: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is half way when the engine dies: all of it is in later, and nothing twice."""
    from plugward.commons.datacentre import collector

    deaths = iter((True, True, False))

    def dying(*args: Any, **kwargs: Any) -> int:
        written = write_batch(*args, **kwargs)
        if next(deaths, False):
            raise Unavailable("datacentre", "storage")
        return written

    monkeypatch.setattr(collector, "write_batch", dying)
    monkeypatch.setattr(collector, "AWAY_S", 0.02)
    stays = [a_stay() for _ in range(20)]
    for stay in stays:
        await ward.begin(stay)
        await ward.end(ended(stay))
    assert len(await hospital.rows("ward_stays")) == 20
    assert len(await hospital.rows("ward_meals")) == 40


async def test_rebuilt_from_the_first_event_the_tables_are_the_same(
    hospital: Hospital, ward: Any
) -> None:
    for number in range(12):
        stay = a_stay(f"{number % 3}")
        await ward.begin(stay)
        if number % 2:
            await ward.end(ended(stay, fen=number * 100))
    before = await hospital.rows("ward_stays"), await hospital.rows("ward_meals")
    assert len(before[0]) == 12
    await hospital.centre.rebuild("ward")
    await hospital.caught_up()
    assert (await hospital.rows("ward_stays"), await hospital.rows("ward_meals")) == before


async def test_a_rebuild_asked_for_twice_is_one(hospital: Hospital, ward: Any) -> None:
    await ward.end(ended(a_stay()))
    before = await hospital.rows("ward_stays"), await hospital.rows("ward_meals")
    with hospital.request(new_id()):
        first = await hospital.centre.rebuild("ward")
        again = await hospital.centre.rebuild("ward")
    assert first.board == again.board == "ward"
    assert (await hospital.rows("ward_stays"), await hospital.rows("ward_meals")) == before


async def test_whatever_the_order_and_the_doubles_the_newest_event_of_a_key_stands() -> None:
    """All sequences of four events of two stays, up to three long, each event a batch of its own or
    all of them in one: the rows are those of the highest position seen."""
    tables, _ = tables_of("ward", ward_board.facts)
    declared = {
        tag: tuple(
            Declared(fact, tables[fact.table]) for fact in ward_board.facts if fact.tag == tag
        )
        for tag in ("ward.stay.begun.v1", "ward.stay.ended.v1")
    }
    one, two = a_stay("1"), a_stay("2")
    events = (
        StayBegun(stay=one), StayBegun(stay=two), StayEnded(stay=ended(one, meals=1)),
        StayEnded(stay=ended(two, meals=2)),
    )  # fmt: skip
    frames = [frame_at(event, place) for place, event in enumerate(events, start=1)]
    warehouse = Warehouse("", memory_mb=64)
    await warehouse.open()
    await warehouse.write(lambda c: prepare_board(c, "ward", tables.values(), ""))
    tried = 0
    for length in range(1, 4):
        for order in product(range(4), repeat=length):
            seen = [frames[place] for place in order]
            highest = {stay.id: max((p for p in order if p % 2 == n), default=None)
                       for n, stay in enumerate((one, two))}  # fmt: skip
            expected = sorted(
                (str(stay), "begun" if place < 2 else "ended")
                for stay, place in highest.items()
                if place is not None
            )
            batches = [[frame] for frame in seen] if tried % 2 else [seen]
            found = await warehouse.write(partial(_loaded, batches, declared, tables))
            assert found == expected, order
            tried += 1
    await warehouse.close()
    assert tried == 4 + 16 + 64


def _loaded(
    batches: list[list[Frame]],
    declared: dict[str, tuple[Declared, ...]],
    tables: dict[str, FactTable],
    connection: Any,
) -> list[tuple[str, str]]:
    forget_board(connection, "ward")
    for frames in batches:
        write_batch(connection, batch_of(frames, declared), tables, {})
    rows = connection.execute("SELECT stay::VARCHAR, state FROM fact.ward_stays").fetchall()
    return sorted(rows)


def frame_at(event: Event, position: int) -> Frame:
    """The event as it stands in the ward's outbox."""
    return Frame(
        id=new_id(),
        source="ward",
        position=position,
        key="stay",
        key_version=position,
        tag=tag_of(type(event)),
        body=to_json(event),
        carries="",
        campus="C1",
        actor="staff:somebody",
        cause=new_id(),
        trace="",
        occurred_at=hospital_time("2026-03-02 08:00"),
        recorded_at=hospital_time("2026-03-02 08:00"),
    )


async def test_a_lost_file_is_collected_again(hospital: Hospital, ward: Any) -> None:
    await ward.begin(a_stay())
    before = await hospital.rows("ward_stays")
    await hospital.stop()
    (hospital.folder / "datacentre.duckdb").write_bytes(b"not a database at all" * 100)
    await hospital.start()
    assert await hospital.rows("ward_stays") == before
    assert (hospital.folder / "datacentre.duckdb.unreadable").exists()


async def test_an_outbox_restored_from_a_backup_is_read_anew(hospital: Hospital, ward: Any) -> None:
    """The file says more was read than the outbox holds: its rows may belong to lost events."""
    await ward.begin(a_stay())
    await ward.begin(a_stay())
    await hospital.caught_up()
    await hospital.stop()
    for path in hospital.folder.rglob("ward*"):
        path.unlink()
    await hospital.start()
    await ward.begin(a_stay("202"))
    assert await hospital.rows("ward_stays", "room") == [("202",)]


async def test_a_fact_that_cannot_be_made_is_parked_and_stops_nobody(
    hospital: Hospital, ward: Any
) -> None:
    await ward.begin(a_stay(BROKEN))
    await ward.begin(a_stay("101"))
    assert await hospital.rows("ward_stays", "room") == [("101",)]
    [parked] = await hospital.runtime.parked()
    assert (parked.board, parked.source, parked.reaction) == ("datacentre", "ward", "begun_stay")
    assert parked.error == "ValueError"  # the kind, never the text: it may name a patient
    assert (await hospital.centre.freshness()).parked == 1
    await hospital.again()
    assert len(await hospital.runtime.parked()) == 1


async def test_a_parked_fact_is_replayed_from_the_list_everybody_uses(
    hospital: Hospital, ward: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stay = a_stay(BROKEN)
    await ward.begin(stay)
    await ward.end(ended(stay, meals=0))
    assert await hospital.rows("ward_stays") == []
    monkeypatch.setattr(ward_module, "failing", set())
    begun, done = await hospital.runtime.parked()
    await hospital.runtime.replay_parked("datacentre", begun.id, by="staff:admin")
    await hospital.runtime.replay_parked("datacentre", done.id, by="staff:admin")
    assert await hospital.rows("ward_stays", "state") == [("ended",)]
    assert await hospital.runtime.parked() == ()


async def test_a_value_that_fits_no_column_is_parked_alone(hospital: Hospital, ward: Any) -> None:
    good, bad = a_stay(), a_stay(ENORMOUS)
    await ward.end(ended(good, meals=1))
    await ward.end(ended(bad, meals=1))
    await ward.end(ended(a_stay("103"), meals=1))
    assert len(await hospital.rows("ward_meals")) == 2
    assert len(await hospital.rows("ward_stays")) == 3
    [parked] = await hospital.runtime.parked()
    assert parked.reaction == "eaten_meals"


async def test_a_board_plugged_in_later_is_heard_and_one_taken_out_is_not_missed(
    tmp_path: Any,
) -> None:
    hospital = Hospital(tmp_path, boards=(datacentre_board,))
    await hospital.start()
    try:
        assert hospital.service.collector.sources == {}
        await hospital.runtime.plug(ward_board)
        await hospital.client(Ward).begin(a_stay())
        assert len(await hospital.rows("ward_stays")) == 1
        await hospital.runtime.unplug("ward")
        await hospital.service.collector.match()
        assert hospital.service.collector.sources == {}
        await hospital.runtime.plug(ward_board)
        await hospital.client(Ward).begin(a_stay())
        assert len(await hospital.rows("ward_stays")) == 2
    finally:
        await hospital.stop()


async def test_new_declarations_read_the_past_again(
    hospital: Hospital, ward: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade a board tells more than before: the rows of old events have it too."""
    await ward.end(ended(a_stay(), meals=2))
    await hospital.caught_up()
    await hospital.stop()
    fewer = tuple(f for f in ward_board.facts if f.table != "ward_meals")
    every = ward_board.facts
    monkeypatch.setattr(ward_board, "facts", fewer)
    await hospital.start()
    await ward.end(ended(a_stay(), meals=2))
    await hospital.caught_up()
    await hospital.stop()
    monkeypatch.setattr(ward_board, "facts", every)
    await hospital.start()
    assert len(await hospital.rows("ward_meals")) == 4


async def test_a_second_process_waits_for_the_file(hospital: Hospital) -> None:
    """One process owns the file; another one starts all the same and says why it has no data."""
    code = (
        "import asyncio\n"
        "from plugward.commons.datacentre.warehouse import Busy, Warehouse\n"
        "async def main():\n"
        f"    warehouse = Warehouse({str(hospital.folder)!r}, memory_mb=64)\n"
        "    try:\n"
        "        await warehouse.open()\n"
        "    except Busy:\n"
        "        print('busy')\n"
        "    await warehouse.close()\n"
        "asyncio.run(main())\n"
    )
    assert await asyncio.to_thread(run_python, code) == "busy"


def test_importing_the_board_does_not_load_the_engine() -> None:
    code = "import sys; import plugward.commons.datacentre.board; print('duckdb' in sys.modules)"
    assert run_python(code) == "False"


async def test_it_stops_at_once_with_facts_still_on_their_way(
    hospital: Hospital, ward: Any
) -> None:
    await asyncio.gather(*(ward.begin(a_stay()) for _ in range(20)))
    while not hospital.service.collector._queue:
        await hospital.service.collector.pause(0)  # until the first are here, and not yet loaded
    async with asyncio.timeout(2):
        await hospital.stop()
    await hospital.start()
    assert len(await hospital.rows("ward_stays")) == 20
