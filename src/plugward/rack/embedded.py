"""The embedded shape 单进程形态: every board in this process, SQLite files under one folder."""

import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from plugward.kernel.auditlog import AuditLog
from plugward.kernel.auditstore import AuditStore
from plugward.kernel.binding import Bindings
from plugward.kernel.clock import SystemClock
from plugward.kernel.dispatch import Transport
from plugward.kernel.observe.logs import stop_writing, write_json
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.store.engine import Reach
from plugward.kit.time import Clock

from .discover import Found, discover
from .folder import DataFolder, FolderError, HospitalSettings
from .place import SQLITE, Stores, place_of

Progress = Callable[[str], None]
THREAD_SWITCH_S = 0.0005


def audit_log(
    folder: DataFolder, clock: Clock, lane: str, stores: Stores | None = None
) -> AuditLog:
    """The hospital's audit log: its own file or database, anchored beyond its reach."""
    hospital = folder.settings()
    if stores is None and hospital.audit:
        stores = Stores(hospital.audit, Reach(owner=hospital.database_owner))
    where: Path | AuditStore = folder.audit / "audit.sqlite"
    if stores is not None:
        from plugward.kernel.auditserver import ServerStore  # noqa: PLC0415 - drivers where used

        where = ServerStore(stores.url, reach=stores.reach)
    return AuditLog(where, clock, lane=lane, anchors=folder.anchors(hospital))


class Embedded:
    """One hospital in one process."""

    def __init__(
        self,
        folder: DataFolder,
        *,
        clock: Clock | None = None,
        without: frozenset[str] = frozenset(),
        extra: dict[str, dict[str, Any]] | None = None,
        reacting: bool = True,
        lane: str = "main",
        stores: Stores | None = None,
        campuses: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """``campuses``: which board answers a contract where, if it is not the folder's to say.
        ``stores``: the server that the folder's hospital is on, if it is on one."""
        self.folder = folder
        self._lane = lane
        self.hospital: HospitalSettings = folder.settings()
        self.clock: Clock = clock or SystemClock()
        self._log: logging.Handler | None = None
        self.found: Found = discover(without)
        bindings = Bindings.of(self.hospital.campus if campuses is None else campuses)
        if campuses is None and not without:
            self._check_campuses(bindings)
        self.runtime = Runtime(
            self._databases(stores),
            self.clock,
            audit_log(folder, self.clock, lane, stores),
            transport=Transport.STRICT,
            settings=self._board_settings(extra or {}),
            reacting=reacting,
            standby=stores is not None and stores.shared,
            bindings=bindings,
        )

    def _check_campuses(self, bindings: Bindings) -> None:
        """Every mistake at once, before anything starts."""
        manifests = {board.name: board.manifest for board in self.found.boards}
        if problems := [*bindings.problems(manifests)]:
            file = self.folder.settings_file
            raise FolderError("\n".join(f"{file}: {problem}" for problem in problems))

    def _databases(self, stores: Stores | None) -> Databases:
        if stores is not None:
            return Databases(stores.url, reach=stores.reach)
        if (place := place_of(self.folder)).database != SQLITE:
            raise FolderError(
                f"{self.folder.path} is a hospital on {place.database}: run plugward rack up."
            )
        if self.hospital.database:
            return Databases(
                self.hospital.database, reach=Reach(owner=self.hospital.database_owner)
            )
        return Databases(self.folder.boards)

    def _board_settings(self, extra: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The file's settings, then what the command line adds, for boards that declare them."""
        declared = {board.name: board.manifest.settings for board in self.found.boards}
        merged = {name: dict(values) for name, values in self.hospital.boards.items()}
        common = {
            "data_folder": str(self.folder.path),
            "profile": self.hospital.profile,
            "hospital_name": self.hospital.name,
            "hospital_name_en": self.hospital.name_en,
            "demo": self.folder.is_demo,
        }
        for name, settings in declared.items():
            for key, value in {**common, **extra.get(name, {})}.items():
                if key in settings:
                    merged.setdefault(name, {}).setdefault(key, value)
        return merged

    async def start(self, progress: Progress = lambda _: None) -> None:
        self.begin()
        progress(f"{len(self.found.boards)} boards")
        await self.runtime.start(self.found.boards)

    async def stop(self) -> None:
        await self.runtime.stop()
        self.end()

    def begin(self) -> None:
        """What a process needs before its boards: a log, and threads that hand over quickly."""
        name = "plugward" if self._lane == "main" else self._lane
        self._log = write_json(self.folder.logs / f"{name}.jsonl")
        # Writers and readers are threads with much to wait for and little to compute: let them have
        # the interpreter as soon as their database answers, not five milliseconds later.
        sys.setswitchinterval(THREAD_SWITCH_S)

    def end(self) -> None:
        if self._log is not None:
            stop_writing(self._log)
            self._log = None
