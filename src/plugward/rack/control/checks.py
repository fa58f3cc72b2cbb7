"""What speaks against a board before it is plugged in, and who would miss it once it is out."""

import re
from collections.abc import Iterable, Iterator

from plugward.kernel.board import Board
from plugward.kernel.manifest import Away, Manifest

_BOUND = re.compile(r"(>=|<=|==|<|>)(\d+(?:\.\d+)*)")
# Without these nobody could come in to plug anything back.
DOORS = frozenset({"identity", "portal"})


def objections(board: Board, plugged: Iterable[Board]) -> Iterator[str]:
    """Why this board cannot join these, in sentences that say what to do."""
    others = list(plugged)
    versions = {other.name: other.manifest.version for other in others}
    for name, need in board.manifest.needs.items():
        if name in versions and not within(versions[name], need.version):
            yield (
                f"{board.name} needs {name} {need.version}, here is {versions[name]}: "
                f"plug a release of {board.name} that was made for it, or upgrade {name} first."
            )
        if name not in versions and need.away is Away.REQUIRED:
            yield f"{board.name} cannot work without {name}: plug {name} in first."
    for other in others:
        need_back = other.manifest.needs.get(board.name)
        if need_back is not None and not within(board.manifest.version, need_back.version):
            yield (
                f"{other.name} needs {board.name} {need_back.version}, this is "
                f"{board.manifest.version}: plug another release of {board.name}."
            )
    yield from _same_pages(board, others)


def _same_pages(board: Board, others: list[Board]) -> Iterator[str]:
    taken = {
        (page.method, _shape(page.path)): other.name for other in others for page in other.pages
    }
    for page in board.pages:
        owner = taken.get((page.method, _shape(page.path)))
        if owner is not None:
            yield (
                f"{board.name} brings the page {page.path}, which {owner} has already: "
                f"it must use paths that begin with /{board.name}."
            )


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def within(version: str, wanted: str) -> bool:
    """Whether a version lies in a range such as ``>=1,<2``."""
    have = _numbers(version)
    for sign, bound in _BOUND.findall(wanted.replace(" ", "")):
        limit = _numbers(bound)
        fits = {
            ">=": have >= limit,
            "<=": have <= limit,
            "==": have == limit,
            "<": have < limit,
            ">": have > limit,
        }
        if not fits[sign]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.findall(r"\d+", version)[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))


def who_needs(name: str, plugged: Iterable[Board]) -> list[tuple[Manifest, Away, str]]:
    """The boards that call this one, and what each does without it."""
    return [
        (board.manifest, need.away, need.fallback)
        for board in plugged
        if (need := board.manifest.needs.get(name)) is not None
    ]


def who_hears(name: str, plugged: Iterable[Board]) -> list[str]:
    """The boards that react to this one's facts."""
    return sorted(
        board.name
        for board in plugged
        if board.name != name
        and any(r.tag and r.tag.partition(".")[0] == name for r in board.reactions)
    )
