"""A hospital on a database server is backed up while it works, and comes back as one moment.

数据库服务器上的医院：营业中备份，恢复为同一时刻，稽核通过。
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugward.kernel.board import Board
from plugward.kernel.clock import SystemClock
from plugward.kernel.envelope import acting_as
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.rack.backup import back_up, read_manifest, restore
from plugward.rack.copy.places import Rows, rows_at, rows_of
from plugward.rack.discover import Found
from plugward.rack.folder import DataFolder
from plugward.rack.place import Place, keep_place
from plugward.rack.settings import with_database, without_database

from ..databases.servers import mariadb, own_hospital, postgresql
from ..databases.test_store_promises import a_box
from ..databases.vault.board import board
from ..databases.vault.contract import Vault
from .test_copy import hospital, quiet, work

COPIES = 3
WRITTEN = """# by hand
[hospital]
name = "示范市第一医院"
database = "postgresql://his:secret@db/hospital"
audit = "postgresql://his:secret@db/hospital"
anchors = "/mnt/anchors"

[boards.vault]
database = "of the board's own"
"""


def test_only_the_lines_that_name_the_database_go_and_come() -> None:
    bare = without_database(WRITTEN)
    assert "secret" not in bare
    assert bare.count("\n") == WRITTEN.count("\n") - 2
    assert 'database = "of the board\'s own"' in bare
    assert "# by hand" in bare
    assert without_database(with_database(bare, "mysql://a@b/", "mysql://o@b/")) == bare
    assert with_database("", "mysql://a@b/").startswith("[hospital]\ndatabase = ")


@pytest.fixture
def only_the_vault(monkeypatch: pytest.MonkeyPatch) -> Board:
    """The hospital of this story has one board."""
    monkeypatch.setattr("plugward.rack.backup.discover", lambda: Found((board,), {}))
    return board


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    with postgresql() as pg, mariadb() as my:
        yield {"postgresql": pg, "mariadb": my}


@pytest.mark.full
@pytest.mark.usefixtures("only_the_vault")
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_a_server_hospital_at_work_comes_back_whole(
    tmp_path: Path, servers: dict[str, str], kind: str
) -> None:
    url = own_hospital(servers[kind])
    folder = DataFolder(tmp_path / "data")
    folder.open()
    folder.settings_file.write_text(with_database("", url), "utf-8")
    (folder.boards / "vault.sqlite").write_bytes(b"of the time before the server")
    (folder.keys / "session.key").write_bytes(b"k" * 32)
    rows = rows_of(folder)
    enough, put = asyncio.Event(), Counter[str]()
    working = asyncio.create_task(boxes_are_put(rows, enough, put))
    taken = []
    for number in range(COPIES):
        await some_more(put, working)
        copy = tmp_path / f"copy-{number}"
        made = await asyncio.to_thread(back_up, folder, copy, SystemClock(), "1.0.0", quiet)
        assert made.database == rows.kind
        taken.append(copy)
    await some_more(put, working)
    enough.set()
    await working

    counts = []
    for copy in taken:
        again = DataFolder(tmp_path / f"again-{copy.name}")
        restore(copy, again, quiet)
        assert (again.keys / "session.key").read_bytes() == b"k" * 32
        assert rows_of(again).in_files
        counts.append(await work(rows_of(again), 0))  # with its audit
    assert counts == sorted(counts)
    assert 0 < counts[0] < counts[-1] < put.total(), "nobody wrote while the backups were made"
    assert {kept.path for kept in read_manifest(taken[0]).files} >= {
        "boards/vault.sqlite",
        "audit/audit.sqlite",
    }


async def some_more(put: Counter[str], working: "asyncio.Task[None]") -> None:
    before = put.total()
    async with asyncio.timeout(20):
        while put.total() < before + 5:
            assert not working.done(), working.exception()
            await asyncio.sleep(0.005)


async def boxes_are_put(rows: Rows, enough: asyncio.Event, put: Counter[str]) -> None:
    runtime = hospital(rows)
    await runtime.start([board])
    try:
        while not enough.is_set():
            with acting_as(a_tester(), request=new_id()):
                await runtime.client(Vault).put(a_box(left=4))
            put["box"] += 1
    finally:
        await runtime.stop()


@pytest.mark.full
@pytest.mark.usefixtures("only_the_vault")
async def test_a_rack_on_a_server_is_backed_up_into_files(
    tmp_path: Path, servers: dict[str, str]
) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.open()
    keep_place(folder, Place(own_hospital(servers["postgresql"])))
    await work(rows_of(folder), 5)
    await asyncio.to_thread(back_up, folder, tmp_path / "copy", SystemClock(), "1.0.0", quiet)
    again = DataFolder(tmp_path / "again")
    restore(tmp_path / "copy", again, quiet)
    assert rows_of(again).in_files
    assert await work(rows_of(again), 1) == 6


@pytest.mark.full
@pytest.mark.usefixtures("only_the_vault")
async def test_a_backup_of_files_comes_back_on_a_server(
    tmp_path: Path, servers: dict[str, str]
) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.open()
    await work(rows_of(folder), 5)
    await asyncio.to_thread(back_up, folder, tmp_path / "copy", SystemClock(), "1.0.0", quiet)
    again = DataFolder(tmp_path / "again")
    url = own_hospital(servers["postgresql"])
    await asyncio.to_thread(restore, tmp_path / "copy", again, quiet, to=url)
    assert rows_of(again) == rows_at(url)
    assert await work(rows_of(again), 1) == 6
