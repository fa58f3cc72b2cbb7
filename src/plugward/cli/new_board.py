"""``plugward new-board``: write a board that passes every check at once."""

import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from rich.console import Console

from plugward.rack.discover import board_entries

_NAME = re.compile(r"^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$")
_NAME_LENGTH_MAX = 32
_SUFFIX = ".tmpl"
_UNUSABLE = 2


def new_board(name: str, *, folder: Path, title: str) -> int:
    """0 when the board is written, 2 when the name or the place cannot be used."""
    console = Console(soft_wrap=True)
    place = folder / name
    if problem := _problem(name, place):
        console.print(problem)
        return _UNUSABLE
    words = _words(name, title)
    for path, text in _templates(words):
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
    package = words["@package@"]
    console.print(f"Wrote {place}. What comes next:")
    console.print(f"  pip install -e {place}      # plugs it in: plugward finds it by itself")
    console.print(f"  plugward check {package}    # holds it to the rules, and says its grade")
    console.print(f"  pytest {place}              # its scenarios, on both transports")
    console.print(f"Then read {place}/src/{package}/README.md and tell your own process.")
    return 0


def _problem(name: str, place: Path) -> str:
    if not _NAME.match(name) or len(name) > _NAME_LENGTH_MAX:
        return f"{name!r} is no name for a board: use lower-case words, such as lost_property."
    if name in board_entries():
        return f"There is a board {name} already; choose another name."
    if place.exists():
        return f"{place} exists already; choose another folder with --in."
    return ""


def _words(name: str, title: str) -> dict[str, str]:
    """What stands in the templates, and what it becomes."""
    spoken = name.replace("_", " ")
    return {
        "@name@": name,
        "@NAME@": "".join(part[0] for part in name.split("_")).upper(),
        "@Class@": "".join(part.title() for part in name.split("_")),
        "@words@": spoken,
        "@Words@": spoken.capitalize(),
        "@package@": f"plugward_{name}",
        "@dist@": f"plugward-{name.replace('_', '-')}",
        "@title@": title,
    }


def _templates(words: dict[str, str]) -> Iterator[tuple[PurePosixPath, str]]:
    root = files("plugward.cli") / "templates" / "new_board"
    for path, file in _walk(root, PurePosixPath()):
        text = file.read_text("utf-8")
        for word, meaning in words.items():
            text = text.replace(word, meaning)
        yield _place(path, words), _sorted_imports(text)


def _walk(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir():
            yield from _walk(entry, path / entry.name)
        elif entry.name.endswith(_SUFFIX):
            yield path / entry.name.removesuffix(_SUFFIX), entry


def _place(path: PurePosixPath, words: dict[str, str]) -> PurePosixPath:
    """Where a template goes: the package under ``src``, the test under the board's name.

    A folder called ``tests`` would not be part of our own wheel, so the template has another name.
    """
    becomes = {
        "package": f"src/{words['@package@']}",
        "scenarios": "tests",
        "test_day.py": f"test_{words['@name@']}_day.py",
    }
    return PurePosixPath(*(becomes.get(part, part) for part in path.parts))


_BRACKETED = re.compile(r"(?<=import \()\n((?:    \w+,\n)+)(?=\))")
_IN_A_LINE = re.compile(r"(?<= import )(\w+(?:, \w+)+)$", re.MULTILINE)


def _sorted_imports(text: str) -> str:
    """Imported names stand in the order the formatter wants, whatever the board is called."""

    def bracketed(match: re.Match[str]) -> str:
        lines = match.group(1).splitlines()
        return "\n" + "\n".join(sorted(lines, key=_isort)) + "\n"

    def in_a_line(match: re.Match[str]) -> str:
        return ", ".join(sorted(match.group(1).split(", "), key=_isort))

    return _IN_A_LINE.sub(in_a_line, _BRACKETED.sub(bracketed, text))


def _isort(line: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each by name."""
    name = line.strip(" ,")
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name
