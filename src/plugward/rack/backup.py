"""Backup and restore of a hospital 备份与恢复, while it goes on working.

Every board has its own file, so copies taken one after another would disagree: a bill that knows of
a reservation its pharmacy never made. For a moment every file's write lock is held at once; no
commit can fall into that moment, and the snapshots opened in it are one cut through the hospital.
Copying happens afterwards from those snapshots while everybody writes on.

Rows on a server are read as of that moment too, and become files of the backup, table by table
compared: whatever a hospital runs on, its backup is a folder that opens without a server.
"""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from plugward.kit.time import Clock, Instant

from .copy.places import CopyRefused, Rows, rows_at, rows_of
from .copy.run import copy, in_greenlet, transfer
from .copy.source import Source, opened
from .discover import discover
from .folder import DataFolder, FolderError
from .moment import LOCK_WAIT_S, nobody_writes
from .place import FILE, FOLDER
from .settings import with_database, without_database

MANIFEST = "backup.json"
SETTINGS = "plugward.toml"
FORMAT = 1
PAGES_A_STEP = 4096
_SQLITE = b"SQLite format 3\x00"
_LEFT_OUT = ("-wal", "-shm", "-journal", ".duckdb", ".duckdb.wal", ".sock", ".part")
_NOT_KEPT = frozenset({"lock", "logs", "control", "rack", FOLDER, FILE})
Progress = Callable[[str, int, int], None]


class Kept(msgspec.Struct, frozen=True):
    """One file of a backup: its place in the folder, its size and its SHA-256."""

    path: str
    bytes: int
    sha256: str
    is_database: bool


class Manifest(msgspec.Struct, frozen=True):
    """``backup.json``: what the backup holds and the moment it shows."""

    format: int
    plugward: str
    taken_at: Instant
    held_ms: float
    files: tuple[Kept, ...]
    database: str = "sqlite"

    @property
    def bytes(self) -> int:
        return sum(kept.bytes for kept in self.files)


@dataclass(frozen=True)
class _Source:
    path: Path
    name: str
    snapshot: sqlite3.Connection


def back_up(
    folder: DataFolder, target: Path, clock: Clock, version: str, progress: Progress
) -> Manifest:
    """Copy the folder to ``target``, which appears whole or not at all.

    Raises ``FolderError`` when there is nothing to copy, ``target`` is taken, or the disk is full.
    """
    if not folder.exists:
        raise FolderError(f"{folder.path} holds no hospital. Name its folder with --data.")
    if target.exists():
        raise FolderError(f"{target} exists already. Name a new folder for this backup.")
    if target.resolve().is_relative_to(folder.path.resolve()):
        raise FolderError(
            f"{target} lies inside the data it would protect. Choose a place outside."
        )
    os.umask(0o077)
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        rows = rows_of(folder)
        manifest = in_greenlet(lambda: _copy(folder, part, rows, clock, version, progress))
        _write(part / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        part.rename(target)
    except (OSError, sqlite3.Error, SQLAlchemyError, CopyRefused) as error:
        shutil.rmtree(part, ignore_errors=True)
        reason = str(getattr(error, "orig", None) or error).removesuffix(".")
        raise FolderError(f"No backup was made: {reason}. Nothing was left at {target}.") from None
    return manifest


def _copy(
    folder: DataFolder, part: Path, rows: Rows, clock: Clock, version: str, progress: Progress
) -> Manifest:
    source = folder.path
    files = sorted(_kept_files(source, () if rows.in_files else (folder.boards, folder.audit)))
    databases = [path for path in files if _is_sqlite(path)]
    kept: list[Kept] = []
    with ExitStack() as stack:
        with nobody_writes(databases) as held:
            # A file that is no database is small and rarely written: it belongs to the moment too.
            for path in files:
                if path not in databases:
                    kept.append(_keep_plain(path, part / path.relative_to(source), source))
            sources = [
                _Source(path, str(path.relative_to(source)), _snapshot(stack, path))
                for path in databases
            ]
            seen = None if rows.in_files else stack.enter_context(opened(rows))
            taken_at = clock.now()
        for at, one in enumerate(sources):
            progress(one.name, at, len(sources))
            kept.append(_keep_database(one, part / one.name))
        progress("", len(sources), len(sources))
        if seen is not None:
            kept += _keep_rows(seen, part, progress)
    kept.sort(key=lambda one: one.path)
    return Manifest(FORMAT, version, taken_at, held[0], tuple(kept), rows.kind)


def _keep_rows(seen: Source, part: Path, progress: Progress) -> Iterator[Kept]:
    """Rows of a server become files; the settings beside them no longer name the server."""
    rows = rows_at(str(part))
    transfer(seen, rows, discover().boards, progress)
    for path in rows.files:
        yield _describe(path, str(path.relative_to(part)), is_database=True)


def _kept_files(source: Path, without: tuple[Path, ...]) -> Iterator[Path]:
    for path in source.rglob("*"):
        inside = path.relative_to(source)
        if inside.parts[0] in _NOT_KEPT or path.name.endswith(_LEFT_OUT):
            continue
        if any(path.is_relative_to(folder) for folder in without):
            continue  # rows are on a server; what lies here is from before
        if path.is_file() and not path.is_symlink():
            yield path


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _snapshot(stack: ExitStack, path: Path) -> sqlite3.Connection:
    snapshot = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)
    stack.callback(snapshot.close)
    snapshot.execute("PRAGMA query_only = 1")
    snapshot.execute("BEGIN")
    snapshot.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the view begins here
    return snapshot


