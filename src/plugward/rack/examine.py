"""Examine 验收: what a board from outside is, told from inside its own environment.

``python -m plugward.rack.examine SITE-PACKAGES PLUGGED…`` loads the one board that is installed
there, holds it against the boards that run, and says everything that speaks against it at once.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, distributions

import msgspec

from plugward.kernel.board import Board, load_board
from plugward.kernel.check.schema import ContractSchema, broken_promises, schema_of
from plugward.kernel.manifest import ManifestError

from .control.checks import objections
from .discover import GROUP, board_entries
from .supervisor.survey import surveyed


class Examined(msgspec.Struct, frozen=True):
    """A board from outside, as the rack must know it before it runs."""

    name: str = ""
    version: str = ""
    folder: str = ""
    hears: tuple[str, ...] = ()
    contract: ContractSchema | None = None
    pages: tuple[tuple[str, str], ...] = ()
    problems: tuple[str, ...] = ()


def examine(site_packages: str, plugged: Sequence[str]) -> Examined:
    """Load it and look."""
    found = list(_brought(site_packages))
    if len(found) != 1:
        names = ", ".join(entry.name for entry in found) or "none"
        return _refused(f"A package brings one board under [{GROUP}]; here are: {names}.")
    [entry] = found
    try:
        board = load_board(entry.value)
    except ManifestError as error:
        return _refused(*error.problems)
    except (ImportError, TypeError, ValueError, AttributeError) as error:
        return _refused(f"{entry.name} cannot be loaded: {type(error).__name__}: {error}")
    told = surveyed(board)
    return Examined(
        name=board.name,
        version=board.manifest.version,
        folder=told.folder,
        hears=told.hears,
        contract=schema_of(board),
        pages=tuple((page.method, page.path) for page in board.pages),
        problems=tuple(objections(board, _others(board, plugged))),
    )


def _refused(*problems: str) -> Examined:
    return Examined(problems=problems)


def _brought(site_packages: str) -> Iterator[EntryPoint]:
    """What this environment has and the rack's own has not."""
    for distribution in distributions(path=[site_packages]):
        yield from distribution.entry_points.select(group=GROUP)


def _others(board: Board, plugged: Sequence[str]) -> Iterator[Board]:
    for name, entry in board_entries().items():
        if name in plugged and name != board.name:
            yield load_board(entry.value)


def promises_kept(before: ContractSchema | None, now: ContractSchema | None) -> list[str]:
    """What callers of the version that runs would stumble over."""
    if before is None:
        return []
    if now is None:
        return [f"{before.board} has lost its contract: keep it for this major version."]
    return [f"{found.where}: {found.what}." for found in broken_promises(before, now)]


def main() -> None:
    told = examine(sys.argv[1], sys.argv[2:])
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(told) + b"\n")


if __name__ == "__main__":
    main()
