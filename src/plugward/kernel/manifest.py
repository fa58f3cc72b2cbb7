"""Manifests 清单: what the runtime knows of a board before it imports any of its code."""

import re
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

_NAME = re.compile(r"^[a-z][a-z0-9_]{1,40}$")
_PERMISSION = re.compile(r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_-]*$")


class Away(StrEnum):
    """What a board does while a needed one is away."""

    REQUIRED = "required"  # refuse the operation as unavailable
    DEGRADE = "degrade"  # take the named fallback
    SKIP = "skip"  # go on without


class Need(msgspec.Struct, frozen=True):
    version: str
    away: Away
    fallback: str = ""


class SettingDeclaration(msgspec.Struct, frozen=True):
    """A typed setting: its type is its default's."""

    default: Any
    doc: str = ""
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """``board.toml``, checked."""

    name: str
    title: str
    title_en: str
    summary: str
    version: str
    owners: tuple[str, ...]
    grade: str
    core: bool
    needs: dict[str, Need]
    permissions: dict[str, str]
    roles: dict[str, tuple[str, ...]]
    settings: dict[str, SettingDeclaration]


class ManifestError(ValueError):
    """Everything that is wrong with a manifest, one sentence each."""

    def __init__(self, path: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"{path}: " + "; ".join(problems))


def read_manifest(path: Path) -> Manifest:
    """Read ``board.toml``; every mistake is reported at once."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ManifestError(str(path), ["there is no board.toml"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(str(path), [f"not valid TOML: {error}"]) from None
    if problems := list(_problems(raw)):
        raise ManifestError(str(path), problems)
    try:
        return _build(raw)
    except msgspec.ValidationError as error:
        raise ManifestError(str(path), [str(error)]) from None


def _problems(raw: dict[str, Any]) -> Iterator[str]:
    board = raw.get("board", {})
    for field in ("name", "title", "summary", "version", "owners", "grade"):
        if field not in board:
            yield f"[board] lacks {field}"
    name = str(board.get("name", ""))
    if name and not _NAME.match(name):
        yield f"the name {name!r} must be lower-case letters, digits and _"
    for permission in raw.get("permissions", {}):
        if not _PERMISSION.match(permission) or permission.partition(".")[0] != name:
            yield f"the permission {permission!r} must read {name}.action"


def _build(raw: dict[str, Any]) -> Manifest:
    board = raw["board"]
    name: str = board["name"]
    declared: dict[str, Any] = raw.get("settings", {})
    settings: dict[str, Any] = {
        key: value if isinstance(value, dict) else {"default": value}
        for key, value in declared.items()
    }
    return msgspec.convert(
        {
            "name": name,
            "title": board["title"],
            "title_en": board.get("title_en", name.replace("_", " ").capitalize()),
            "summary": board["summary"],
            "version": board["version"],
            "owners": board["owners"],
            "grade": board["grade"],
            "core": board.get("core", False),
            "needs": raw.get("needs", {}),
            "permissions": raw.get("permissions", {}),
            "roles": raw.get("roles", {}),
            "settings": settings,
        },
        Manifest,
    )


class Settings:
    """A board's settings, typed and read once at start: ``settings["hold_minutes"]``."""

    def __init__(self, manifest: Manifest, given: dict[str, Any] | None = None) -> None:
        self._values = {key: declared.default for key, declared in manifest.settings.items()}
        for key, value in (given or {}).items():
            self._values[key] = _checked(manifest, key, value)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]


def _checked(manifest: Manifest, key: str, value: Any) -> Any:
    declared = manifest.settings.get(key)
    where = f"{manifest.name}.{key}"
    if declared is None:
        raise ManifestError(where, ["there is no such setting"])
    if type(value) is not type(declared.default) and not (
        isinstance(value, int) and isinstance(declared.default, float)
    ):
        raise ManifestError(where, [f"must be a {type(declared.default).__name__}"])
    if declared.min is not None and value < declared.min:
        raise ManifestError(where, [f"must be at least {declared.min}"])
    if declared.max is not None and value > declared.max:
        raise ManifestError(where, [f"must be at most {declared.max}"])
    if declared.choices and value not in declared.choices:
        raise ManifestError(where, [f"must be one of {', '.join(declared.choices)}"])
    return value
