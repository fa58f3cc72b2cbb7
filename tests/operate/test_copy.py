"""A hospital moves between SQLite, PostgreSQL and MariaDB: every row, counted and compared.

搬库：行数与摘要逐表比对，不同即弃；审计链不断；源库运行中则拒绝。
"""

import asyncio
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from plugward.cli.store import copy as copy_command
from plugward.kernel.audit import audit_runtime
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.auditserver import ServerStore
from plugward.kernel.clock import ManualClock
from plugward.kernel.envelope import acting_as
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.store.roles import connect_as
from plugward.kernel.store.server import with_driver, without
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.kit.money import UnitPrice
from plugward.rack.copy.places import CopyRefused, Rows, rows_at
from plugward.rack.copy.run import Report, compare, copy, plan
from plugward.rack.copy.target import FolderTarget
from plugward.rack.folder import DataFolder
from plugward.rack.settings import with_database

from ..databases.servers import mariadb, own_hospital, postgresql, run_sql
from ..databases.test_store_promises import a_box
from ..databases.vault.board import board
from ..databases.vault.contract import Vault

PLUGWARD = Path(sys.executable).with_name("plugward")
BOXES = 30


def quiet(what: str, done: int, total: int) -> None:
    del what, done, total


def moved(source: Rows, target: Rows) -> Report:
    return copy(source, target, [board], quiet)


def hospital(rows: Rows) -> Runtime:
    """The hospital whose rows these are."""
    clock = ManualClock("2026-03-02 08:00")
    if isinstance(rows.boards, Path) and isinstance(rows.audit, Path):
        rows.boards.mkdir(parents=True, exist_ok=True)
        rows.audit.parent.mkdir(parents=True, exist_ok=True)
        return Runtime(Databases(rows.boards), clock, AuditLog(rows.audit, clock))
    url = plain_url(rows)
    return Runtime(Databases(url), clock, AuditLog(ServerStore(url), clock))


def plain_url(rows: Rows) -> str:
    url = make_url(rows.boards)  # type: ignore[arg-type]  # not a folder: see above
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False)


async def work(rows: Rows, boxes: int) -> int:
    """Boxes are put; answers how many there are. Whoever moved here goes on working."""
    runtime = hospital(rows)
    await runtime.start([board])
    try:
        for number in range(boxes):
            price = UnitPrice(yuan=Decimal(number + 1) / 8)
            with acting_as(a_tester(), request=new_id()):
                await runtime.client(Vault).put(a_box(left=4, price=price))
        await runtime.quiet()
        report = await audit_runtime(runtime)
        assert report.holds, report
        assert {line.id for line in report.lines} >= {"K1", "K2", "K3", "R4"}
        with acting_as(a_tester()):
            return len(await runtime.client(Vault).boxes())
    finally:
        await runtime.stop()


@pytest.fixture
def filled(tmp_path: Path) -> Rows:
    rows = rows_at(str(tmp_path / "first"))
    asyncio.run(work(rows, BOXES))
    return rows


def test_a_copy_is_the_same_hospital_and_works_on(filled: Rows, tmp_path: Path) -> None:
    target = rows_at(str(tmp_path / "second"))
    told = plan(filled, target, [board])
    assert not (tmp_path / "second").exists()
    report = moved(filled, target)
    assert report.rows == told.rows > 3 * BOXES
    assert compare(filled, target, [board], quiet).different == ()
    assert asyncio.run(work(target, 1)) == BOXES + 1
    different = compare(filled, target, [board], quiet).different
    assert {"vault_box", "vault_sys_outbox", "audit_entry"} <= {one.table for one in different}


