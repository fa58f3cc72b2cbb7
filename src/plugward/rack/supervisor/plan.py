"""The plan 布局: what ``rack.toml`` says, or every mistake in it at once, each with its line."""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..place import CONNECTIONS_MAX, PASSWORD, POSTGRESQL, SQLITE

PORT_MAX = 65_535
REPLICAS_MAX = 16
# One process each: they keep something nobody else may open, or listen on a port.
SINGLE = {
    "datacentre": "it is the one process that opens its file",
    "hub": "it listens on the HL7 port",
    "identity": "it keeps the sessions",
    "portal": "it listens on the portal's port",
}
_SECTIONS = {"rack", "groups", "boards", "campus"}
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,30}$")
_TABLE = re.compile(r"^\s*\[+\s*([^\]]+?)\s*\]+")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\"-]+)\s*=")
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_SCHEMES = ("postgresql", "mysql", "mariadb")


class PlanError(Exception):
    """``rack.toml`` cannot be followed. ``problems`` are sentences, in the file's order."""

    def __init__(self, problems: Collection[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class BoardPlan(msgspec.Struct, frozen=True):
    """What is said about one board."""

    replicas: int = 1
    plugged: bool = True


class Seat(msgspec.Struct, frozen=True):
    """One process: its boards, and which copy it is."""

    name: str
    boards: tuple[str, ...]
    replica: int = 0

    @property
    def label(self) -> str:
        return f"{self.name}-{self.replica}" if self.replica else self.name


class RackPlan(msgspec.Struct, frozen=True):
    """A rack as its operator wants it. Without a file: every board in a process of its own."""

    site: str = "main"
    host: str = "127.0.0.1"
    port: int = 8000
    mllp_port: int = 2575
    nats: str = ""
    database: str = SQLITE
    database_password_file: str = ""
    connections_max: int = CONNECTIONS_MAX
    groups: Mapping[str, tuple[str, ...]] = {}
    boards: Mapping[str, BoardPlan] = {}
    campus: Mapping[str, dict[str, str]] = {}  # campus → contract → the board that answers there

    def board(self, name: str) -> BoardPlan:
        return self.boards.get(name, BoardPlan())

    def replicas(self, seat: Seat) -> int:
        """How many copies of this process there are."""
        return max(self.board(board).replicas for board in seat.boards)

    def seats(self, ordered: Collection[str]) -> tuple[Seat, ...]:
        """The processes, those first whom others need, of the ``ordered`` boards there are."""
        group_of = {board: group for group, boards in self.groups.items() for board in boards}
        plugged = [name for name in ordered if self.board(name).plugged]
        seats: dict[str, list[str]] = {}
        for name in plugged:
            seats.setdefault(group_of.get(name, name), []).append(name)
        return tuple(
            Seat(seat, tuple(boards), replica)
            for seat, boards in seats.items()
            for replica in range(self.replicas(Seat(seat, tuple(boards))))
        )


def read_plan(path: Path, known: Collection[str]) -> RackPlan:
    """Follow a file. Raises ``PlanError`` with everything that is wrong in it."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(
            [f"{path} cannot be read: {error}. Name the file, or leave it out."]
        ) from None
    return parse_plan(text, known, name=path.name)


def parse_plan(text: str, known: Collection[str], *, name: str = "rack.toml") -> RackPlan:
    """The plan in a text; ``known`` are the boards that are installed."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        what = _AT_LINE.sub("", str(error)).strip()
        raise PlanError([f"{name}:{found[1] if found else '?'}: {what}."]) from None
    lines = lines_of(text)
    problems = sorted(
        (lines.get(where, lines.get(where[:-1], lines.get(where[:1], 1))), sentence)
        for where, sentence in _Reader(raw, known).problems()
    )
    if problems:
        raise PlanError([f"{name}:{line}: {sentence}" for line, sentence in problems])
    rack = raw.get("rack", {})
    groups = {group: tuple(boards) for group, boards in raw.get("groups", {}).items()}
    boards = {board: BoardPlan(**said) for board, said in raw.get("boards", {}).items()}
    return RackPlan(**rack, groups=groups, boards=boards, campus=raw.get("campus", {}))


def lines_of(text: str) -> dict[tuple[str, ...], int]:
    """Where each table and each key stands, by its full name."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _TABLE.match(line):
            table = tuple(part.strip(' "') for part in match[1].split("."))
            found.setdefault(table, number)
            found.setdefault(table[:1], number)
        elif match := _KEY.match(line):
            key = tuple(part.strip(' "') for part in match[1].split("."))
            found.setdefault((*table, *key), number)
            for upto in range(1, len(table) + len(key)):
                found.setdefault((*table, *key)[:upto], number)
    return found


Problem = tuple[tuple[str, ...], str]


class _Reader:
    """Looks at everything; each problem with the place it stands at."""

    def __init__(self, raw: dict[str, Any], known: Collection[str]) -> None:
        self._raw = raw
        self._known = sorted(known)
        rack = raw.get("rack")
        self._rack: dict[str, Any] = rack if isinstance(rack, dict) else {}

    def problems(self) -> Iterator[Problem]:
        for section in self._raw:
            if section not in _SECTIONS:
                yield (
                    (section,),
                    f"there is no section [{section}]; "
                    "use [rack], [groups], [boards.…], [campus.…].",
                )
            elif not isinstance(self._raw[section], dict):
                yield (section,), f"{section} must be a section: write [{section}] above its lines."
        yield from self._about_rack()
        yield from self._about_groups()
        yield from self._about_boards()
        yield from self._about_campuses()

    def _section(self, name: str) -> dict[str, Any]:
        found = self._raw.get(name)
        return found if isinstance(found, dict) else {}

    # ── [rack] ──────────────────────────────────────────────────────────────────────────────
    def _about_rack(self) -> Iterator[Problem]:
        checks = {
            "site": self._site,
            "host": self._text,
            "port": self._port,
            "mllp_port": self._port,
            "nats": self._nats,
            "database": self._database,
            "database_password_file": self._text,
            "connections_max": self._connections,
        }
        for key, value in self._rack.items():
            if key not in checks:
                yield ("rack", key), f"there is no setting {key}; there are {', '.join(checks)}."
            elif sentence := checks[key](key, value):
                yield ("rack", key), sentence
        port = self._rack.get("port", 8000)
        if port and port == self._rack.get("mllp_port", 2575):
            yield ("rack", "port"), f"portal and HL7 cannot share the port {port}: change one."

    def _site(self, key: str, value: Any) -> str:
        if isinstance(value, str) and _NAME.match(value):
            return ""
        return f"{key} must be a short lower-case word such as main, not {value!r}."

    def _text(self, key: str, value: Any) -> str:
        good = isinstance(value, str) and value.strip() == value != ""
        return "" if good else f"{key} must be a text such as 127.0.0.1, not {value!r}."

    def _port(self, key: str, value: Any) -> str:
        good = _is_int(value) and 0 <= value <= PORT_MAX
        return (
            "" if good else f"{key} must be a port from 0 (any free one) to 65535, not {value!r}."
        )

    def _nats(self, key: str, value: Any) -> str:
        if value == "" or (isinstance(value, str) and _is_address(value, ("nats", "tls"))):
            return ""
        return f"{key} must be an address such as nats://10.0.0.5:4222, or left out; not {value!r}."

    def _database(self, key: str, value: Any) -> str:
        if value in (SQLITE, POSTGRESQL):
            return ""
        if isinstance(value, str) and value.partition("://")[0] in _SCHEMES and "://" in value:
            if re.match(r"[^/]*//[^/@]*:[^/@]*@", value):
                return (
                    f"a password does not belong in {key}: put it into a file of mode 0600 and "
                    f"name that in database_password_file, or into {PASSWORD}."
                )
            return ""
        return (
            f'{key} must be "{SQLITE}" (a file a board), "{POSTGRESQL}" (a server of its own) or '
            f"an address such as postgresql://…; not {value!r}."
        )

    def _connections(self, key: str, value: Any) -> str:
        good = _is_int(value) and 1 <= value <= CONNECTIONS_MAX
        return "" if good else f"{key} must be from 1 to {CONNECTIONS_MAX}, not {value!r}."

    # ── [groups] ────────────────────────────────────────────────────────────────────────────
    def _about_groups(self) -> Iterator[Problem]:
        taken: dict[str, str] = {}
        for group, boards in self._section("groups").items():
            where = ("groups", group)
            if not _NAME.match(group):
                yield where, f"the group {group!r} must have a short lower-case name."
            elif group in self._known and boards != [group]:
                yield where, f"the group {group} is called like a board: give it another name."
            if not isinstance(boards, list) or not boards:
                yield where, f'{group} must list its boards: {group} = ["billing", "pricing"].'
                continue
            for board in boards:
                if sentence := self._unknown(board):
                    yield where, sentence
                elif board in taken:
                    yield where, f"{board} is in {taken[board]} already: a board sits in one group."
                else:
                    taken[board] = group

    def _unknown(self, board: Any) -> str:
        if board in self._known:
            return ""
        return f"no board is called {board!r}; installed are {', '.join(self._known)}."

    # ── [boards.…] ──────────────────────────────────────────────────────────────────────────
    def _about_boards(self) -> Iterator[Problem]:
        for board, said in self._section("boards").items():
            where = ("boards", board)
            if sentence := self._unknown(board):
                yield where, sentence
                continue
            if not isinstance(said, dict):
                yield where, f"write [boards.{board}] above what is said of it."
                continue
            for key, value in said.items():
                if sentence := self._about_board(board, key, value):
                    yield (*where, key), sentence

    def _about_board(self, board: str, key: str, value: Any) -> str:
        if key == "plugged":
            return (
                "" if isinstance(value, bool) else f"plugged must be true or false, not {value!r}."
            )
        if key != "replicas":
            return f"there is no setting {key} of a board; there are replicas, plugged."
        if not _is_int(value) or not 1 <= value <= REPLICAS_MAX:
            return f"replicas must be from 1 to {REPLICAS_MAX}, not {value!r}."
        return "" if value == 1 else self._not_alone(board)

    # ── [campus.…] ──────────────────────────────────────────────────────────────────────────
    def _about_campuses(self) -> Iterator[Problem]:
        for campus, said in self._section("campus").items():
            if not isinstance(said, dict):
                yield ("campus", campus), f'write [campus.{campus}] above lab = "lab_hl7".'
                continue
            for contract, board in said.items():
                for name in (contract, board):
                    if sentence := self._unknown(name):
                        yield ("campus", campus, contract), sentence

    def _not_alone(self, board: str) -> str:
        """Why this board cannot have copies."""
        if board in SINGLE:
            return f"{board} runs once, because {SINGLE[board]}: leave replicas out."
        if self._rack.get("database", SQLITE) == SQLITE:
            return (
                f"{board} keeps its tables in an SQLite file, which one process opens: leave "
                f'replicas out, or set database = "{POSTGRESQL}" in [rack].'
            )
        groups = self._section("groups").items()
        group = next((g for g, bs in groups if isinstance(bs, list) and board in bs), None)
        if group is not None:
            return f"{board} shares the process {group}: take it out of the group to replicate it."
        return ""


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_address(value: str, schemes: Collection[str]) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
