"""Manifests 清单: what the runtime knows of a board before it imports any of its code."""

import re
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import msgspec

_NAME = re.compile(r"^[a-z][a-z0-9_]{1,40}$")
_PERMISSION = re.compile(r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_-]*$")
_VERSION = re.compile(r"^\d+\.\d+\.\d+$")
_RANGE = re.compile(r"^(?:[<>]=?|==)\d+(?:\.\d+)*(?:,(?:[<>]=?|==)\d+(?:\.\d+)*)*$")
_TABLES = ("board", "implements", "needs", "permissions", "roles", "settings")
_REQUIRED = ("name", "title", "summary", "version", "owners", "grade")
_BOARD_KEYS = (*_REQUIRED, "title_en", "core")
GRADES = ("bronze", "silver", "gold", "platinum")


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
    implements: str = ""
    """The contract of another board that this one answers, where a campus is bound to it."""
    implements_version: str = ""


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
    """Every mistake at once: a manifest is read before its board's code, often by its author."""
    yield from (f"[{key}] is not a part of a manifest" for key in raw if key not in _TABLES)
    broken = [key for key in _TABLES if not isinstance(raw.get(key, {}), dict)]
    yield from (f"[{key}] must be a table" for key in broken)
    if not broken:
        yield from _board_problems(raw.get("board", {}))
        yield from _implements_problems(raw.get("implements", {}))
        yield from _need_problems(raw.get("needs", {}))
        yield from _permission_problems(raw)
        yield from _setting_problems(raw.get("settings", {}))


def _board_problems(board: dict[str, Any]) -> Iterator[str]:
    yield from (f"[board] lacks {field}" for field in _REQUIRED if field not in board)
    yield from (f"[board] has no {key}" for key in board if key not in _BOARD_KEYS)
    name = str(board.get("name", ""))
    if name and not _NAME.match(name):
        yield f"the name {name!r} must be lower-case letters, digits and _"
    version = board.get("version", "0.0.0")
    if not _VERSION.match(str(version)):
        yield f"the version {version!r} must read like 1.0.0"
    if board.get("grade", "bronze") not in GRADES:
        yield f"the grade {board['grade']!r} must be one of {', '.join(GRADES)}"


def _implements_problems(implements: dict[str, Any]) -> Iterator[str]:
    if len(implements) > 1:
        yield "[implements] names more than one contract; make a board for each"
    for name, versions in implements.items():
        if not _RANGE.match(str(versions).replace(" ", "")):
            yield f"[implements] {name} must name versions such as >=1,<2"


def _need_problems(needs: dict[str, Any]) -> Iterator[str]:
    for name, need in needs.items():
        if not isinstance(need, dict):
            yield f"the need {name} must read {name} = {{ version = …, away = … }}"
            continue
        said = cast("dict[str, Any]", need)
        if not _RANGE.match(str(said.get("version", "")).replace(" ", "")):
            yield f"the need {name} must name versions such as >=1,<2"
        away = said.get("away")
        if away not in tuple(Away):
            yield f"the need {name} must say away = required, degrade or skip"
        if away == Away.DEGRADE and not said.get("fallback"):
            yield f"the need {name} degrades, but names no fallback"


def _permission_problems(raw: dict[str, Any]) -> Iterator[str]:
    name = str(raw.get("board", {}).get("name", ""))
    permissions: dict[str, Any] = raw.get("permissions", {})
    for permission, meaning in permissions.items():
        if not _PERMISSION.match(permission) or permission.partition(".")[0] != name:
            yield f"the permission {permission!r} must read {name}.action"
        if not isinstance(meaning, str) or not meaning.strip():
            yield f"the permission {permission!r} must say what it allows"
    granted: dict[str, Any] = raw.get("roles", {})
    for role, permitted in granted.items():
        if not isinstance(permitted, list):
            yield f"the role {role} must list permissions"
            continue
        for permission in cast("list[Any]", permitted):
            if permission not in permissions:
                yield f"the role {role} gets {permission!r}, which is not in [permissions]"


def _setting_problems(settings: dict[str, Any]) -> Iterator[str]:
    for key, value in settings.items():
        declared = cast("dict[str, Any]", value) if isinstance(value, dict) else {"default": value}
        if not _NAME.match(key):
            yield f"the setting {key!r} must be lower-case letters, digits and _"
        if "default" not in declared:
            yield f"the setting {key} has no default, so its type is unknown"
        elif problem := _outside(SettingDeclaration(**_known(declared)), declared["default"]):
            yield f"the setting {key}: its default {problem}"
        yield from (
            f"the setting {key} has no {extra}" for extra in declared if extra not in _SETTING_KEYS
        )


def _known(declared: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in declared.items() if key in _SETTING_KEYS}


def _build(raw: dict[str, Any]) -> Manifest:
    board = raw["board"]
    name: str = board["name"]
    declared: dict[str, Any] = raw.get("settings", {})
    settings: dict[str, Any] = {
        key: value if isinstance(value, dict) else {"default": value}
        for key, value in declared.items()
    }
    [(implements, version)] = raw.get("implements", {}).items() or [("", "")]
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
            "implements": implements,
            "implements_version": version,
        },
        Manifest,
    )


_SETTING_KEYS = SettingDeclaration.__struct_fields__


def _outside(declared: SettingDeclaration, value: Any) -> str:
    """Why a value does not fit its declaration, or nothing."""
    if not isinstance(value, int | float):
        if declared.min is not None or declared.max is not None:
            return "is not a number, but has a min or max"
    elif declared.min is not None and value < declared.min:
        return f"must be at least {declared.min}"
    elif declared.max is not None and value > declared.max:
        return f"must be at most {declared.max}"
    if declared.choices and value not in declared.choices:
        return f"must be one of {', '.join(declared.choices)}"
    return ""


class Settings:
    """A board's settings, typed and read once at start: ``settings["hold_minutes"]``."""

    def __init__(self, manifest: Manifest, given: dict[str, Any] | None = None) -> None:
        self._values = {key: declared.default for key, declared in manifest.settings.items()}
        problems: list[str] = []
        for key, value in (given or {}).items():
            try:
                self._values[key] = _checked(manifest, key, value)
            except ManifestError as error:
                problems.append(str(error))
        if problems:
            raise ManifestError("settings", problems)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]


def _checked(manifest: Manifest, key: str, value: Any) -> Any:
    declared = manifest.settings.get(key)
    where = f"{manifest.name}.{key}"
    if declared is None:
        raise ManifestError(where, ["there is no such setting"])
    wanted, given = cast("type[Any]", type(declared.default)), cast("type[Any]", type(value))
    if given is not wanted and (given, wanted) != (int, float):
        raise ManifestError(where, [f"must be a {wanted.__name__}"])
    if problem := _outside(declared, value):
        raise ManifestError(where, [problem])
    return value
