"""Boards written by ``plugward new-board``, with something planted in them."""

import importlib
import itertools
import sys
from pathlib import Path

import pytest

from plugward.cli.new_board import new_board
from plugward.kernel.board import Board, load_board

_numbers = itertools.count(1)
TITLE = "失物招领"


class Workshop:
    """Writes boards into a folder, changes their files and loads them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        self.name = f"planted{next(_numbers)}"
        assert new_board(self.name, folder=folder, title=TITLE) == 0
        self.root = folder / self.name
        self.package = self.root / "src" / f"plugward_{self.name}"
        monkeypatch.syspath_prepend(str(self.package.parent))

    def plant(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands there; ``§`` is the board's name."""
        path = self.package / file
        text = path.read_text("utf-8")
        old, new = old.replace("§", self.name), new.replace("§", self.name)
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new), "utf-8")

    def write(self, file: str, text: str) -> None:
        path = self.package / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("§", self.name), "utf-8")

    def load(self) -> Board:
        """The board as its files say now."""
        for module in [m for m in sys.modules if m.startswith(self.package.name)]:
            del sys.modules[module]
        importlib.invalidate_caches()
        return load_board(f"{self.package.name}.board:board")
