"""Targets 去处: made beside what is there, and there only when everything in it was compared.

PostgreSQL does all of it in one transaction. Files and MySQL's databases are filled under another
name and renamed at the end: what was interrupted is no hospital, and the next attempt clears it.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.pool import StaticPool

from plugward.kernel.auditserver import RIGHTS, guard
from plugward.kernel.auditstore import FileStore
from plugward.kernel.store.roles import ROWS, grant

from .places import AUDIT, CopyRefused, Part, Rows, told, turned
from .source import server_engine

PART = ".part"
COPYING = "copying_"


class Target(Protocol):
    """Where the rows go. Nothing of it can be used before ``publish``."""

    def make(self, part: Part) -> None:
        """Empty tables."""
        ...

    def of(self, part: str) -> Connection:
        """The connection that sees the tables of this part."""
        ...

    def written(self, part: str) -> None:
        """All rows of this part are in."""
        ...

    def publish(self) -> None:
        """From now on it is a hospital."""
        ...


class FolderTarget:
    """A file a board, and one for the audit log, below a data folder."""

    keeps_position = False

    def __init__(self, stack: ExitStack, boards: Path, audit: Path) -> None:
        self._boards = boards
        self._audit = audit
        self._stack = stack
        self._connections: dict[str, Connection] = {}
        self._engines: list[Engine] = []
        if audit.exists() or any(boards.glob("*.sqlite")):
            raise CopyRefused(
                f"{boards.parent} holds a hospital already. Name a new folder, or move its boards "
                f"and audit away first."
            )
        for folder in self._folders:
            part = _part_of(folder)
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(mode=0o700, parents=True)
            stack.callback(shutil.rmtree, part, ignore_errors=True)
        stack.callback(self._let_go)

    @property
    def _folders(self) -> tuple[Path, Path]:
        """The boards last: a folder with boards is a hospital."""
        return self._audit.parent, self._boards

    def make(self, part: Part) -> None:
        folder = _part_of(self._audit.parent if part.name == AUDIT else self._boards)
        path = folder / f"{part.name}.sqlite"
        if part.name == AUDIT:
            log = FileStore(path)  # with the triggers that let nothing be changed
            log.open()
            log.close()
        engine = create_engine(f"sqlite:///{path}", hide_parameters=True, poolclass=StaticPool)
        self._engines.append(engine)
        connection = self._connections[part.name] = engine.connect()
        # Nobody reads it before it is whole and on disk: no journal is needed on the way.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -64000"):
            connection.exec_driver_sql(f"PRAGMA {pragma}")
        part.metadata.create_all(connection)
        connection.commit()

    def of(self, part: str) -> Connection:
        return self._connections[part]

    def written(self, part: str) -> None:
        self._connections[part].commit()

    def publish(self) -> None:
        self._let_go()
        for folder in self._folders:
            part = _part_of(folder)
            for path in (*part.iterdir(), part):
                _on_disk(path)
            if folder.exists():
                folder.rmdir()  # it was looked at before: it is empty
            part.rename(folder)
            _on_disk(folder.parent)

    def _let_go(self) -> None:
        for connection in self._connections.values():
            connection.close()
        for engine in self._engines:
            engine.dispose()
        self._connections, self._engines = {}, []


class ServerTarget:
    """A schema (MySQL: a database) a board on one server."""

    keeps_position = True

    def __init__(self, stack: ExitStack, rows: Rows) -> None:
        assert isinstance(rows.boards, URL), "made for servers"
        self._rows = rows
        self._login = rows.boards.username or ""
        engine = server_engine(rows.owner or rows.boards)
        stack.callback(engine.dispose)
        self._connection = stack.enter_context(engine.connect())
        self._is_postgresql = engine.dialect.name == "postgresql"
        self._made: list[Part] = []
        self._is_published = False
        stack.callback(self._clear)

    def make(self, part: Part) -> None:
        schema = self._rows.schema(part.name)
        there = self._connection.execute(_TABLES, {"schema": schema}).first()
        if there is not None:
            raise CopyRefused(
                f"{schema} on {told(self._rows.boards)} has tables already. Copy to an empty "
                f"database, or add ?prefix=… to keep hospitals apart."
            )
        self._made.append(part)
        if self._is_postgresql:
            self._connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        else:
            self._drop(f"{COPYING}{schema}")
            self._create(f"{COPYING}{schema}")
        part.metadata.create_all(self.of(part.name))

    def of(self, part: str) -> Connection:
        schema = self._rows.schema(part)
        return turned(self._connection, schema if self._is_postgresql else f"{COPYING}{schema}")

    def written(self, part: str) -> None:
        del part
        if not self._is_postgresql:
            self._connection.commit()

    def publish(self) -> None:
        if not self._is_postgresql:
            self._rename()
        for part in self._made:
            schema = self._rows.schema(part.name)
            is_audit = part.name == AUDIT
            if is_audit:
                guard(self._connection, schema)
            if self._rows.owner is not None:
                rights = RIGHTS if is_audit else {"*": ROWS}
                grant(self._connection, schema, self._login, rights)
        self._connection.commit()
        self._is_published = True

    def _rename(self) -> None:
        """All tables of all boards to their names in one statement."""
        moves: list[str] = []
        for part in self._made:
            schema = self._rows.schema(part.name)
            self._create(schema)
            moves += [
                f"`{COPYING}{schema}`.`{table.name}` TO `{schema}`.`{table.name}`"
                for table in part.tables
            ]
        self._connection.execute(text("RENAME TABLE " + ", ".join(moves)))
        self._drop_copying()

    def _create(self, database: str) -> None:
        self._connection.execute(
            text(
                f"CREATE DATABASE IF NOT EXISTS `{database}` "
                "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )
        )

    def _drop_copying(self) -> None:
        for part in self._made:
            self._drop(f"{COPYING}{self._rows.schema(part.name)}")

    def _drop(self, database: str) -> None:
        if self._connection.execute(_DATABASE, {"name": database}).first() is not None:
            self._connection.execute(text(f"DROP DATABASE `{database}`"))

    def _clear(self) -> None:
        """What was not published is gone; PostgreSQL forgets it by itself."""
        if not self._is_published:
            self._connection.rollback()
            if not self._is_postgresql:
                self._drop_copying()


_TABLES = text(
    "SELECT table_name FROM information_schema.tables WHERE table_schema = :schema LIMIT 1"
)
_DATABASE = text("SELECT schema_name FROM information_schema.schemata WHERE schema_name = :name")


@contextmanager
def prepared(rows: Rows) -> Iterator[Target]:
    """An empty target; what is not published when this ends is gone."""
    with ExitStack() as stack:
        if isinstance(rows.boards, Path) and isinstance(rows.audit, Path):
            yield FolderTarget(stack, rows.boards, rows.audit)
        else:
            yield ServerTarget(stack, rows)


def _part_of(folder: Path) -> Path:
    return folder.with_name(folder.name + PART)


def _on_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
