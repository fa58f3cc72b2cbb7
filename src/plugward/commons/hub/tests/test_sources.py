"""What the hub fetches by itself: no half file, no row twice, no time missed or doubled."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugward.commons.hub.connectors.files_in import FilesSource
from plugward.commons.hub.connectors.positions import Positions
from plugward.commons.hub.connectors.rows_in import NotAsked, RowsSource
from plugward.commons.hub.connectors.sources import start_sources
from plugward.commons.hub.connectors.sources_declared import (
    DatabaseIn,
    FilesIn,
    SourceInvalid,
    TimerIn,
    Whole,
    read_sources,
)
from plugward.commons.hub.connectors.timer import TimerSource, last_due
from plugward.commons.hub.node import Node
from plugward.commons.hub.routing.book import RouteBook
from plugward.kernel.clock import ManualClock, SystemClock
from plugward.kit.time import Clock, hospital_time

AT = hospital_time("2026-03-02 08:00")


@asynccontextmanager
async def node_of(data: Path, clock: Clock | None = None) -> AsyncIterator[Node]:
    node = Node(data, clock or SystemClock(), keeps_all=True)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


async def kept(node: Node) -> list[bytes]:
    """The messages of the ledger, in their order."""
    count = (await node.ledger.counts())["messages"]
    bodies = [await node.ledger.body(seq) for seq in range(1, count + 1)]
    return [body for body in bodies if body is not None]


def files(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


# ── files ───────────────────────────────────────────────────────────────────────────────────────
async def test_a_file_is_taken_when_it_has_settled_and_put_away(tmp_path: Path) -> None:
    drop = tmp_path / "in"
    drop.mkdir()
    async with node_of(tmp_path) as node:
        told = FilesIn(folder="in", pattern="*.hl7", settle_s=0.05)
        source = FilesSource("drop", told, node)
        half = (drop / "b.hl7").open("wb")
        half.write(b"half")
        half.flush()
        (drop / "a.hl7").write_bytes(b"first")
        os.utime(drop / "a.hl7", (1, 1))
        for unwanted in ("x.hl7.tmp", ".hidden.hl7", "c.txt"):
            (drop / unwanted).write_bytes(b"no")
        (drop / "link.hl7").symlink_to("/etc/hostname")
        await source.look()
        assert await kept(node) == []  # nobody knows yet whether they are whole
        await asyncio.sleep(0.06)
        half.write(b" and whole")  # while it is being written it does not settle
        half.flush()
        await source.look()
        assert await kept(node) == [b"first"]
        fcntl.flock(half, fcntl.LOCK_EX)
        await asyncio.sleep(0.06)
        await source.look()
        assert await kept(node) == [b"first"]  # settled, but its writer holds it
        half.close()
        await source.look()
        assert await kept(node) == [b"first", b"half and whole"]
        assert files(drop / "processed")[0].endswith("a.hl7")
        assert len(files(drop / "processed")) == 2
        assert (drop / "link.hl7").is_symlink()


async def test_a_file_may_say_itself_that_it_is_whole(tmp_path: Path) -> None:
    drop = tmp_path / "in"
    drop.mkdir()
    async with node_of(tmp_path) as node:
        marked = FilesSource("m", FilesIn(folder="in", whole=Whole.MARKED, keep=False), node)
        (drop / "a.xml").write_bytes(b"a")
        (drop / "b.xml").write_bytes(b"b")
        (drop / "b.xml.ok").touch()
        await marked.look()
        assert await kept(node) == [b"b"]
        assert files(drop) == ["a.xml"]
        renamed = FilesSource("r", FilesIn(folder="in", whole=Whole.RENAMED), node)
        await renamed.look()
        assert await kept(node) == [b"b", b"a"]


async def test_what_was_taken_when_the_hub_died_is_kept_once(tmp_path: Path) -> None:
    drop = tmp_path / "in"
    (drop / ".taking").mkdir(parents=True)
    (drop / ".taking" / "a.hl7").write_bytes(b"once")
    told = FilesIn(folder="in", whole=Whole.RENAMED)
    async with node_of(tmp_path) as node:
        source = FilesSource("drop", told, node)
        await source.look()
        done = next((drop / "processed").rglob("a.hl7"))
        done.rename(drop / ".taking" / "a.hl7")  # it was kept, and died before it put it away
        await source.look()
        assert await kept(node) == [b"once"]
        (drop / "a.hl7").write_bytes(b"once")  # the same content in a new file is a new message
        await source.look()
        assert await kept(node) == [b"once", b"once"]
        assert len(files(drop / "processed")) == 2


REFUSING = '''"""What has no patient is refused; what comes at a bad time is to come again."""

from plugward.commons.hub.routing import Incoming, Refuse, Send, Tables


def route(incoming: Incoming, tables: Tables) -> list[Send]:
    if incoming.text == "bad":
        raise Refuse("body", "缺少患者")
    if incoming.text == "later":
        raise Refuse("body", "稍后", again=True)
    return []
'''


def refusing(data: Path) -> None:
    book = RouteBook(data / "routes")
    folder = book.new("r")
    (folder / "route.py").write_text(REFUSING, "utf-8")
    (folder / "route.toml").write_text('takes = ["file *", "row *"]\n', "utf-8")
    (folder / "cases" / "first.hl7").rename(folder / "cases" / "first.txt")
    (folder / "cases" / "first.txt").write_text("bad", "utf-8")
    (folder / "cases" / "first.toml").write_text('kind = "file x"\nrefused = "body"\n', "utf-8")
    book.activate("r", by="engineer", why="", at=AT)


async def test_a_refused_file_says_why_and_one_for_later_holds_the_rest(tmp_path: Path) -> None:
    refusing(tmp_path)
    drop = tmp_path / "in"
    drop.mkdir()
    for number, body in enumerate((b"bad", b"later", b"good")):
        (drop / f"{number}.txt").write_bytes(body)
        os.utime(drop / f"{number}.txt", (number, number))
    (drop / "9.txt").write_bytes(b"x" * (10 * 1024 * 1024 + 1))
    async with node_of(tmp_path) as node:
        source = FilesSource("drop", FilesIn(folder="in", whole=Whole.RENAMED), node)
        await source.look()
        failed = [Path(one).name for one in files(drop / "failed")]
        assert failed == ["0.txt", "0.txt.why.txt"]
        why = next((drop / "failed").rglob("*.why.txt")).read_text("utf-8")
        assert "缺少患者" in why
        assert await kept(node) == []
        (drop / ".taking" / "1.txt").write_bytes(b"fine")  # what held the others can be taken now
        await source.look()
        assert await kept(node) == [b"fine", b"good"]
        assert "9.txt" in [Path(one).name for one in files(drop / "failed")]  # too long


# ── rows ────────────────────────────────────────────────────────────────────────────────────────
def lis(data: Path, rows: int) -> DatabaseIn:
    """A database of somebody else's."""
    with sqlite3.connect(data / "lis.sqlite") as lis:
        lis.execute("CREATE TABLE IF NOT EXISTS r (id INTEGER PRIMARY KEY, patient, value)")
        first = lis.execute("SELECT count(*) FROM r").fetchone()[0]
        told = [(f"P{n}", 4.5 + n) for n in range(first, first + rows)]
        lis.executemany("INSERT INTO r (patient, value) VALUES (?, ?)", told)
    lis.close()
    (data / "lis.url").write_text(f"sqlite:///{data / 'lis.sqlite'}", "utf-8")
    (data / "lis.url").chmod(0o600)
    query = "SELECT id, patient, value FROM r WHERE id > :after ORDER BY id LIMIT :limit"
    return DatabaseIn(url_file="lis.url", query=query, key="id", limit=3)


