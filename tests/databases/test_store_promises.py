"""What the store promises, on every database: once, all or nothing, never below zero, in order."""

import asyncio
import random
from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from plugward.kernel import AlreadyThere, ChangedMeanwhile, NotFound, RequestReused
from plugward.kernel.events.feed import read_frames
from plugward.kernel.testing import Bench
from plugward.kit.ids import new_id
from plugward.kit.money import Money, UnitPrice
from plugward.vocabulary import CampusCode

from .vault.board import board
from .vault.contract import Box, BoxState, Empty, Note, Put, Vault

C1, C2 = CampusCode("C1"), CampusCode("C2")
AT = datetime(2026, 3, 2, 1, 2, 3, 456789, tzinfo=UTC)


@pytest.fixture
async def bench(database: str) -> Any:
    found = Bench(board, database=database)
    yield found
    await found.stop()


def a_box(**changes: Any) -> Box:
    return Box(id=new_id(), campus=C1, name="𠮷田 'O''Brien' €", at=AT).replace(**changes)


async def outcomes(*calls: Any) -> tuple[list[Any], list[Exception]]:
    done = await asyncio.gather(*calls, return_exceptions=True)
    return (
        [d for d in done if not isinstance(d, Exception)],
        [d for d in done if isinstance(d, Exception)],
    )


async def test_every_kind_of_value_comes_back_as_it_went_in(bench: Bench) -> None:
    box = a_box(
        money=Money(fen=-12_345_678_901),
        price=UnitPrice(yuan=Decimal("0.0001")),
        day=date(2024, 2, 29),
        notes=(Note(text="张三|^~\\&\r\n", amount=Decimal("1.50")),),
    )
    put = await bench.client(Vault).put(box)
    assert await bench.client(Vault).box(box.id) == put
    assert put == box.replace(number=1)


async def test_the_same_request_three_times_happens_once(bench: Bench) -> None:
    box, request = a_box(left=10), new_id()
    await bench.client(Vault).put(box)

    async def take() -> Box:
        with bench.request(request):
            return await bench.client(Vault).take(box.id, 3)

    answers, errors = await outcomes(*(take() for _ in range(3)))
    assert errors == []
    assert answers[0] == answers[1] == answers[2]
    assert (await bench.client(Vault).box(box.id)).left == 7


async def test_a_copy_of_a_request_that_is_now_refused_gets_the_first_answer(bench: Bench) -> None:
    box, request = a_box(left=3), new_id()
    await bench.client(Vault).put(box)
    with bench.request(request):
        first = await bench.client(Vault).take(box.id, 3)
    with bench.request(request):
        assert await bench.client(Vault).take(box.id, 3) == first


async def test_the_same_request_with_other_arguments_is_refused(bench: Bench) -> None:
    box, request = a_box(left=10), new_id()
    await bench.client(Vault).put(box)
    with bench.request(request):
        await bench.client(Vault).take(box.id, 3)
    with bench.request(request), pytest.raises(RequestReused):
        await bench.client(Vault).take(box.id, 4)
    assert (await bench.client(Vault).box(box.id)).left == 7


async def test_fifty_hands_and_ten_things(bench: Bench) -> None:
    box = a_box(left=10)
    await bench.client(Vault).put(box)
    answers, errors = await outcomes(*(bench.client(Vault).hold(box.id, 1) for _ in range(50)))
    assert len(answers) == 10
    assert {type(e) for e in errors} == {Empty}
    after = await bench.client(Vault).box(box.id)
    assert (after.left, after.held) == (0, 10)


async def test_a_refused_unit_leaves_nothing_behind(bench: Bench) -> None:
    box = a_box(left=1)
    await bench.client(Vault).put(box)
    facts = len(bench.published(Put))
    with pytest.raises(Empty):
        await bench.client(Vault).take(box.id, 2)
    assert (await bench.client(Vault).box(box.id)).left == 1
    assert len(bench.published(Put)) == facts


async def test_one_box_is_claimed_by_one_hand(bench: Bench) -> None:
    for _ in range(6):
        await bench.client(Vault).put(a_box())
    answers, errors = await outcomes(*(bench.client(Vault).claim(f"hand-{n}") for n in range(9)))
    assert errors == []
    claimed = [a.id for a in answers if a is not None]
    assert len(claimed) == len(set(claimed)) == 6
    boxes = await bench.client(Vault).boxes()
    assert {b.state for b in boxes} == {BoxState.SEALED}


