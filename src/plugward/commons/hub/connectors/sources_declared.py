"""What ``sources.toml`` of the data folder declares: where the hub fetches messages by itself.

[lab-drop]
kind = "files"
folder = "incoming"
pattern = "*.hl7"

[night]
kind = "timer"
at = "02:00"
"""

import re
import tomllib
from enum import StrEnum
from pathlib import Path

import msgspec

FILE = "sources.toml"
EVERY_S_MIN = 0.05


class SourceInvalid(ValueError):
    """A source that cannot be used, and why."""


class Whole(StrEnum):
    """How a file says that it is whole."""

    RENAMED = "renamed"  # its name appears when it is
    SETTLED = "settled"  # it has not changed for a while
    MARKED = "marked"  # a second file beside it says so


class Source(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """What all have in common. The source's name is the sender of its messages."""

    title: str = ""
    every_s: float = 5.0


class FilesIn(Source, frozen=True, tag="files"):
    """Files of a folder become messages ``file NAME``."""

    folder: str
    pattern: str = "*"
    whole: Whole = Whole.SETTLED
    settle_s: float = 2.0
    mark: str = ".ok"
    keep: bool = True
    """In ``processed``, by day; else they are deleted once they are in the ledger."""


class TimerIn(Source, frozen=True, tag="timer"):
    """A message ``timer NAME`` every so often, or once a day."""

    at: str = ""
    """``02:00``, by the hospital's clock; without it every ``every_s``, counted from 1970."""


class DatabaseIn(Source, frozen=True, tag="database"):
    """New rows of a query become messages ``row NAME``, each a JSON object."""

    url_file: str
    """A file with the SQLAlchemy URL, readable for nobody else."""
    query: str
    """Holds ``:after`` and ``:limit``, and orders by the key."""
    key: str
    """The column that grows: a number or a text."""
    start: int | str = 0
    limit: int = 500


class SftpIn(Source, frozen=True, tag="sftp"):
    """Files of another machine's folder become messages ``file NAME``."""

    host: str
    user: str
    key: str
    """A file of the data folder with our key."""
    known_hosts: str
    """A file of the data folder with the other side's."""
    folder: str
    port: int = 22
    pattern: str = "*"
    settle_s: float = 5.0
    keep: bool = True
    networks: tuple[str, ...] = ()


AnySource = FilesIn | TimerIn | DatabaseIn | SftpIn


def read_sources(path: Path) -> dict[str, AnySource]:
    """What the file says; nothing when there is none."""
    try:
        told = msgspec.convert(tomllib.loads(path.read_text("utf-8")), dict[str, AnySource])
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise SourceInvalid(f"{path.name}: {error}") from None
    for name, source in told.items():
        problem = _problem(name, source)
        if problem:
            raise SourceInvalid(f"{path.name}: {name}: {problem}")
    return told


def _problem(name: str, source: AnySource) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", name):
        return "a source's name is letters, digits, hyphens"
    if source.every_s < EVERY_S_MIN:
        return f"every_s is at least {EVERY_S_MIN}"
    if isinstance(source, DatabaseIn):
        has_both = ":after" in source.query and ":limit" in source.query
        return "" if has_both and source.limit > 0 else "the query holds :after and :limit"
    if isinstance(source, FilesIn):
        return "" if source.mark else "mark is what a file's mark ends with"
    if isinstance(source, SftpIn):
        return "" if source.folder else "folder is a folder of the other side"
    is_time = re.fullmatch(r"(([01]\d|2[0-3]):[0-5]\d)?", source.at)
    return "" if is_time else "at is a time such as 02:00"
