"""The stores 数据: reachable, of this version, nothing parked, the audit log unbroken."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from plugward.kernel.auditanchors import verify_anchors
from plugward.kernel.auditlog import verify_store
from plugward.kernel.auditstore import FileStore
from plugward.kernel.board import Board
from plugward.kernel.store.migrations import steps_of

from ..folder import DataFolder, HospitalSettings
from .machine import read_only
from .verdict import Verdict, fault, ok, unknown

REACH_S = 5.0
DRIVERS = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy"}


def database(url: str) -> Verdict:
    """Whether the server of this address lets us in."""
    kind, _, rest = url.partition("://")
    if kind not in DRIVERS:
        return unknown("database", f"不认识的数据库 {kind}", f"{kind} is no database we know")
    try:
        asyncio.run(_knock(f"{DRIVERS[kind]}://{rest}"))
    except (OSError, SQLAlchemyError, TimeoutError, ModuleNotFoundError) as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0][:160]
        return fault(
            "database",
            f"连不上数据库（{kind}）：{cause}",
            f"the database ({kind}) cannot be reached: {cause}",
            do=(
                "检查数据库是否启动、地址与端口、防火墙、账号口令（plugward.toml 的 database）",
                "look whether it runs, at address and port, the firewall, and the account "
                "(database in plugward.toml)",
            ),
        )
    return ok("database", "数据库可达", "the database answers")


async def _knock(url: str) -> None:
    engine = create_async_engine(url.partition("?prefix=")[0])
    try:
        async with asyncio.timeout(REACH_S), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    finally:
        await engine.dispose()


def schemas(folder: DataFolder, boards: tuple[Board, ...]) -> Verdict:
    """No board's file was written by a newer release."""
    known = {board.name: board for board in boards}
    for name, db in _files(folder):
        with closing(db):
            try:
                found = db.execute(f"SELECT max(number) FROM {name}_sys_migration").fetchone()[0]  # noqa: S608 - a file's own name
            except sqlite3.Error as error:
                return _unreadable(name, error)
        board = known.get(name)
        if board is None or found is None:
            continue
        newest = max((s.number for s in steps_of(f"{board.package}.migrations")), default=0)
        if found > newest:
            return fault(
                "schema",
                f"{board.manifest.title}（{name}）的数据是更新的版本写的：{found} > {newest}",
                f"{name}'s tables were made by a newer release: {found} > {newest}",
                do=(
                    "安装写入这些数据的版本（或更新），不要用旧版本打开；或从备份恢复",
                    "install the release that wrote them, or a later one, or restore a backup; "
                    "never open them with an older one",
                ),
            )
    return ok("schema", "各插板表结构与程序一致", "every board's tables fit this release")


def parked(folder: DataFolder) -> Iterator[Verdict]:
    """Facts that could not be handled wait for a person."""
    waiting: dict[str, int] = {}
    for name, db in _files(folder):
        with closing(db):
            try:
                counted = f"SELECT count(*) FROM {name}_sys_parked WHERE state = 'parked'"  # noqa: S608 - a file's own name
                waiting[name] = db.execute(counted).fetchone()[0]
            except sqlite3.Error as error:
                yield _unreadable(name, error)
    for name, count in waiting.items():
        if count:
            yield fault(
                "parked",
                f"{name} 有 {count} 条事件处理失败，滞留待人工处理",
                f"{count} events could not be handled by {name} and wait for a person",
                do=(
                    "在「搁置的事件」页重放；或停院后 plugward events list / replay / skip",
                    "replay them on the page Parked events, or, stopped, with plugward events "
                    "list, replay, skip",
                ),
            )
    if not any(waiting.values()):
        yield ok("parked", "没有滞留事件", "nothing is parked")


def audit_chain(folder: DataFolder, hospital: HospitalSettings) -> Verdict:
    """The audit log's chain, recomputed, and compared with its anchors."""
    path = folder.audit / "audit.sqlite"
    if not path.exists():
        return unknown("audit", "没有审计文件", "there is no audit file")
    with closing(read_only(path)) as db:
        store = FileStore(db=db)
        try:
            problems = list(verify_store(store))
            outside = folder.anchors(hospital)
            problems += list(verify_anchors(outside, store)) if outside.is_dir() else []
        except sqlite3.Error as error:
            problems = [f"the file cannot be read: {error}"]
    if not problems:
        return ok("audit", "审计链完整", "the audit chain is unbroken")
    return fault(
        "audit",
        f"审计链已断：{problems[0]}",
        f"the audit chain is broken: {problems[0]}",
        do=(
            "保留现场：不要改动，复制数据目录，通知安全负责人，与备份和外部锚点比对",
            "touch nothing, copy the data folder, tell the security officer, and compare with a "
            "backup and the anchors outside",
        ),
    )


def _files(folder: DataFolder) -> Iterator[tuple[str, sqlite3.Connection]]:
    for path in sorted(folder.boards.glob("*.sqlite")):
        yield _name(path), read_only(path)


def _name(path: Path) -> str:
    name = path.stem
    assert name.isidentifier(), name
    return name


def _unreadable(name: str, error: sqlite3.Error) -> Verdict:
    return fault(
        "schema",
        f"{name} 的数据文件读不出来：{error}",
        f"the file of {name} cannot be read: {error}",
        do=("从最近的备份恢复：plugward restore", "restore the last backup: plugward restore"),
    )
