"""What speaks against a board before it is plugged in, and who would miss it once it is out."""

import re
from collections.abc import Iterable, Iterator

from plugward.kernel.board import Board
from plugward.kernel.manifest import Away, Manifest

from .words import ActRefused

_BOUND = re.compile(r"(>=|<=|==|<|>)(\d+(?:\.\d+)*)")
# Without these nobody could come in to plug anything back.
DOORS = frozenset({"identity", "portal"})
_WITHOUT = {
    Away.REQUIRED: "refuses what needs it",
    Away.SKIP: "goes on without it",
}


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


def who_needs(name: str, plugged: Iterable[Manifest]) -> list[tuple[str, Away, str]]:
    """The boards that call this one, and what each does without it."""
    return [
        (manifest.name, need.away, need.fallback)
        for manifest in plugged
        if (need := manifest.needs.get(name)) is not None
    ]


def without(name: str, plugged: Iterable[Manifest], *, anyway: bool) -> list[str]:
    """What each board does once this one is out, in words. Raises ``ActRefused``."""
    if name in DOORS:
        raise ActRefused(f"{name} is the hospital's door: without it nobody could come in.")
    needing = who_needs(name, plugged)
    stranded = [caller for caller, away, _ in needing if away is Away.REQUIRED]
    if stranded and not anyway:
        raise ActRefused(
            f"{', '.join(stranded)} cannot work without {name}. Unplug them first, "
            f"or say --anyway: then they refuse what needs it until it is back."
        )
    return [
        f"{caller} {_WITHOUT.get(away, f'falls back: {fallback}')}"
        for caller, away, fallback in needing
    ]


def who_hears(name: str, plugged: Iterable[Board]) -> list[str]:
    """The boards that react to this one's facts."""
    return sorted(
        board.name
        for board in plugged
        if board.name != name
        and any(r.tag and r.tag.partition(".")[0] == name for r in board.reactions)
    )
