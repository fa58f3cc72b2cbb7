"""A hospital is backed up while it works, and comes back as one moment of all its boards."""

import sqlite3
import threading
from pathlib import Path

import msgspec
import pytest

from plugward.cli.backup import backup as backup_command
from plugward.cli.backup import restore as restore_command
from plugward.kernel.clock import SystemClock
from plugward.rack.backup import MANIFEST, back_up, read_manifest, restore
from plugward.rack.folder import DataFolder, FolderError

BOARDS = ("billing", "pharmacy", "registration")


def quiet(name: str, done: int, total: int) -> None:
    del name, done, total


def made_folder(path: Path) -> DataFolder:
    folder = DataFolder(path)
    folder.open()
    for name in BOARDS:
        with sqlite3.connect(folder.boards / f"{name}.sqlite") as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE step (n INTEGER PRIMARY KEY, note TEXT)")
    (folder.keys / "session.key").write_bytes(b"k" * 32)
    return folder


class FrontDesk(threading.Thread):
    """Writes step n to one board after the other: no board is ever ahead of the one before it."""

    def __init__(self, folder: DataFolder) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self.steps = 0
        self.begun = threading.Event()
        self.over = threading.Event()

    def run(self) -> None:
        files = [
            sqlite3.connect(
                self._folder.boards / f"{name}.sqlite", timeout=30, isolation_level=None
            )
            for name in BOARDS
        ]
        while not self.over.is_set():
            self.steps += 1
            for file in files:
                file.execute("INSERT INTO step VALUES (?, ?)", (self.steps, "x" * 400))
            self.begun.set()
        for file in files:
            file.close()


def test_boards_that_write_on_are_copied_at_one_moment(tmp_path: Path) -> None:
    folder = made_folder(tmp_path / "data")
    desk = FrontDesk(folder)
    desk.start()
    assert desk.begun.wait(10)
    cuts = []
    for turn in range(8):
        copy = tmp_path / f"backup-{turn}"
        manifest = back_up(folder, copy, SystemClock(), "1.0.0", quiet)
        assert manifest.held_ms < 5_000
        first, *rest = [steps_in(copy / "boards" / f"{name}.sqlite") for name in BOARDS]
        cuts.append(first)
        for behind in rest:  # the step under way may be in the first and not yet in the others
            assert first - 1 <= behind <= first
            first = behind
    desk.over.set()
    desk.join(10)
    assert cuts == sorted(cuts)
    assert cuts[-1] > cuts[0], "nobody wrote while the backups were made"
    assert steps_in(folder.boards / "billing.sqlite") == desk.steps, "a writer was turned away"


def steps_in(file: Path) -> int:
    with sqlite3.connect(file) as db:
        return int(db.execute("SELECT coalesce(max(n), 0) FROM step").fetchone()[0])


def test_what_comes_back_is_what_was_there(tmp_path: Path) -> None:
    folder = made_folder(tmp_path / "data")
    with sqlite3.connect(folder.boards / "billing.sqlite") as db:
        db.execute("INSERT INTO step VALUES (7, '张三')")
    (folder.path / "control").mkdir()
    (folder.path / "control" / "token").write_text("of this process")
    back_up(folder, tmp_path / "copy", SystemClock(), "1.0.0", quiet)
    restored = DataFolder(tmp_path / "again")
    restore(tmp_path / "copy", restored, quiet)
    with sqlite3.connect(restored.boards / "billing.sqlite") as db:
        assert db.execute("SELECT * FROM step").fetchall() == [(7, "张三")]
    assert (restored.keys / "session.key").read_bytes() == b"k" * 32
    assert not (restored.path / "lock").exists()
    assert not (restored.path / "control").exists()
    assert oct(restored.path.stat().st_mode)[-3:] == "700"


def test_a_changed_or_missing_file_is_not_restored(tmp_path: Path) -> None:
    folder = made_folder(tmp_path / "data")
    copy = tmp_path / "copy"
    back_up(folder, copy, SystemClock(), "1.0.0", quiet)
    file = copy / "boards" / "billing.sqlite"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(FolderError, match=r"billing\.sqlite is not what was backed up"):
        restore(copy, DataFolder(tmp_path / "again"), quiet)
    file.unlink()
    with pytest.raises(FolderError, match="not whole"):
        restore(copy, DataFolder(tmp_path / "again"), quiet)
    assert not (tmp_path / "again").exists()
    assert not (tmp_path / "again.part").exists()


def test_a_manifest_cannot_reach_outside(tmp_path: Path) -> None:
    folder = made_folder(tmp_path / "data")
    copy = tmp_path / "copy"
    manifest = back_up(folder, copy, SystemClock(), "1.0.0", quiet)
    (tmp_path / "secret").write_text("not yours")
    evil = msgspec.structs.replace(manifest.files[0], path="../secret")
    (copy / MANIFEST).write_bytes(
        msgspec.json.encode(msgspec.structs.replace(manifest, files=(evil,)))
    )
    with pytest.raises(FolderError, match="outside itself"):
        restore(copy, DataFolder(tmp_path / "again"), quiet)


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made_folder(tmp_path / "data")
    assert backup_command(folder.path, tmp_path / "copy") == 0
    assert backup_command(folder.path, tmp_path / "copy") == 2
    assert backup_command(folder.path, folder.path / "copy") == 2
    assert restore_command(tmp_path / "copy", folder.path, prove=False) == 2
    assert restore_command(tmp_path / "nowhere", tmp_path / "again", prove=False) == 2
    said = " ".join(capsys.readouterr().out.split())
    for sentence in ("exists already", "lies inside the data", "is not empty", "is no backup"):
        assert sentence in said
    assert read_manifest(tmp_path / "copy").bytes > 0


def test_a_full_disk_leaves_no_half_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made_folder(tmp_path / "data")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("plugward.rack.backup.shutil.copy2", full)
    with pytest.raises(FolderError, match="No space left"):
        back_up(folder, tmp_path / "copy", SystemClock(), "1.0.0", quiet)
    assert list(tmp_path.iterdir()) == [folder.path]
