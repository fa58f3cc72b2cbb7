"""Where a hospital keeps its tables: files in its folder, a server of its own, or one of the site.

A rack on a server leaves ``database.json`` in the data folder, so that whatever opens the folder
next (an audit, the rack itself) finds the same hospital, and nobody starts a second, empty one.
"""

import os
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from sqlalchemy.engine import make_url

from plugward.kernel.store.engine import Reach

from .folder import DataFolder, FolderError

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
FILE = "database.json"
FOLDER = "postgresql"
PASSWORD = "PLUGWARD_DATABASE_PASSWORD"  # noqa: S105 - the variable's name
CONNECTIONS_MAX = 80
ALONE = Reach(connections=2)  # for each board of a process that works alone


class Place(msgspec.Struct, frozen=True):
    """``sqlite``, ``postgresql`` (a server of the hospital's own), or an address."""

    database: str = SQLITE
    password_file: str = ""

    @property
    def is_ours(self) -> bool:
        return self.database == POSTGRESQL


class Stores(msgspec.Struct, frozen=True):
    """How one process reaches its boards' tables and the audit log on a server."""

    url: str
    reach: Reach = Reach()
    shared: bool = False  # with other processes of the same boards: one of them reacts


def place_of(folder: DataFolder) -> Place:
    """Where this folder's hospital is, as far as a rack has told."""
    try:
        return msgspec.json.decode((folder.path / FILE).read_bytes(), type=Place)
    except FileNotFoundError:
        return Place()


def keep_place(folder: DataFolder, place: Place) -> None:
    """Tell it to whoever opens the folder next. Raises ``FolderError`` if it is elsewhere."""
    before = place_of(folder)
    if before.database == place.database:
        if before == place:
            return
    elif before.database != SQLITE:
        raise FolderError(
            f"{folder.path} is a hospital on {before.database}: set database in [rack] to that, "
            f"or choose another folder with --data."
        )
    elif any(folder.boards.glob("*.sqlite")):
        raise FolderError(
            f"{folder.path} is a hospital in files: leave database out of rack.toml, or choose an "
            f"empty folder with --data."
        )
    part = folder.path / f"{FILE}.new"
    part.write_bytes(msgspec.json.encode(place))
    part.replace(folder.path / FILE)


def owner_of(place: Place) -> str:
    """The owner's address with its password, from the file that is named or the environment."""
    url = make_url(place.database)
    password = _password(place.password_file)
    return (url.set(password=password) if password else url).render_as_string(hide_password=False)


def address_of(folder: DataFolder) -> str:
    """The owner's address of this hospital's server; nothing for files. Raises ``FolderError``."""
    place = place_of(folder)
    if place.database == SQLITE:
        return ""
    if not place.is_ours:
        return owner_of(place)
    ours = folder.path / FOLDER
    try:
        port = int((ours / "cluster" / "postmaster.pid").read_text("ascii").splitlines()[3])
        password = (ours / "password").read_text("ascii")
    except (OSError, ValueError, IndexError):
        raise FolderError(
            f"{folder.path} has a PostgreSQL of its own, which runs with its rack: "
            "plugward rack up first."
        ) from None
    return f"postgresql://plugward:{password}@127.0.0.1:{port}/plugward"


def _password(file: str) -> str:
    if not file:
        return os.environ.get(PASSWORD, "")
    try:
        mode = Path(file).stat().st_mode
        found = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FolderError(f"the password of the database cannot be read: {error}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise FolderError(f"{file} can be read by other users: chmod 600 {file}")
    return found


@asynccontextmanager
async def stores_of(folder: DataFolder) -> AsyncGenerator[Stores | None]:
    """The hospital's stores for one process that works alone; None: files. Its server runs."""
    place = place_of(folder)
    if place.database == SQLITE:
        yield None
    elif not place.is_ours:
        yield Stores(owner_of(place), ALONE)
    else:
        from .postgres import Postgres, PostgresFailed  # noqa: PLC0415 - only where it is used

        server = Postgres(folder.path / FOLDER, connections_max=CONNECTIONS_MAX)
        try:
            await server.start()
            yield Stores(server.url, ALONE)
        except PostgresFailed as failed:
            raise FolderError(str(failed)) from None
        finally:
            await server.stop()
