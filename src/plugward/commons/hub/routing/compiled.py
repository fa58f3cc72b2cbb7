"""Compiled 载入: one version of a route, read from its folder, checked and ready to run.

Routes are trusted code of the site: they run inside the hub with its rights. What is refused here
is a belt, no wall: a route opens no connection and no file, and reads no environment of its own.
"""

import ast
import hashlib
import tomllib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

import msgspec

from .incoming import Incoming, Refuse, Send, encoded
from .mapping import TableInvalid, Tables, read_tables

KEPT_OUT = frozenset({
    "asyncio", "ctypes", "ftplib", "http", "httpx", "importlib", "multiprocessing", "os", "pathlib",
    "requests", "shutil", "signal", "smtplib", "socket", "sqlite3", "ssl", "subprocess", "sys",
    "tempfile", "threading", "urllib", "aiohttp",
})  # fmt: skip
KEPT_OUT_NAMES = frozenset({"open", "exec", "eval", "compile", "__import__", "input", "breakpoint"})
SENDS_MAX = 1000


class RouteInvalid(ValueError):
    """A route that cannot be used: what is wrong, and where."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``route.toml``."""

    takes: tuple[str, ...]
    """Kinds, with ``*`` for any part: ``ADT^*``, ``POST /orders``, ``file *.hl7``."""
    title: str = ""
    senders: tuple[str, ...] = ()
    """``MSH-3|MSH-4``, or a system's code; none: whoever may send at all."""
    order: str = "key"
    """``key``: in order for each key. ``strict``: one queue for each destination."""
    reply: str = "durable"
    """``durable``: AA when it is on disk. ``delivered``: AA when every destination has it."""


class RouteFault(Exception):
    """A mistake in the route itself. Says what kind and on which line, never what was in hand."""


class Compiled:
    """One version of a route."""

    def __init__(self, name: str, version: int, settings: Settings, tables: Tables) -> None:
        self.name = name
        self.version = version
        self.settings = settings
        self.tables = tables
        self._module = ModuleType(f"plugward_route_{name}_{version}")

    @property
    def label(self) -> str:
        """``lab-results@3``, as deliveries name what made them."""
        return f"{self.name}@{self.version or 'draft'}"

    def load(self, source: str, file: str) -> None:
        """Run the module's top level, once."""
        self._module.__file__ = file
        with _Caught() as caught:
            exec(compile(source, file, "exec"), self._module.__dict__)  # noqa: S102 - a route is code
        if caught.error is not None:
            raise RouteInvalid(f"route.py does not load: {where(caught.error, file)}")
        if not callable(getattr(self._module, "route", None)):
            raise RouteInvalid("route.py has no function route(incoming, tables)")

    def wants(self, kind: str, sender: str) -> bool:
        """Whether messages of this kind from this sender are its business."""
        settings = self.settings
        if settings.senders and sender not in settings.senders:
            return False
        return any(fnmatchcase(kind, pattern) for pattern in settings.takes)

    def run(self, incoming: Incoming) -> list[Send]:
        """What is to be sent. Raises ``Refuse`` (the sender's matter) or ``RouteFault`` (ours)."""
        with _Caught() as caught:
            made = self._module.route(incoming, self.tables)
            sends = [_checked(one) for one in _listed(made)]
        error = caught.error
        if isinstance(error, Refuse):
            raise error
        if error is not None:
            raise RouteFault(where(error, str(self._module.__file__))) from error
        if self.settings.order == "strict":
            return [one._replace(key="") for one in sends]
        return sends


class _Caught:
    """The border to the site's own code: whatever it raises is an answer, not the hub's end."""

    error: Exception | None = None

    def __enter__(self) -> "_Caught":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> bool:
        del kind, at
        if not isinstance(error, Exception):
            return False
        self.error = error
        return True


class Part(NamedTuple):
    """One file of a route."""

    name: str
    content: bytes


def parts_of(folder: Path) -> list[Part]:
    """What belongs to a version: the module, its settings, its tables and its cases."""
    names = [folder / "route.py", folder / "route.toml"]
    names += sorted((folder / "tables").glob("*.csv"))
    names += sorted(path for path in (folder / "cases").glob("*") if path.is_file())
    return [
        Part(path.relative_to(folder).as_posix(), path.read_bytes())
        for path in names
        if path.is_file()
    ]


def digest_of(parts: Iterable[Part]) -> str:
    """Two versions with the same digest are the same."""
    total = hashlib.sha256()
    for part in parts:
        total.update(f"{part.name}\0{len(part.content)}\0".encode() + part.content)
    return total.hexdigest()


def compiled(folder: Path, name: str, version: int = 0) -> Compiled:
    """Read a version's folder. ``RouteInvalid`` says what is wrong."""
    try:
        source = (folder / "route.py").read_text("utf-8")
        told = tomllib.loads((folder / "route.toml").read_text("utf-8"))
        settings = msgspec.convert(told, Settings)
        tables = read_tables(folder / "tables")
    except OSError as error:
        raise RouteInvalid(f"{Path(str(error.filename)).name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RouteInvalid(f"route.toml: {error}") from None
    except (TableInvalid, UnicodeDecodeError) as error:
        raise RouteInvalid(str(error)) from None
    if not settings.takes:
        raise RouteInvalid("route.toml: takes is empty")
    if settings.order not in ("key", "strict") or settings.reply not in ("durable", "delivered"):
        raise RouteInvalid("route.toml: order is key or strict, reply is durable or delivered")
    file = str(folder / "route.py")
    _check_source(source, file)
    route = Compiled(name, version, settings, tables)
    route.load(source, file)
    return route


def where(error: BaseException, file: str) -> str:
    """The kind of an error and the route's own line, without any value it carries."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError in line {error.lineno}"
    line, at = 0, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == file:
            line = at.tb_lineno
        at = at.tb_next
    return f"{type(error).__name__} in line {line}" if line else type(error).__name__


def _check_source(source: str, file: str) -> None:
    try:
        tree = ast.parse(source, file)
    except SyntaxError as error:
        raise RouteInvalid(f"route.py: {where(error, file)}") from None
    for node in ast.walk(tree):
        names: Sequence[str] = ()
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Name) and node.id in KEPT_OUT_NAMES:
            raise RouteInvalid(f"route.py line {node.lineno}: a route does not use {node.id}")
        for name in names:
            if name.split(".")[0] in KEPT_OUT:
                line = getattr(node, "lineno", 0)
                raise RouteInvalid(f"route.py line {line}: a route does not import {name}")


def _listed(made: Any) -> list[Send]:
    if made is None:
        return []
    found = [made] if isinstance(made, Send) else list(made)
    if len(found) > SENDS_MAX:
        raise ValueError("too many")
    return found


def _checked(one: Any) -> Send:
    if not isinstance(one, Send) or not isinstance(one.to, str) or not isinstance(one.key, str):
        raise TypeError("route() returns Send")
    return Send(one.to, encoded(one.body), one.key)
