"""A full disk or a stopped store: an outage everybody is told of, and nothing is torn."""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from plugward.kernel import Unavailable
from plugward.kernel.audit import audit_runtime
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.envelope import acting_as
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.store.work import Reading, Unbounded, Work
from plugward.kernel.testing import Bench, a_tester
from plugward.kit.ids import new_id

from .hospital import MRS_CHEN, a_parcel, hospital, outcome, received
from .labels.board import board as labels_board
from .labels.contract import Labels
from .parcels.board import board as parcels_board
from .parcels.contract import Parcel, ParcelReceived, Parcels
from .parcels.tables import parcels


async def limit_pages(runtime: Runtime, pages: int) -> None:
    """The parcels board's file may grow by so many pages."""

    def limit(connection: Connection) -> None:
        now = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={now + pages}")

    await runtime.plugged["parcels"].store.engine.system(limit)


async def test_a_full_disk_is_an_outage_and_what_was_answered_is_there(tmp_path: Path) -> None:
    """磁盘写满：已答复的一定在，未答复的不留半截；腾出空间后继续。"""
    async with hospital(parcels_board, labels_board, folder=tmp_path) as runtime:
        await limit_pages(runtime, 4)
        tried = [a_parcel() for _ in range(300)]
        outcomes = []
        for parcel in tried:
            outcomes.append(await outcome(received(runtime, parcel)))
        failed = [o for o in outcomes if not isinstance(o, Parcel)]
        assert failed
        assert {(type(o), o.board, o.reason) for o in failed} == {
            (Unavailable, "parcels", "storage")
        }
        with acting_as(a_tester()):  # the other boards go on
            assert await runtime.client(Labels).count() >= 0

        await limit_pages(runtime, 100_000)
        await received(runtime)
        await runtime.quiet()
        written = [o for o in outcomes if isinstance(o, Parcel)]
        with acting_as(a_tester()):
            for parcel in written:
                assert await runtime.client(Parcels).parcel(parcel.id) == parcel
            assert await runtime.client(Labels).count() == len(written) + 1
        assert (await audit_runtime(runtime)).holds


async def test_after_the_outage_the_same_request_simply_succeeds(tmp_path: Path) -> None:
    async with hospital(folder=tmp_path) as runtime:
        await limit_pages(runtime, 0)
        parcel, request = a_parcel(name="长" * 60), new_id()
        while not isinstance(await outcome(received(runtime)), Unavailable):
            pass
        with acting_as(a_tester(), request=request), pytest.raises(Unavailable):
            await runtime.client(Parcels).receive(parcel)
        await limit_pages(runtime, 100_000)
        with acting_as(a_tester(), request=request):
            assert await runtime.client(Parcels).receive(parcel) == parcel


async def test_when_a_group_breaks_while_it_is_run_again_everybody_is_told() -> None:
    """一组中有人被拒而重做，途中存储又坏：组内每一位都得到“存储不可用”，没有人一直等下去。"""
    runs: list[str] = []

    def breaks_the_second_time(connection: Connection) -> None:
        runs.append("first")
        if len(runs) > 1:  # as SQLite itself does when the disk is full
            connection.exec_driver_sql("ROLLBACK")
            raise sqlite3.OperationalError("disk I/O error")

    def is_refused(connection: Connection) -> None:
        del connection
        raise ValueError

    async with hospital(parcels_board, labels_board) as runtime:
        engine = runtime.plugged["parcels"].store.engine
        async with asyncio.timeout(5):
            told = await asyncio.gather(
                engine.system(breaks_the_second_time),
                engine.system(is_refused),
                engine.system(is_refused),
                return_exceptions=True,
            )
        assert runs == ["first", "first"]
        assert [type(one) for one in told[:2]] == [Unavailable, Unavailable]
        assert isinstance(await outcome(received(runtime)), Parcel)  # and the next group works


