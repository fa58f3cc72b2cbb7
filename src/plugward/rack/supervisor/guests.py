"""Guests 外来插板: boards from outside, each in an environment, a process and a folder of its own.

What was installed is kept with what it replaced, so that a step back needs nothing built anew.
"""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from plugward.kernel.manifest import Manifest, read_manifest

from ..confine import Policy, command
from ..control.words import ActRefused
from ..environments import Installed, reading
from ..examine import promises_kept

FILE = "guests.json"


class Kept(msgspec.Struct, frozen=True):
    """The version that runs, and the one that ran before it."""

    now: Installed
    before: Installed | None = None


class Guests:
    """The boards from outside, as the data folder remembers them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[str, Kept] = {}
        try:
            told = (folder / FILE).read_bytes()
        except FileNotFoundError:
            return
        kept = msgspec.json.decode(told, type=dict[str, Kept])
        self._kept = {name: one for name, one in kept.items() if Path(one.now.python).exists()}

    def __contains__(self, name: str) -> bool:
        return name in self._kept

    def all(self) -> tuple[Installed, ...]:
        return tuple(one.now for one in self._kept.values())

    def one(self, name: str) -> Kept:
        """Raises ``ActRefused`` for a board that is not from outside."""
        kept = self._kept.get(name)
        if kept is None:
            raise ActRefused(f"{name} is not from outside: its version is the rack's own.")
        return kept

    def keep(self, kept: Kept) -> None:
        self._kept[kept.now.name] = kept
        self._write()

    def drop(self, name: str) -> None:
        self._kept.pop(name, None)
        self._write()

    def _write(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self.folder / f"{FILE}.new"
        part.write_bytes(msgspec.json.encode(self._kept))
        part.replace(self.folder / FILE)

    def check(self, installed: Installed) -> None:
        """Whether it can stand beside the others and keeps its promises. Raises ``ActRefused``."""
        taken = {
            page: other.name
            for other in self.all()
            if other.name != installed.name
            for page in other.examined.pages
        }
        clashes = [(page, taken[page]) for page in installed.examined.pages if page in taken]
        problems = [
            f"The page {path} is {owner}'s already: use paths that begin with /{installed.name}."
            for (_, path), owner in clashes
        ]
        before = self._kept.get(installed.name)
        if before is not None:
            contract = before.now.examined.contract
            problems += promises_kept(contract, installed.examined.contract)
        if problems:
            raise ActRefused(" ".join(problems))

    def home(self, name: str) -> Path:
        """Where it keeps its data, and nobody else's are."""
        return self.folder / name

    def manifest(self, name: str) -> Manifest:
        return read_manifest(Path(self._kept[name].now.examined.folder) / "board.toml")

    def command(self, name: str, spec: Path, nats: str) -> Sequence[str]:
        """Its process, which reaches its own folder and the rack's NATS, and nothing else."""
        home = self.home(name)
        for part in ("boards", "audit", "anchors", "keys", "logs"):
            (home / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        installed = self._kept[name].now
        policy: Policy = reading(Path(installed.environment))
        policy["read"].append(str(spec))
        policy["write"] = [str(home)]
        policy["connect"] = [port for url in nats.split(",") if (port := urlsplit(url).port)]
        return command(policy, [installed.python, "-m", "plugward.rack.process", str(spec)])
