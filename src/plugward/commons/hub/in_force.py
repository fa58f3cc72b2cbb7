"""In force 生效: what a file declares by name, taken over as soon as the file is changed."""

from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Generic, TypeVar

D = TypeVar("D")
M = TypeVar("M")
Mark = tuple[int, int]
NEVER: Mark = (-1, -1)
ABSENT: Mark = (0, 0)


def mark_of(path: Path) -> Mark:
    """Changes whenever the file is written; cheap enough to ask every second."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ABSENT
    return (found.st_ino, found.st_mtime_ns)


class InForce(Generic[D, M]):
    """The declarations of one file. ``make`` what each needs before anything is touched: a file
    with a mistake (``ValueError``) leaves what was in force, and stands in ``problems``."""

    def __init__(
        self,
        path: Path,
        problems: MutableMapping[str, str],
        *,
        read: Callable[[Path], Mapping[str, D]],
        make: Callable[[str, D], M],
    ) -> None:
        self._path = path
        self._problems = problems
        self._read = read
        self._make = make
        self._mark = NEVER
        self._declared: dict[str, D] = {}

    def look(self, *, begin: Callable[[str, M], None], end: Callable[[str], None]) -> None:
        """Take over what changed: end what is gone or another now, then begin what is new."""
        mark = mark_of(self._path)
        if mark == self._mark:
            return
        self._mark = mark
        known = self._declared
        try:
            wanted = dict(self._read(self._path))
            fresh = {
                name: self._make(name, told)
                for name, told in wanted.items()
                if known.get(name) != told
            }
        except ValueError as error:
            self._problems[self._path.name] = str(error)
            raise
        self._problems.pop(self._path.name, None)
        for name in set(known) - set(wanted) | set(known) & set(fresh):
            end(name)
        for name, made in fresh.items():
            begin(name, made)
        self._declared = wanted
