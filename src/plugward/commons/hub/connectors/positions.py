"""Positions 位点: how far each source has come, one small file each, whole or the one before."""

from pathlib import Path

import msgspec

from ..whole import write_whole

Position = int | str


class Positions:
    """Of the sources of one hub."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> Position | None:
        """Nothing when it has not begun."""
        try:
            raw = (self._folder / f"{name}.json").read_bytes()
        except FileNotFoundError:
            return None
        try:
            position: Position = msgspec.json.decode(raw, type=int | str)
        except msgspec.DecodeError:
            raise ValueError(f"the position of {name} cannot be read") from None
        return position

    def put(self, name: str, position: Position) -> None:
        """On disk when it returns."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._folder / f"{name}.json", msgspec.json.encode(position))
