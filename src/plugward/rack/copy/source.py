"""Sources 来源: all rows of a hospital as of one moment, whether it runs or not.

On a server, one snapshot of one connection sees every schema alike. Files are held together for
some milliseconds, as a backup does. The audit log is never later than the boards: what it has not
collected yet, it collects after the move.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool, StaticPool

from plugward.kernel.store.server import without

from ..moment import LOCK_WAIT_S, nobody_writes
from .places import AUDIT, CopyRefused, Rows, told, turned

JOURNAL = "_sys_migration"
_SERVER = ""  # the connection that sees every board of a server


class Source:
    """The rows of one moment. ``boards`` are those that have a store there."""

    def __init__(self, rows: Rows, connections: dict[str, Connection]) -> None:
        self.rows = rows
        self._connections = connections
        self.boards = self._stores()
        if not self.boards or not (AUDIT in connections or self._has_log()):
            raise CopyRefused(f"There is no whole hospital at {told(rows.boards)}.")

    def of(self, part: str) -> Connection:
        if part in self._connections:
            found = self._connections[part]
            return turned(found, self.rows.schema(part)) if self._is_server(part) else found
        return turned(self._connections[_SERVER], self.rows.schema(part))

    def _is_server(self, part: str) -> bool:
        return part == AUDIT and isinstance(self.rows.audit, URL)

    def _stores(self) -> list[str]:
        if _SERVER not in self._connections:
            return sorted(set(self._connections) - {AUDIT})
        return sorted(
            table.removesuffix(JOURNAL)
            for schema, table in self._tables_like(JOURNAL)
            if schema == self.rows.schema(table.removesuffix(JOURNAL))
        )

    def _has_log(self) -> bool:
        there = self._tables_like("audit_entry") if _SERVER in self._connections else []
        return self.rows.schema(AUDIT) in {schema for schema, _ in there}

    def _tables_like(self, ending: str) -> list[tuple[str, str]]:
        found = self._connections[_SERVER].execute(
            text(
                "SELECT table_schema, table_name FROM information_schema.tables "
                "WHERE table_name LIKE :ending"
            ),
            {"ending": f"%{ending}"},
        )
        return [(str(row[0]), str(row[1])) for row in found]


@contextmanager
def opened(rows: Rows, *, is_held: bool = False) -> Iterator[Source]:
    """Look at a hospital as it is in this moment. To be entered in a greenlet of SQLAlchemy's.

    ``is_held``: the caller sees to it that nobody writes to its files meanwhile.
    """
    with ExitStack() as stack:
        seen = {path.stem: _file(stack, path) for path in rows.files}
        if isinstance(rows.audit, URL) and rows.audit != rows.boards:
            seen[AUDIT] = _server(stack, rows.owner or rows.audit)
        with nobody_writes([] if is_held else rows.files):
            for connection in seen.values():
                _begin(connection)
            if isinstance(rows.boards, URL):
                seen[_SERVER] = _server(stack, rows.owner or rows.boards)
                _begin(seen[_SERVER])
        yield Source(rows, seen)


def _begin(connection: Connection) -> None:
    """From here on this connection sees the moment it is now, and changes nothing."""
    begin: Sequence[str] = {
        "sqlite": (
            "PRAGMA query_only = 1",
            "BEGIN",
            "SELECT count(*) FROM sqlite_schema",  # the view begins with the first look
        ),
        "postgresql": (
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            "SELECT 1 FROM pg_catalog.pg_class LIMIT 1",
        ),
    }.get(
        connection.dialect.name,
        (
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ),
    )
    for statement in begin:
        connection.exec_driver_sql(statement)


def _file(stack: ExitStack, path: Path) -> Connection:
    engine = create_engine(
        f"sqlite:///{path}",
        hide_parameters=True,
        poolclass=StaticPool,
        isolation_level="AUTOCOMMIT",  # BEGIN is ours
        connect_args={"timeout": LOCK_WAIT_S, "check_same_thread": False},
    )
    return _connected(stack, engine)


def _server(stack: ExitStack, url: URL) -> Connection:
    engine = server_engine(url, isolation_level="AUTOCOMMIT")  # BEGIN is ours
    return _connected(stack, engine)


def _connected(stack: ExitStack, engine: Engine) -> Connection:
    stack.callback(engine.dispose)
    return stack.enter_context(engine.connect())


def server_engine(url: URL, **options: str) -> Engine:
    """One connection at a time, to no schema of its own."""
    url = without(url, "prefix")
    arguments: dict[str, object] = {}
    if url.get_backend_name() != "postgresql":
        url, arguments = url.set(database=None), {"charset": "utf8mb4"}
    return create_async_engine(
        url, hide_parameters=True, poolclass=NullPool, connect_args=arguments, **options
    ).sync_engine
