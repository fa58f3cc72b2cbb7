"""The lines of ``plugward.toml`` that say which database a hospital is on, in and out."""

import re

OF_DATABASES = ("database", "database_owner", "audit")
_TABLE = re.compile(r"^\s*\[")
_HOSPITAL = re.compile(r"^\s*\[\s*hospital\s*\]")
_KEY = re.compile(rf"^\s*({'|'.join(OF_DATABASES)})\s*=")


def database_lines(url: str, owner: str = "") -> list[str]:
    """What to write for a hospital on this server."""
    lines = [f'database = "{url}"', f'audit = "{url}"']
    return [*lines, f'database_owner = "{owner}"'] if owner else lines


def without_database(text: str) -> str:
    """The same settings for a hospital in files. Everything else stays as a person wrote it."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if _TABLE.match(line):
            inside = bool(_HOSPITAL.match(line))
        if not (inside and _KEY.match(line)):
            kept.append(line)
    return "".join(kept)


def with_database(text: str, url: str, owner: str = "") -> str:
    """The same settings for a hospital on this server."""
    lines = without_database(text).splitlines()
    at = next((n for n, line in enumerate(lines) if _HOSPITAL.match(line)), None)
    told = database_lines(url, owner)
    if at is None:
        lines = ["[hospital]", *told, *lines]
    else:
        lines[at + 1 : at + 1] = told
    return "\n".join(lines) + "\n"