async def test_new_rows_become_messages_once(tmp_path: Path) -> None:
    told = lis(tmp_path, 7)
    positions = Positions(tmp_path / "positions")
    async with node_of(tmp_path) as node:
        source = RowsSource("lis", told, node, positions)
        await source.look()
        await source.look()
        found = await kept(node)
        assert len(found) == 7
        assert found[0] == b'{"id":1,"patient":"P0","value":4.5}'
        positions.put("lis", 4)  # it died before the position was kept
        lis(tmp_path, 2)
        again = RowsSource("lis", told, node, positions)
        await again.look()
        assert len(await kept(node)) == 9
        assert positions.get("lis") == 9
        await source.close()
        await again.close()


async def test_what_cannot_be_asked_is_said_and_a_refused_row_holds_nobody(tmp_path: Path) -> None:
    told = lis(tmp_path, 2)
    positions = Positions(tmp_path / "positions")
    async with node_of(tmp_path) as node:

        async def look(**changed: Any) -> None:
            source = RowsSource("lis", msgspec.structs.replace(told, **changed), node, positions)
            try:
                await source.look()
            finally:
                await source.close()

        with pytest.raises(NotAsked, match="OperationalError"):
            await look(query="SELECT nothing FROM r WHERE id > :after LIMIT :limit")
        with pytest.raises(NotAsked, match="grows"):
            await look(key="value")
        backwards = "SELECT id FROM r WHERE id > :after ORDER BY id DESC LIMIT :limit"
        with pytest.raises(NotAsked, match="grows"):
            await look(query=backwards)
    (tmp_path / "lis.url").chmod(0o644)
    with pytest.raises(ValueError, match="chmod"):
        RowsSource("lis", told, node, positions)


