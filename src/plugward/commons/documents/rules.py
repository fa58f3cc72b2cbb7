"""From what boards tell to a whole document, and the digest under which it is kept."""

import hashlib
import zlib
from typing import Final

from plugward.kernel.documents import Person, Sheet, Visit

from .cda import CdaDocument, Named, Organisation
from .cda import Finding as Objection
from .contract import Finding, Severity

XML_MAX: Final = 4_000_000


def composed(
    code: str,
    sheet: Sheet,
    person: Person,
    visit: Visit,
    *,
    author: str,
    verifier: str,
    department: str,
    custodian: Organisation,
) -> CdaDocument:
    """Put the three tellers' words together. Names come beside the ids they belong to."""
    return CdaDocument(
        code=code,
        id=sheet.id,
        set=sheet.set,
        version=sheet.version,
        signed_at=sheet.signed_at.replace(microsecond=0),
        person=person,
        author=Named(sheet.author, author),
        verifier=Named(sheet.verifier, verifier) if sheet.verifier else None,
        custodian=custodian,
        department=Named(sheet.department, department),
        visit=visit,
        encounter=sheet.encounter,
        sections=sheet.sections,
        replaces=sheet.replaces,
    )


def told(objections: tuple[Objection, ...]) -> tuple[Finding, ...]:
    """The codec's objections as the contract words them."""
    return tuple(
        Finding(severity=Severity(found.severity), at=found.at[:400], words=found.words[:400])
        for found in objections
    )


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def packed(content: bytes) -> bytes:
    return zlib.compress(content, 6)


def unpacked(content: bytes) -> bytes:
    """The XML again; never more than a document may hold."""
    inflater = zlib.decompressobj()
    found = inflater.decompress(content, XML_MAX)
    if inflater.unconsumed_tail:
        raise ValueError("a kept document is larger than documents are")
    return found