async def test_two_versions_beside_one_another_number_their_facts_in_one_row(
    tmp_path: Path,
) -> None:
    """新旧两个版本同写一个文件（试运行）：事实的序号连成一列，谁也不被拒，谁也不缺号。"""
    async with hospital(parcels_board, folder=tmp_path) as old:
        trial = Runtime(
            Databases(tmp_path, durable=False),
            old.clock,
            AuditLog(None, old.clock),
            reacting=False,
        )
        await trial.start([parcels_board])
        for _ in range(5):
            told = await asyncio.gather(outcome(received(old)), outcome(received(trial)))
            assert [type(one) for one in told] == [Parcel, Parcel]
        await trial.stop()
        await received(old)
        await old.quiet()
        report = await audit_runtime(old)
        [whole] = [line for line in report.lines if line.id == "K1"]
        assert whole.breaches == ()
        assert whole.examined >= 2 * 11  # a fact and its command each


async def test_a_stopped_store_answers_so() -> None:
    async with hospital() as runtime:
        store = runtime.plugged["parcels"].store
    with pytest.raises(Unavailable) as away:
        await store.work(lambda work: work.now)
    assert away.value.reason == "stopped"


async def test_a_list_without_a_sensible_limit_is_a_bug() -> None:
    async with hospital() as runtime:
        store = runtime.plugged["parcels"].store
        for limit in (0, 1_001):
            with pytest.raises(Unbounded):
                await store.read(lambda read, n=limit: read.find(parcels, Parcel, limit=n))
        with pytest.raises(Unbounded):
            await store.work(lambda work: work.delete_where(parcels))
        with pytest.raises(Unbounded):
            await store.work(lambda work: work.set_where(parcels, name="…"))


async def test_the_alarm_for_too_many_statements_rings() -> None:
    bench = Bench(parcels_board)
    client = bench.client(Parcels)
    await client.receive(a_parcel())
    with bench.queries(at_most=1):
        await client.parcels_of(MRS_CHEN)
    with pytest.raises(AssertionError, match="1 statements"), bench.queries(at_most=0):
        await client.parcels_of(MRS_CHEN)


async def test_what_a_bench_publishes_is_what_the_board_said() -> None:
    bench: Any = Bench(parcels_board)
    parcel = await bench.client(Parcels).receive(a_parcel())
    assert bench.published(ParcelReceived) == [ParcelReceived(parcel=parcel)]


async def test_what_takes_long_leaves_the_event_loop_to_others(tmp_path: Path) -> None:
    """慢的工作单元在文件自己的线程上进行，其间别人的调用照常得到答复。"""
    async with hospital(parcels_board, labels_board, folder=tmp_path) as runtime:
        store = runtime.plugged["parcels"].store
        here, let_go = threading.get_ident(), threading.Event()

        def long_unit(work: Work) -> int:  # noqa: ARG001 - a unit of work
            let_go.wait(5)
            return threading.get_ident()

        waiting = asyncio.create_task(store.work(long_unit))
        with acting_as(a_tester()):
            assert await runtime.client(Labels).count() == 0
        assert not waiting.done()
        let_go.set()
        assert await waiting != here


async def test_what_is_quick_stays_where_it_is(tmp_path: Path) -> None:
    async with hospital(folder=tmp_path) as runtime:
        store, here = runtime.plugged["parcels"].store, threading.get_ident()

        def quick_unit(work: Work) -> int:  # noqa: ARG001 - a unit of work
            return threading.get_ident()

        def quick_read(read: Reading) -> int:  # noqa: ARG001 - a read
            return threading.get_ident()

        await store.work(quick_unit)  # nobody knows it yet
        assert await store.work(quick_unit) == here
        await store.read(quick_read)
        assert await store.read(quick_read) == here


async def test_a_file_another_process_writes_to_is_waited_for_apart(tmp_path: Path) -> None:
    """另一进程正在写同一文件：本进程其他事照做，写入等到锁放开，不丢不重。"""
    async with hospital(parcels_board, labels_board, folder=tmp_path) as runtime:
        await received(runtime)
        await received(runtime)  # known to be quick
        await runtime.quiet()
        other = sqlite3.connect(tmp_path / "parcels.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(received(runtime))
        with acting_as(a_tester()):
            assert await runtime.client(Labels).count() == 2
        assert not waiting.done()
        other.execute("COMMIT")
        other.close()
        assert isinstance(await waiting, Parcel)