# ── times ───────────────────────────────────────────────────────────────────────────────────────
async def test_each_time_has_one_message_also_over_a_restart(tmp_path: Path) -> None:
    clock = ManualClock(AT)
    positions = Positions(tmp_path / "positions")
    async with node_of(tmp_path, clock) as node:
        night = TimerSource("night", TimerIn(at="02:00"), node, positions)
        await night.look()
        assert await kept(node) == []  # declared at eight: the first is tomorrow's
        await clock.advance(timedelta(hours=18, seconds=1))
        await night.look()
        await night.look()
        assert await kept(node) == [b'{"due":"2026-03-02T18:00:00+00:00"}']
        await clock.advance(timedelta(days=3))  # it was down for three nights
        again = TimerSource("night", TimerIn(at="02:00"), node, positions)
        await again.look()
        await again.look()
        assert len(await kept(node)) == 2


def test_the_last_time_that_has_come() -> None:
    assert last_due(TimerIn(every_s=3600), AT + timedelta(minutes=59)) == AT
    assert last_due(TimerIn(at="08:00"), AT) == AT
    assert last_due(TimerIn(at="08:01"), AT) == AT - timedelta(days=1) + timedelta(minutes=1)


# ── all together ────────────────────────────────────────────────────────────────────────────────
SOURCES = """[drop]
kind = "files"
folder = "in"
whole = "renamed"
every_s = 0.05

[lis]
kind = "database"
url_file = "lis.url"
query = "SELECT id FROM r WHERE id > :after ORDER BY id LIMIT :limit"
key = "id"
every_s = 0.05
"""


async def test_declared_sources_work_and_a_change_is_taken_over(tmp_path: Path) -> None:
    lis(tmp_path, 1)
    (tmp_path / "in").mkdir()
    (tmp_path / "sources.toml").write_text(SOURCES, "utf-8")
    async with node_of(tmp_path) as node:
        start_sources(node)

        async def until(is_so: Callable[[], bool]) -> None:
            async with asyncio.timeout(5):
                while not is_so():  # noqa: ASYNC110 - the sources' doing
                    await asyncio.sleep(0.01)

        (tmp_path / "in" / "a.txt").write_bytes(b"a")
        await until((tmp_path / "in" / "processed").exists)
        await until((tmp_path / "hub" / "positions" / "lis.json").exists)
        with sqlite3.connect(tmp_path / "lis.sqlite") as other:
            other.execute("DROP TABLE r")  # the other side is away: it is said, and waited for
        other.close()
        await until(lambda: "source lis" in node.problems)
        (tmp_path / "sources.toml").write_text(SOURCES + "nonsense = 1\n", "utf-8")
        await node.look()
        assert "sources.toml" in node.problems
        (tmp_path / "in" / "b.txt").write_bytes(b"b")  # what was in force still is
        await until(lambda: not (tmp_path / "in" / "b.txt").exists())
        (tmp_path / "sources.toml").unlink()
        await node.look()
        assert "sources.toml" not in node.problems
        assert {b"a", b"b", b'{"id":1}'} <= set(await kept(node))


def test_a_source_that_cannot_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sources.toml"
    for wrong in (
        SOURCES.replace("drop", '"a b"'),
        SOURCES.replace("0.05", "0"),
        SOURCES.replace(":after", "0"),
        SOURCES.replace("renamed", "guessed"),
        '[t]\nkind = "timer"\nat = "25:00"\n',
    ):
        path.write_text(wrong, "utf-8")
        with pytest.raises(SourceInvalid):
            read_sources(path)