async def test_numbers_have_no_gap_although_some_units_fail(bench: Bench) -> None:
    box = a_box()
    await bench.client(Vault).put(box)
    tries = [bench.client(Vault).put(box if n % 3 == 0 else a_box()) for n in range(24)]
    answers, errors = await outcomes(*tries)
    assert {type(e) for e in errors} == {AlreadyThere}
    assert sorted(a.number for a in answers) == list(range(2, 2 + len(answers)))
    assert len(bench.published(Put)) == 1 + len(answers) == 17


async def test_the_last_writer_does_not_win(bench: Bench) -> None:
    box = await bench.client(Vault).put(a_box())
    await bench.client(Vault).rename(box, "first")
    with pytest.raises(ChangedMeanwhile):
        await bench.client(Vault).rename(box, "second")
    assert (await bench.client(Vault).box(box.id)).name == "first"


async def test_a_foreign_campus_row_is_not_there(bench: Bench) -> None:
    box = await bench.client(Vault).put(a_box(left=5))
    with bench.acting(campuses=("C2",)):
        vault = bench.client(Vault)
        assert await vault.boxes() == ()
        with pytest.raises(NotFound):
            await vault.box(box.id)
        with pytest.raises(Empty):
            await vault.take(box.id, 1)
        with pytest.raises(NotFound):
            await vault.put(a_box(campus=C1))
        with pytest.raises(ChangedMeanwhile):
            await vault.rename(box, "mine now")
        assert await vault.claim("thief") is None
    assert (await bench.client(Vault).box(box.id)) == box


async def test_a_live_cursor_misses_nothing_however_late_a_transaction_commits(
    bench: Bench,
) -> None:
    """Eight writers with random commit delays against a reader: 0 missed, 0 out of key order."""
    chance = random.Random(7)
    plugged = await bench.ready()
    engine, tables = plugged.store.engine, board.tables
    keys = [new_id() for _ in range(5)]
    vault = bench.client(Vault)

    async def writer() -> None:
        for _ in range(12):
            await vault.say(chance.choice(keys), chance.randint(1, 4))
            await asyncio.sleep(chance.random() * 0.004)

    seen: list[Any] = []
    writing = asyncio.gather(*(writer() for _ in range(8)))
    position = 0
    idle = 0
    while idle < 60:
        frames = await engine.read(lambda c: read_frames(c, tables, position))  # noqa: B023 - run at once
        if frames:
            seen += frames
            position = frames[-1].position or position
        idle = idle + 1 if writing.done() and not frames else 0
        await asyncio.sleep(0.005)
    await writing

    outbox = tables.system.outbox
    written = await engine.read(lambda c: c.execute(select(outbox.c.id)).scalars().all())
    assert len(seen) == len(written)
    assert {f.id for f in seen} == set(written)
    assert [f.position for f in seen] == list(range(1, len(seen) + 1))
    versions = defaultdict(list)
    for frame in seen:
        if frame.tag == "vault.box.put.v1":
            versions[frame.key].append(frame.key_version)
    assert all(found == sorted(found) for found in versions.values())


async def test_what_was_answered_is_there_after_a_restart(database: str) -> None:
    first = Bench(board, database=database)
    location = first.runtime.databases.location
    box = await first.client(Vault).put(a_box(left=4))
    await first.stop()
    second = Bench(board, database=database)
    second.runtime.databases.location = location
    assert await second.client(Vault).box(box.id) == box
    assert (await second.client(Vault).put(a_box())).number == 2
    await second.stop()


async def test_a_list_kept_in_one_column_can_be_changed_by_who_saw_it(bench: Bench) -> None:
    first, second = Note(text="一", amount=Decimal(1)), Note(text="二", amount=Decimal(2))
    box = await bench.client(Vault).put(a_box(notes=(first,)))
    annotated = await bench.client(Vault).annotate(box, (first, second))
    assert (await bench.client(Vault).box(box.id)) == annotated
    with pytest.raises(ChangedMeanwhile):
        await bench.client(Vault).annotate(box, ())
