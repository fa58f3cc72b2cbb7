"""Everything the doctor looks at, in the order in which it should be put right."""

import fcntl
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from ..discover import Found, discover
from ..folder import DataFolder, FolderError, HospitalSettings
from ..place import SQLITE, owner_of, place_of
from . import boards, machine, security, stores
from .verdict import Verdict, fault, unknown


class Wanted(msgspec.Struct, frozen=True):
    """Where the hospital would listen, and whether security is looked at, too."""

    port: int = 8000
    mllp_port: int = 2575
    security: bool = False


def examine(folder: DataFolder, wanted: Wanted) -> tuple[Verdict, ...]:
    """Look at everything. Changes nothing, whether the hospital runs or not."""
    return tuple(_all(folder, wanted))


def _all(folder: DataFolder, wanted: Wanted) -> Iterator[Verdict]:
    runs = is_running(folder)
    now = datetime.now(UTC)
    try:
        hospital = folder.settings()
    except FolderError as error:
        hospital = HospitalSettings()
        yield fault(
            "settings",
            f"设置文件有误：{error}",
            f"the settings are wrong: {error}",
            do=("改正 plugward.toml 中的这一处", "put this place of plugward.toml right"),
        )
    listens = (("--port", wanted.port), ("--mllp-port", wanted.mllp_port))
    yield from machine.ports(listens, runs=runs)
    if not folder.exists:
        yield unknown("hospital", "此目录还没有医院", "there is no hospital in this folder yet")
        return
    yield machine.data_folder(folder)
    yield machine.disk(folder)
    yield machine.clock(folder, now)
    yield from machine.certificates(folder, hospital, now)
    found = discover()
    yield from boards.loaded(found)
    yield from _stores(folder, hospital, found)
    yield from boards.answering(folder, runs=runs)
    if wanted.security:
        yield from security.rows(folder, hospital, found)


def _stores(folder: DataFolder, hospital: HospitalSettings, found: Found) -> Iterator[Verdict]:
    place = place_of(folder)
    url = hospital.database or (
        "" if place.database == SQLITE or place.is_ours else owner_of(place)
    )
    if url:
        yield stores.database(url)
    if url or place.is_ours:
        looked = "数据在数据库服务器上：用 plugward audit 检查", "on a server: see plugward audit"
        yield from (unknown(id_, *looked) for id_ in ("schema", "parked", "audit"))
        return
    yield stores.schemas(folder, found.boards)
    yield from stores.parked(folder)
    yield stores.audit_chain(folder, hospital)


def is_running(folder: DataFolder) -> bool:
    """Whether a process holds this folder."""
    try:
        with (folder.path / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