def _keep_database(source: _Source, target: Path) -> Kept:
    target.parent.mkdir(parents=True, exist_ok=True)
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        source.snapshot.backup(copy, pages=PAGES_A_STEP)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
        verdict = copy.execute("PRAGMA quick_check").fetchone()[0]
    finally:
        copy.close()
    if verdict != "ok":
        raise OSError(f"{source.path} is damaged ({verdict}); run plugward audit on it first")
    return _describe(target, source.name, is_database=True)


def _keep_plain(path: Path, target: Path, source: Path) -> Kept:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target)
    if path == source / SETTINGS:  # a restored copy must never open the database of the living one
        target.write_text(without_database(path.read_text("utf-8")), "utf-8")
    return _describe(target, str(path.relative_to(source)), is_database=False)


def _describe(path: Path, name: str, *, is_database: bool) -> Kept:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Kept(name, path.stat().st_size, digest, is_database)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


# ── the way back ─────────────────────────────────────────────────────────────────────────────
def read_manifest(backup: Path) -> Manifest:
    """What a backup says of itself. Raises ``FolderError`` when it is none."""
    try:
        manifest = msgspec.json.decode((backup / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        raise FolderError(f"{backup} is no backup: its {MANIFEST} cannot be read.") from None
    if manifest.format != FORMAT:
        raise FolderError(f"{backup} has format {manifest.format}; this release reads {FORMAT}.")
    return manifest


def restore(
    backup: Path, folder: DataFolder, progress: Progress, *, to: str = "", owner: str = ""
) -> Manifest:
    """Lay a backup down as a new data folder, after every file was compared with its digest.

    ``to``: the rows go on to this server, made by its ``owner`` if one is named.
    """
    manifest = read_manifest(backup)
    if folder.path.exists() and any(folder.path.iterdir()):
        raise FolderError(f"{folder.path} is not empty. A restore needs a new folder.")
    os.umask(0o077)
    part = folder.path.with_name(folder.path.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        for at, kept in enumerate(manifest.files):
            progress(kept.path, at, len(manifest.files))
            _lay_down(backup, kept, part)
        progress("", len(manifest.files), len(manifest.files))
        if to:
            _on_to_server(DataFolder(part), to, owner, progress)
        if folder.path.exists():
            folder.path.rmdir()
        part.rename(folder.path)
    except (OSError, CopyRefused) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise FolderError(f"Nothing was restored: {str(error).removesuffix('.')}.") from None
    except FolderError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return manifest


def _on_to_server(folder: DataFolder, url: str, owner: str, progress: Progress) -> None:
    """The rows move to the server, compared; the folder says so and keeps the rest."""
    copy(rows_at(str(folder.path)), rows_at(url, owner), discover().boards, progress)
    for place in (folder.boards, folder.audit):
        shutil.rmtree(place)
        place.mkdir(mode=0o700)
    settings = folder.path / SETTINGS
    before = settings.read_text("utf-8") if settings.exists() else ""
    _write(settings, with_database(before, url, owner).encode())


def _lay_down(backup: Path, kept: Kept, part: Path) -> None:
    source, target = backup / kept.path, part / kept.path
    if not source.resolve().is_relative_to(backup.resolve()) or ".." in Path(kept.path).parts:
        raise FolderError(f"The backup names a file outside itself: {kept.path}.")
    if not source.is_file():
        raise FolderError(f"The backup is not whole: {kept.path} is missing. Use another one.")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    found = _describe(target, kept.path, is_database=kept.is_database)
    if found.sha256 != kept.sha256:
        raise FolderError(
            f"{kept.path} is not what was backed up (its SHA-256 differs). Use another backup."
        )
