"""The data folder 数据目录: everything one embedded hospital keeps, closed to other users."""

import fcntl
import os
import tomllib
from pathlib import Path
from typing import IO, Any

import msgspec

PROFILES = ("demo", "production")


class FolderError(Exception):
    """The folder cannot be used; one sentence that says what to do."""


class HospitalSettings(msgspec.Struct, frozen=True):
    """``plugward.toml``: the hospital's own words and the boards' settings."""

    name: str = "示范市第一医院"
    name_en: str = "Demonstration City First Hospital"
    profile: str = "demo"
    database: str = ""
    database_owner: str = ""  # makes schemas, tables and roles at a start; nothing works as it
    audit: str = ""  # the audit log's own database; without one it is a file beside the data
    hosts: tuple[str, ...] = ()
    keys: str = ""  # production: a folder outside the data
    anchors: str = ""  # production: where audit anchors are kept, outside the data
    tls_by: str = ""  # the proxy that ends TLS in front of the portal
    mllp_insecure: str = ""  # why HL7 is read without TLS, and until when
    debug: bool = False
    boards: dict[str, dict[str, Any]] = {}
    campus: dict[str, dict[str, str]] = {}  # [campus.C2] lab = "lab_hl7": who answers there


class DataFolder:
    """One hospital's folder. Only one process may have it open for writing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.boards = path / "boards"
        self.audit = path / "audit"
        self.keys = path / "keys"
        self.logs = path / "logs"
        self.settings_file = path / "plugward.toml"
        self._lock: IO[str] | None = None

    @property
    def exists(self) -> bool:
        return self.boards.is_dir()

    def open(self) -> None:
        """Make what is missing (0700) and lock the folder for this process."""
        os.umask(0o077)
        try:
            for folder in (self.path, self.boards, self.audit, self.keys):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise FolderError(f"{self.path} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.seek(0)
            raise FolderError(
                f"{self.path} is in use by process {self._lock.read().strip() or '?'}; "
                f"stop it first or choose another folder with --data"
            ) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def settings(self) -> HospitalSettings:
        """What ``plugward.toml`` says; without one, the demo's defaults."""
        if not self.settings_file.exists():
            return HospitalSettings()
        try:
            raw = tomllib.loads(self.settings_file.read_text("utf-8"))
            hospital = msgspec.convert(
                {
                    **raw.get("hospital", {}),
                    "boards": raw.get("boards", {}),
                    "campus": raw.get("campus", {}),
                },
                HospitalSettings,
            )
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise FolderError(f"{self.settings_file}: {error}") from None
        if hospital.profile not in PROFILES:
            raise FolderError(f"{self.settings_file}: profile must be one of {', '.join(PROFILES)}")
        return hospital

    def anchors(self, hospital: HospitalSettings) -> Path:
        """Where the heads of the audit log go; a demo keeps them beside its data."""
        return Path(hospital.anchors) if hospital.anchors else self.path / "anchors"

    @property
    def is_demo(self) -> bool:
        """Whether demo patients live here; such a folder never becomes a production one."""
        return (self.path / "demo").exists()

    def mark_demo(self) -> None:
        (self.path / "demo").touch(mode=0o600)
