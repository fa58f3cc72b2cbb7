"""The invariants of shared documents, which ``plugward audit`` checks on any hospital."""

from sqlalchemy import select

from plugward.kernel import Finding, Reading, proof

from .rules import digest, unpacked
from .tables import shared

EXAMINED_MAX = 200_000
BREACHES_MAX = 50


@proof("R1", "签出的文档从未改变：内容与其摘要一致，所替代的版本存在且属同一患者")
def shared_documents_never_change(read: Reading) -> Finding:
    """Every kept version has its digest; a successor belongs to the same set and patient."""
    columns = shared.c
    statement = select(
        columns.id, columns.set, columns.patient, columns.sha256, columns.content, columns.replaces
    ).limit(EXAMINED_MAX)
    rows = list(read.rows(statement))
    by_id = {row.id: row for row in rows}
    breaches = []
    for row in rows:
        if digest(unpacked(row.content)) != row.sha256:
            breaches.append(f"{row.id}: its content has another digest")
        earlier = by_id.get(row.replaces)
        if earlier is not None and (earlier.set, earlier.patient) != (row.set, row.patient):
            breaches.append(f"{row.id}: replaces a document of another set or patient")
    return Finding(len(rows), tuple(breaches[:BREACHES_MAX]))
