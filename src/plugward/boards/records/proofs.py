"""The invariants of records, which ``plugward audit`` checks on any hospital."""

from collections.abc import Iterator
from itertools import count

from sqlalchemy import and_, case, func, or_, select

from plugward.kernel import Finding, Reading, proof

from .contract import NoteVersion
from .rules import hash_of
from .tables import versions

PAGE = 500
BREACHES_MAX = 50


@proof("R1", "签名病历从未改变：每一版的哈希与内容一致，更正指向原版")
def signed_versions_never_change(read: Reading) -> Finding:
    """A version still hashes to what was signed; a correction points at what it corrects."""
    examined, breaches, earlier = 0, [], None
    for version in _all(read):
        examined += 1
        if hash_of(version) != version.content_hash or not _follows(version, earlier):
            breaches.append(f"{version.note} v{version.version}")
        earlier = version
    return Finding(examined, (*breaches[:BREACHES_MAX], *_without_one_newest(read)))


@proof("R2", "每份病历都有患者、就诊、院区与签名者，各版一致")
def notes_name_whom_they_are_about(read: Reading) -> Finding:
    """A version names patient, visit, campus and author, all versions of a note the same."""
    first = versions.alias()
    stray = (
        select(versions.c.note, versions.c.version)
        .select_from(
            versions.outerjoin(first, and_(first.c.note == versions.c.note, first.c.version == 1))
        )
        .where(
            or_(
                first.c.note.is_(None),
                versions.c.patient != first.c.patient,
                versions.c.encounter != first.c.encounter,
                versions.c.campus != first.c.campus,
                versions.c.campus == "",
                versions.c.author == "",
            )
        )
        .limit(BREACHES_MAX)
    )
    found = tuple(f"{row.note} v{row.version}" for row in read.rows(stray))
    return Finding(read.count(versions), found)


def _all(read: Reading) -> Iterator[NoteVersion]:
    for offset in count(0, PAGE):
        found = read.find(versions, NoteVersion, limit=PAGE, offset=offset)
        yield from found
        if len(found) < PAGE:
            return


def _follows(version: NoteVersion, earlier: NoteVersion | None) -> bool:
    """A first version corrects nothing; each other one the version before it, by its hash."""
    if version.version == 1:
        return version.corrects is None and version.corrects_hash is None
    return (
        earlier is not None
        and earlier.note == version.note
        and version.corrects == earlier.version == version.version - 1
        and version.corrects_hash == earlier.content_hash
        and version.reason != ""
    )


def _without_one_newest(read: Reading) -> tuple[str, ...]:
    """Notes of which none or several versions count as the newest, or the wrong one does."""
    counted = (
        select(
            versions.c.note,
            func.max(versions.c.version).label("last"),
            func.sum(case((versions.c.is_newest, versions.c.version), else_=0)).label("newest"),
        )
        .group_by(versions.c.note)
        .subquery()
    )
    odd = select(counted.c.note).where(counted.c.last != counted.c.newest).limit(BREACHES_MAX)
    return tuple(f"{row.note} newest" for row in read.rows(odd))
