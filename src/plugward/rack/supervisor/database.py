"""The rack's database server, its own or the site's: a login and a share for each process."""

import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from plugward.kernel.store.engine import Reach
from plugward.kernel.store.server import as_owner

from ..folder import DataFolder, FolderError
from ..place import ALONE, FOLDER, PASSWORD, SQLITE, Place, Stores, keep_place, owner_of
from ..postgres import Postgres
from .plan import RackPlan, Seat
from .preparing import Login, Preparation, prepare
from .shares import share_of, share_of_each_board

_COUNTED = {
    "postgresql": "SELECT usename, count(*) FROM pg_stat_activity "
    "WHERE usename IS NOT NULL GROUP BY 1",
    "mysql": "SELECT user, count(*) FROM information_schema.processlist GROUP BY 1",
}


def database_of(folder: DataFolder, plan: RackPlan) -> "ServerDatabase | None":
    """The server that this hospital is on, or None for files. Raises ``FolderError``.

    ``plugward.toml`` names it where ``plugward up`` runs there, too; ``rack.toml`` names it for a
    rack alone, which the folder remembers.
    """
    hospital, budget = folder.settings(), plan.connections_max
    if hospital.database:
        if plan.database != SQLITE:
            raise FolderError("database stands in plugward.toml and in rack.toml: keep one.")
        if hospital.audit != hospital.database:
            raise FolderError(
                "a rack keeps the audit log on its database server: set audit in plugward.toml to "
                "the address that database has."
            )
        return ServerDatabase(folder, budget, owner=hospital.database_owner or hospital.database)
    place = Place(plan.database, plan.database_password_file)
    keep_place(folder, place)
    if place.database == SQLITE:
        return None
    owner = "" if place.is_ours else owner_of(place)
    os.environ.pop(PASSWORD, None)  # no board's process is to have it
    return ServerDatabase(folder, budget, owner=owner)


class ServerDatabase:
    """What the supervisor knows of the server: it alone has the owner's address."""

    def __init__(self, folder: DataFolder, budget: int, *, owner: str = "") -> None:
        """Without an owner's address: a server of our own."""
        self._folder = folder
        self._budget = budget
        self._postgres: Postgres | None = None
        self._logins: dict[str, Login] = {}
        self._each = 0
        self.owner = owner
        self.where = ""

    async def start(self, again: Callable[[], Awaitable[None]]) -> str:
        """The server runs; says where, without a password. ``again``: it was started once more.

        Raises ``PostgresFailed``.
        """
        if not self.owner:
            self._postgres = Postgres(
                self._folder.path / FOLDER, connections_max=self._budget, again=again
            )
            await self._postgres.start()
            self.owner = self._postgres.url
        url = make_url(self.owner)
        at = f"{url.host or 'this machine'}{f':{url.port}' if url.port else ''}"
        self.where = f"{url.get_backend_name()} on {at}{' (ours)' if self._postgres else ''}"
        return self.where

    async def prepare(self, seats: Sequence[Seat], file: Path) -> None:
        """Tables, roles and a login a process. Raises ``BudgetTooSmall`` or ``PreparingFailed``."""
        self._each = share_of_each_board(seats, self._budget)
        prefix = make_url(self.owner).query.get("prefix", "")
        self._logins = {
            seat.label: Login(
                name=f"{prefix}pw_{seat.label}",
                password=secrets.token_urlsafe(24),
                boards=seat.boards,
                connections=share_of(seat, self._each),
            )
            for seat in seats
        }
        await prepare(Preparation(self.owner, tuple(self._logins.values())), file)

    async def stop(self) -> None:
        if self._postgres is not None:
            await self._postgres.stop()

    @property
    def pids(self) -> list[int]:
        """Of the server that is ours to end."""
        return [self._postgres.pid] if self._postgres is not None and self._postgres.pid else []

    def stores(self, seat: Seat, *, replicas: int) -> Stores:
        """What one process is told."""
        login = self._logins[seat.label]
        url = make_url(self.owner).set(username=login.name, password=login.password)
        return Stores(
            url.render_as_string(hide_password=False),
            Reach(prepared=True, connections=self._each),
            shared=replicas > 1,
        )

    def rack_stores(self) -> Stores:
        """The way of whoever works before the boards do, and of the rack to its audit log."""
        return Stores(self.owner, ALONE)

    async def connections(self) -> dict[str, int]:
        """How many connections each process has now, as the server counts them; ``""`` is us."""
        url = make_url(self.owner)
        kind = "postgresql" if url.get_backend_name() == "postgresql" else "mysql"
        by_login = {login.name: label for label, login in self._logins.items()}
        engine = as_owner(self.owner)
        try:
            async with engine.connect() as connection:
                rows = (await connection.execute(text(_COUNTED[kind]))).all()
        except (DBAPIError, OSError):
            return {}  # away at this moment: the boards' health says so
        finally:
            await engine.dispose()
        found = {by_login[name]: int(count) for name, count in rows if name in by_login}
        return found | {"": sum(int(count) for name, count in rows if name == url.username)}