def test_the_log_of_a_copy_still_only_grows(filled: Rows, tmp_path: Path) -> None:
    target = rows_at(str(tmp_path / "second"))
    moved(filled, target)
    with sqlite3.connect(tmp_path / "second" / "audit" / "audit.sqlite") as db:
        for statement in ("UPDATE audit_entry SET actor = 'x'", "DELETE FROM audit_entry"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE vault_box SET left = left - 1 WHERE number = 7",
        "DELETE FROM vault_box WHERE number = 7",
        "UPDATE vault_box SET notes = replace(notes, '[]', '[ ]') WHERE number = 7",
    ],
)
def test_a_difference_is_found_and_the_copy_thrown_away(
    filled: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    written = FolderTarget.written

    def harmed(self: FolderTarget, part: str) -> None:
        if part == "vault":
            assert self.of(part).exec_driver_sql(harm).rowcount == 1
        written(self, part)

    monkeypatch.setattr(FolderTarget, "written", harmed)
    target = rows_at(str(tmp_path / "second"))
    with pytest.raises(CopyRefused, match=r"differs in 1 tables, first vault_box .* thrown away"):
        moved(filled, target)
    assert list((tmp_path / "second").iterdir()) == []
    monkeypatch.undo()
    assert moved(filled, target).different == ()


def test_what_is_refused_is_refused_before_anything_is_written(
    filled: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    with pytest.raises(CopyRefused, match="holds a hospital already"):
        moved(filled, filled)
    with pytest.raises(CopyRefused, match="rows of vault, which is not installed"):
        copy(filled, rows_at(second), [], quiet)
    with pytest.raises(CopyRefused, match="no whole hospital"):
        moved(rows_at(second), rows_at(str(tmp_path / "third")))
    with pytest.raises(CopyRefused, match="not among postgresql"):
        rows_at("oracle://somebody:secret@here/db")
    with sqlite3.connect(tmp_path / "first" / "boards" / "vault.sqlite") as db:
        db.execute("INSERT INTO vault_sys_migration VALUES (7, 'of tomorrow', 0)")
    with pytest.raises(CopyRefused, match="vault are of another release"):
        moved(filled, rows_at(second))

    open_hospital = DataFolder(Path(first))
    open_hospital.open()
    options: dict[str, Any] = {"owner": "", "dry_run": False, "as_json": False}
    assert copy_command(first, second, while_running=False, **options) == 2
    open_hospital.close()
    said = " ".join(capsys.readouterr().out.split())
    assert "is in use by process" in said
    assert "--while-running" in said
    assert not Path(second).exists()


async def test_a_store_that_cannot_be_opened_is_no_clean_audit(tmp_path: Path) -> None:
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "vault.sqlite").write_bytes(b"half a copy, as some other tool leaves it")
    runtime = hospital(rows_at(str(tmp_path)))
    await runtime.start([board])
    report = await audit_runtime(runtime)
    await runtime.stop()
    assert not report.holds
    assert [(line.id, line.board) for line in report.lines if line.breaches] == [("K0", "vault")]


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    with postgresql() as pg, mariadb() as my:
        yield {"postgresql": pg, "mariadb": my}


@pytest.mark.full
def test_once_around_all_databases(filled: Rows, tmp_path: Path, servers: dict[str, str]) -> None:
    """Each stop is compared, audited and worked on; the last is compared with the first day's."""
    pg = rows_at(own_hospital(servers["postgresql"]))
    my = rows_at(own_hospital(servers["mariadb"]))
    files, last = rows_at(str(tmp_path / "last")), rows_at(own_hospital(servers["postgresql"]))
    digests: list[list[str]] = []
    for source, target in ((filled, pg), (pg, my), (my, files), (files, last)):
        report = moved(source, target)
        assert report.different == ()
        assert compare(source, target, [board], quiet).different == ()
        digests.append([table.digest for table in report.tables])
    assert all(one == digests[0] for one in digests)
    for at, rows in enumerate((pg, my, files, last)):
        assert asyncio.run(work(rows, 2)) == BOXES + 2, at


@pytest.mark.full
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_server_that_is_half_filled_is_no_hospital(
    filled: Rows, servers: dict[str, str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is interrupted after the boards; the same command, said again, goes through."""
    url = own_hospital(servers[kind])
    target = rows_at(url)
    prefix = str(make_url(url).query["prefix"])

    def left(like: str = "§%") -> list[Any]:
        tables = "SELECT table_name FROM information_schema.tables WHERE table_schema LIKE '¶'"
        return run_sql(servers[kind], tables.replace("¶", like).replace("§", prefix))

    def full_disk(*_: object) -> None:
        with ThreadPoolExecutor() as apart:
            assert apart.submit(left).result() == [], "seen before it was whole"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("plugward.rack.copy.run.read_back", full_disk)
    with pytest.raises(CopyRefused, match="No space left"):
        moved(filled, target)
    assert left("%§%") == []
    monkeypatch.undo()
    assert moved(filled, target).different == ()
    with pytest.raises(CopyRefused, match="has tables already"):
        moved(filled, target)
    for statement in (
        "UPDATE §audit.audit_entry SET actor = 'x'",
        "DELETE FROM §audit.audit_entry",
    ):
        with pytest.raises(DBAPIError, match="append-only"):
            run_sql(servers[kind], statement.replace("§", prefix))


@pytest.mark.full
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_with_an_owner_boards_have_roles_on_the_target(
    filled: Rows, servers: dict[str, str], kind: str
) -> None:
    server, login = servers[kind], f"his_{secrets.token_hex(4)}"
    if kind == "postgresql":
        run_sql(server, f'CREATE ROLE "{login}" LOGIN NOINHERIT')
    else:
        run_sql(server, "DROP USER IF EXISTS ''@'localhost'", f"CREATE USER `{login}`@`%`")
    owner = own_hospital(server)
    url = make_url(owner).set(username=login)
    target = rows_at(url.render_as_string(hide_password=False), owner)
    assert moved(filled, target).different == ()
    assert asyncio.run(said_as(url, "vault", "SELECT count(*) FROM §vault.vault_box")) == BOXES
    for schema, statement in (
        ("vault", "SELECT count(*) FROM §audit.audit_entry"),
        ("vault", "DROP TABLE §vault.vault_box"),
        ("audit", "DELETE FROM §audit.audit_entry"),
    ):
        with pytest.raises(DBAPIError, match=r"denied|must be owner"):
            asyncio.run(said_as(url, schema, statement))


async def said_as(url: URL, schema: str, statement: str) -> Any:
    """What the hospital's login hears in the role of this schema."""
    prefix = str(url.query["prefix"])
    engine = create_async_engine(
        with_driver(without(url, "prefix")), connect_args=connect_as(url, f"{prefix}{schema}")
    )
    try:
        async with engine.begin() as connection:
            return (await connection.execute(text(statement.replace("§", prefix)))).scalar()
    finally:
        await engine.dispose()


@pytest.mark.full
def test_a_day_of_the_hospital_moves_with_one_command(
    tmp_path: Path, servers: dict[str, str]
) -> None:
    """SQLite, PostgreSQL, MariaDB, SQLite; the whole hospital audits clean at each stop."""
    day = tmp_path / "day"
    run("day", "--visits", "6", "--data", day)
    stops = [own_hospital(servers["postgresql"]), own_hospital(servers["mariadb"])]
    settings = day / "plugward.toml"
    for at, url in enumerate(stops):
        run("store", "copy", "--from", day, "--to", url)
        settings.write_text(with_database("", url), "utf-8")
        assert "everything holds" in run("audit", "--data", day)
        run("backup", tmp_path / f"backup-{at}", "--data", day)
    for at, url in enumerate(reversed(stops)):  # what was on one server comes back on the other
        again = tmp_path / f"again-{at}"
        said = run("restore", tmp_path / f"backup-{at}", "--data", again, "--to", f"{url}_again_")
        assert "everything holds" in said
        assert f"{url}_again_" in (again / "plugward.toml").read_text("utf-8")
        assert not any((again / "boards").iterdir())
    assert "everything holds" in run("restore", tmp_path / "backup-0", "--data", tmp_path / "files")
    assert "database" not in (tmp_path / "files" / "plugward.toml").read_text("utf-8")
    (day / "boards").rename(tmp_path / "old-boards")
    (day / "audit").rename(tmp_path / "old-audit")
    run("store", "copy", "--from", day, "--to", day)
    settings.unlink()
    assert "everything holds" in run("audit", "--data", day)


def run(*words: object) -> str:
    done = subprocess.run([PLUGWARD, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
