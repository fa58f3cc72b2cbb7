"""Places 存放处: where a hospital's rows are, and what of them is to be moved."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, MetaData, Table
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from plugward.kernel.auditserver import METADATA
from plugward.kernel.board import Board
from plugward.kernel.store.server import with_driver

from ..folder import DataFolder
from ..place import address_of

AUDIT = "audit"
KINDS = ("postgresql", "mysql", "mariadb")


class CopyRefused(Exception):
    """Nothing was moved, or nothing that counts; one sentence that says what to do."""


@dataclass(frozen=True)
class Rows:
    """Where rows are: ``boards`` a folder of files or a URL, ``audit`` a file or a URL."""

    boards: Path | URL
    audit: Path | URL
    owner: URL | None = None

    def schema(self, part: str) -> str:
        """The schema (MySQL: database) of a board, or of the audit log."""
        where = self.audit if part == AUDIT else self.boards
        assert isinstance(where, URL), "files have no schemas"
        return f"{where.query.get('prefix', '')}{part}"

    @property
    def in_files(self) -> bool:
        return isinstance(self.boards, Path) and isinstance(self.audit, Path)

    @property
    def kind(self) -> str:
        """``sqlite``, or the server's."""
        return "sqlite" if isinstance(self.boards, Path) else self.boards.get_backend_name()

    @property
    def files(self) -> list[Path]:
        """The files there are, by name."""
        found = sorted(self.boards.glob("*.sqlite")) if isinstance(self.boards, Path) else []
        if isinstance(self.audit, Path) and self.audit.exists():
            found.append(self.audit)
        return found


@dataclass(frozen=True)
class Part:
    """What moves together: the tables of a board, or those of the audit log."""

    name: str
    metadata: MetaData
    board: Board | None = None

    @property
    def tables(self) -> list[Table]:
        """In an order in which each may be filled."""
        return list(self.metadata.sorted_tables)


class Side(Protocol):
    """One end of a copy: a connection that sees the tables of a part under their own names."""

    def of(self, part: str) -> Connection:
        """The connection, turned to this part."""
        ...


def part_of(board: Board) -> Part:
    return Part(board.name, board.tables.metadata, board)


def audit_part() -> Part:
    return Part(AUDIT, METADATA)


def rows_at(where: str, owner: str = "") -> Rows:
    """A URL, or a data folder: then its files, whatever its settings say."""
    if "://" in where:
        url = url_of(where)
        return Rows(url, url, url_of(owner) if owner else None)
    folder = DataFolder(Path(where))
    return Rows(folder.boards, file_of(folder))


def rows_of(folder: DataFolder) -> Rows:
    """The rows of the hospital in a folder, wherever its settings keep them."""
    if address := address_of(folder):
        return Rows(url_of(address), url_of(address))
    hospital = folder.settings()
    return Rows(
        url_of(hospital.database) if hospital.database else folder.boards,
        url_of(hospital.audit) if hospital.audit else file_of(folder),
        url_of(hospital.database_owner) if hospital.database_owner else None,
    )


def file_of(folder: DataFolder) -> Path:
    return folder.audit / "audit.sqlite"


def url_of(text: str) -> URL:
    """Raises ``CopyRefused`` for what is no database address; never repeats a password."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise CopyRefused(
            f"That is no address of a database; write {KINDS[0]}://user@host/name."
        ) from None
    if url.get_backend_name() not in KINDS:
        raise CopyRefused(f"{url.drivername} is not among {', '.join(KINDS)}.")
    return with_driver(url)


def told(where: Path | URL) -> str:
    """A place in words, without its password."""
    return str(where) if isinstance(where, Path) else where.render_as_string(hide_password=True)


def turned(connection: Connection, schema: str) -> Connection:
    """The same connection; what has no schema of its own is in this one from now on."""
    options: dict[str, Any] = {"schema_translate_map": {None: schema}}
    return connection.execution_options(**options)
