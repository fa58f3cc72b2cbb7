"""Route book 路由册: the routes folder; versions, activation, history, one step back.

    routes/active.toml              which version of which route is in force
    routes/history.jsonl            who activated what, when and why
    routes/NAME/route.py …          the working copy, edited with any editor
    routes/NAME/versions/3/…        what was activated, never changed again

A running hub looks at ``active.toml`` and takes over what it says between two messages: no
connection is dropped, and a version that does not load leaves the one before in force.
"""

import difflib
import fcntl
import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from plugward.kit.time import Instant

from ..in_force import Mark, mark_of
from .cases import Case, cases_of, failures, sample_of
from .compiled import Compiled, RouteFault, RouteInvalid, compiled, digest_of, parts_of
from .difference import Change, changes
from .incoming import Refuse

NAME = re.compile(r"[a-z][a-z0-9-]{0,47}")

ROUTE = '''"""{name}: what it does, in one line."""

from plugward.commons.hub.routing import Incoming, Send, Tables


def route(incoming: Incoming, tables: Tables) -> list[Send]:
    """Translate the sex code and send the message on, in order for each patient."""
    message = incoming.hl7
    sex = tables["sex"].need(message["PID-8"], "PID-8")
    return [Send("archive", message.edit({{"PID-8": sex}}), key=message["PID-3"])]
'''
SETTINGS = """\
title = "{name}"
takes = ["ADT^A08"]        # "ADT^*", "POST /orders", …
senders = []               # "REG|C1"; empty: whoever may send at all
order = "key"              # "strict": one queue for each destination
reply = "durable"          # "delivered": AA when every destination has it
"""
TABLE = "code,value,remark\nM,1,男\nF,2,女\n"
SAMPLE = """\
MSH|^~\\&|REG|C1|HUB|C1|20261122090500||ADT^A08^ADT_A01|CASE1|P|2.5.1||||||UNICODE UTF-8
EVN|A08|20261122090500
PID|1||P0000001^^^C1^PI||张示例||19900101|M
"""
CASE = """\
[[send]]
to = "archive"
key = "P0000001"
[send.fields]
"PID-8" = "1"
"PID-5" = "张示例"
"""


class Version(NamedTuple):
    """One activated version."""

    number: int
    at: str
    by: str
    why: str
    digest: str
    is_active: bool


class DryRun(NamedTuple):
    """What a sample would do."""

    refused: str
    sends: tuple[tuple[str, str, tuple[Change, ...]], ...]
    """To whom, with which key, and what differs from what came in."""


