"""Running the checks: one board with all its rules, and all boards together."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..binding import fits
from ..board import Board
from ..manifest import Manifest, ManifestError, read_manifest
from .contracts import check_events, check_operations, check_refusals, unaudited
from .fields import unclassed_texts
from .findings import Finding, Findings, Report
from .grades import ABOVE, earned, is_higher
from .imports import check_imports
from .parts import (
    check_manifest,
    check_pages,
    check_readme,
    check_settings,
    check_tables,
    check_templates,
)
from .schema import broken_promises, released_schema, schema_of

_RULES = (
    check_manifest,
    check_operations,
    check_refusals,
    check_events,
    unclassed_texts,
    check_tables,
    check_pages,
    check_templates,
    check_settings,
    check_readme,
    check_imports,
)


def check_board(board: Board, others: Sequence[Board] = ()) -> Report:
    """Everything about one board; ``others`` are the boards it may meet."""
    findings = [finding for rule in _RULES for finding in rule(board)]
    findings += _check_needs(board, {other.name: other for other in others})
    notes = [*unaudited(board), *_not_offered(board)]
    findings += _check_released(board, notes)
    grade, lacking = earned(board, clean=not findings)
    if is_higher(board.manifest.grade, grade) and lacking != (ABOVE,):
        what = f"says {board.manifest.grade}, but shows {grade}; it lacks {'; '.join(lacking)}"
        findings.append(Finding("grade", f"{board.name} [board]", what))
    contract = board.contract
    return Report(
        board=board.name,
        title=board.manifest.title,
        version=board.manifest.version,
        declared=board.manifest.grade,
        earned=grade,
        operations=len(contract.operations) if contract else 0,
        events=len(contract.events) if contract else 0,
        refusals=len(contract.refusals) if contract else 0,
        tables=len(board.tables.own),
        pages=len(board.pages),
        findings=tuple(findings),
        notes=(*notes, *(f"the next grade lacks {part}" for part in lacking)),
    )


def _not_offered(board: Board) -> tuple[str, ...]:
    """What callers at a campus of this board are told to do in the other system."""
    if not board.not_offered:
        return ()
    return (f"does not offer of {board.manifest.implements}: {', '.join(board.not_offered)}",)


def _check_released(board: Board, notes: list[str]) -> list[Finding]:
    now, released = schema_of(board), released_schema(board)
    if now is None:
        return []
    if released is None:
        notes.append("its contract has not been released (plugward check --export)")
        return []
    return list(broken_promises(released, now))


def _check_needs(board: Board, others: dict[str, Board]) -> Findings:
    """The boards that are installed have versions that fit, and no need leads back."""
    wanted = board.manifest.implements
    if wanted in others and not fits(
        others[wanted].manifest.version, board.manifest.implements_version
    ):
        have = others[wanted].manifest.version
        what = f"made for {wanted} {board.manifest.implements_version}, but {have} is installed"
        yield Finding("implements", f"{board.name} [implements]", what)
    for name, need in board.manifest.needs.items():
        other = others.get(name)
        if other is not None and not fits(other.manifest.version, need.version):
            yield Finding(
                "needs",
                f"{board.name} [needs]",
                f"wants {name} {need.version}, but {other.manifest.version} is installed",
            )
    manifests = {name: other.manifest for name, other in others.items()}
    cycle = cycle_through(board.name, manifests | {board.name: board.manifest})
    if cycle:
        yield Finding(
            "needs",
            f"{board.name} [needs]",
            f"these boards call each other: {' → '.join(cycle)}; let one hear events instead",
        )


def check_manifests(paths: Iterable[Path]) -> tuple[list[Manifest], list[Finding]]:
    """The manifests alone, without importing any board's code."""
    manifests: list[Manifest] = []
    findings: list[Finding] = []
    for path in paths:
        try:
            manifest = read_manifest(path)
        except ManifestError as error:
            where = f"{path.parent.name}/board.toml"
            findings += [Finding("manifest", where, problem) for problem in error.problems]
            continue
        manifests.append(manifest)
    by_name = {manifest.name: manifest for manifest in manifests}
    told: set[frozenset[str]] = set()
    for manifest in manifests:
        for name, need in manifest.needs.items():
            if name in by_name and not fits(by_name[name].version, need.version):
                what = f"wants {name} {need.version}, but it is {by_name[name].version}"
                findings.append(Finding("needs", f"{manifest.name} [needs]", what))
        cycle = cycle_through(manifest.name, by_name)
        if cycle and frozenset(cycle) not in told:
            told.add(frozenset(cycle))
            what = f"these boards call each other: {' → '.join(cycle)}"
            findings.append(Finding("needs", f"{manifest.name} [needs]", what))
    return manifests, findings


def cycle_through(name: str, manifests: dict[str, Manifest]) -> tuple[str, ...]:
    """The way of needs that leads from a board back to it, if there is one."""

    def walk(path: tuple[str, ...], seen: set[str]) -> tuple[str, ...]:
        for need in manifests[path[-1]].needs:
            if need == name:
                return (*path, need)
            if need in manifests and need not in seen:
                seen.add(need)
                found = walk((*path, need), seen)
                if found:
                    return found
        return ()

    return walk((name,), set()) if name in manifests else ()