class RouteBook:
    """The routes of one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._active = folder / "active.toml"

    # ── reading ─────────────────────────────────────────────────────────────────────────────
    def names(self) -> list[str]:
        """Every route, active or not."""
        return sorted(path.parent.name for path in self.folder.glob("*/route.py"))

    def active(self) -> dict[str, int]:
        """Which version of which route is in force."""
        try:
            told = tomllib.loads(self._active.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except tomllib.TOMLDecodeError as error:
            raise RouteInvalid(f"active.toml: {error}") from None
        found = told.get("routes", {})
        return {str(name): int(number) for name, number in found.items()}

    def mark(self) -> Mark:
        """Changes whenever ``active.toml`` is written."""
        return mark_of(self._active)

    def load(self, name: str, number: int) -> Compiled:
        """A version, ready to run."""
        folder = self._version(name, number)
        if not folder.is_dir():
            raise RouteInvalid(f"{name} has no version {number}")
        return compiled(folder, name, number)

    def versions(self, name: str) -> list[Version]:
        """What was activated, the oldest first."""
        self._known(name)
        now = self.active().get(name)
        found = []
        for number in self._numbers(name):
            told = tomllib.loads((self._version(name, number) / "version.toml").read_text("utf-8"))
            told["by"], told["why"] = str(told["by"]), str(told["why"])
            told["is_active"] = number == now
            found.append(Version(number=number, **told))
        return found

    def history(self, name: str) -> list[dict[str, object]]:
        """Who changed what is in force, the oldest first."""
        try:
            lines = (self.folder / "history.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            return []
        entries: list[dict[str, object]] = [msgspec.json.decode(line) for line in lines]
        return [entry for entry in entries if entry["route"] == name]

    def diff(self, name: str, older: int | None = None, newer: int | None = None) -> str:
        """What changed from one version to another, or to the working copy."""
        self._known(name)
        if older is None:
            older = self.active().get(name)
        before = {} if older is None else self._texts(self._version(name, older))
        after = self._texts(self._version(name, newer) if newer else self.folder / name)
        ends = (f"{older or 'nothing'}", f"{newer or 'draft'}")
        lines: list[str] = []
        for part in sorted({*before, *after}):
            lines += difflib.unified_diff(
                before.get(part, "").splitlines(keepends=True),
                after.get(part, "").splitlines(keepends=True),
                f"{name}@{ends[0]}/{part}",
                f"{name}@{ends[1]}/{part}",
            )
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)

    def dry_run(
        self, name: str, sample: bytes, *, kind: str = "", version: int | None = None
    ) -> DryRun:
        """What the working copy (or a version) would do with a sample. Nothing is sent."""
        self._known(name)
        route = self.load(name, version) if version else compiled(self.folder / name, name)
        incoming = sample_of(sample, kind)
        if not route.wants(incoming.kind, incoming.sender):
            return DryRun(f"{name} does not take {incoming.kind} from {incoming.sender}", ())
        try:
            sends = route.run(incoming)
        except Refuse as refused:
            return DryRun(str(refused), ())
        except RouteFault as fault:
            return DryRun(f"fault in the route: {fault}", ())
        told = []
        for send in sends:
            body = send.body if isinstance(send.body, bytes) else incoming.body
            told.append((send.to, send.key, tuple(changes(incoming.body, body))))
        return DryRun("", tuple(told))

    # ── changing ────────────────────────────────────────────────────────────────────────────
    def new(self, name: str) -> Path:
        """Write a route that passes its own case, to start from."""
        if not NAME.fullmatch(name):
            raise RouteInvalid("a route's name is lower-case letters, digits and hyphens")
        folder = self.folder / name
        if folder.exists():
            raise RouteInvalid(f"{name} is already there")
        texts = {
            "route.py": ROUTE.format(name=name),
            "route.toml": SETTINGS.format(name=name),
            "tables/sex.csv": TABLE,
            "cases/first.hl7": SAMPLE,
            "cases/first.toml": CASE,
        }
        for part, text in texts.items():
            path = folder / part
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return folder

    def test(self, name: str) -> list[str]:
        """Why the working copy may not be activated; nothing when it may."""
        self._known(name)
        route = compiled(self.folder / name, name)
        cases: list[Case] = cases_of(self.folder / name)
        return failures(route, cases) if cases else ["there is no case beside the route"]

    def activate(self, name: str, *, by: str, why: str, at: Instant) -> int:
        """Put the working copy in force, as a new version if it differs from the last one."""
        problems = self.test(name)
        if problems:
            raise RouteInvalid("; ".join(problems))
        with self._locked():
            parts = parts_of(self.folder / name)
            digest = digest_of(parts)
            known = self.versions(name)
            number = known[-1].number if known else 0
            if not known or known[-1].digest != digest:
                number += 1
                self._keep(name, number, digest, (by, why, at))
            self._put_in_force(name, number, (by, why, at))
        return number

    def rollback(self, name: str, *, by: str, why: str, at: Instant) -> int:
        """Back to the version that was in force before the present one."""
        self._known(name)
        with self._locked():
            now = self.active().get(name)
            before = [
                number
                for entry in self.history(name)
                if isinstance(number := entry["to"], int) and number != now
            ]
            if now is None or not before:
                raise RouteInvalid(f"{name} has no version to go back to")
            self.load(name, before[-1])
            self._put_in_force(name, before[-1], (by, why, at))
        return before[-1]

    def deactivate(self, name: str, *, by: str, why: str, at: Instant) -> None:
        """Take the route out of force; its versions stay."""
        self._known(name)
        with self._locked():
            self._put_in_force(name, None, (by, why, at))

    # ── inside ──────────────────────────────────────────────────────────────────────────────
    def _keep(self, name: str, number: int, digest: str, said: tuple[str, str, Instant]) -> None:
        target = self._version(name, number)
        fresh = target.with_name(f"{number}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        for part in parts_of(self.folder / name):
            path = fresh / part.name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(part.content)
        by, why, at = said
        told = {"at": at.isoformat(), "by": by, "why": why, "digest": digest}
        lines = [f"{key} = {msgspec.json.encode(value).decode()}\n" for key, value in told.items()]
        (fresh / "version.toml").write_text("".join(lines), "utf-8")
        fresh.rename(target)

    def _put_in_force(self, name: str, number: int | None, said: tuple[str, str, Instant]) -> None:
        active = self.active()
        by, why, at = said
        entry = {
            "at": at.isoformat(),
            "route": name,
            "from": active.get(name),
            "to": number,
            "by": by,
            "why": why,
        }
        active.pop(name, None)
        if number is not None:
            active[name] = number
        with (self.folder / "history.jsonl").open("ab") as history:
            history.write(msgspec.json.encode(entry) + b"\n")
            history.flush()
            os.fsync(history.fileno())
        text = "[routes]\n" + "".join(f'"{one}" = {active[one]}\n' for one in sorted(active))
        fresh = self._active.with_suffix(".part")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._active)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _known(self, name: str) -> None:
        if not NAME.fullmatch(name) or not (self.folder / name / "route.py").is_file():
            raise RouteInvalid(f"there is no route {name[:64]}; see the folder {self.folder}")

    def _version(self, name: str, number: int) -> Path:
        return self.folder / name / "versions" / str(number)

    def _numbers(self, name: str) -> list[int]:
        folder = self.folder / name / "versions"
        return sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())

    def _texts(self, folder: Path) -> dict[str, str]:
        return {
            part.name: part.content.decode("utf-8", "backslashreplace") for part in parts_of(folder)
        }
