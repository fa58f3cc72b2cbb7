"""What a shared document says, as plain values: people and places first, then the sections."""

from typing import Final
from uuid import UUID

import msgspec

from plugward.kernel.documents import Person, PersonNumber, Section, Visit
from plugward.kit.time import Instant

# Roots seen in public templates of WS/T 500 documents.
DOCUMENT_ROOT: Final = "2.16.156.10011.1.1"
KIND_CODES: Final = "2.16.156.10011.2.4"
ELEMENT_CODES: Final = "2.16.156.10011.2.2.1"
SEX_CODES: Final = "2.16.156.10011.2.3.3.4"
ICD10: Final = "2.16.156.10011.2.3.3.11"
LOINC: Final = "2.16.840.1.113883.6.1"
CONFIDENTIALITY: Final = "2.16.840.1.113883.5.25"
ORGANISATION_ROOT: Final = "2.16.156.10011.1.5"
VISIT_ROOT: Final = "2.16.156.10011.1.11"
_OWN = UUID("01a21100-0000-7000-8000-00000000c0de")
LOCAL_CODES: Final = f"2.25.{_OWN.int}"
"""The hospital's own codes. Roots under 2.25 are free to anybody who has a UUID (ITU-T X.667)."""
STAFF_ROOT: Final = f"{LOCAL_CODES}.1"
DEPARTMENT_ROOT: Final = f"{LOCAL_CODES}.2"
PERSON_ROOTS: Final = {
    PersonNumber.ID_CARD: "2.16.156.10011.1.3",
    PersonNumber.HEALTH_CARD: "2.16.156.10011.1.19",
    PersonNumber.LOCAL: f"{LOCAL_CODES}.3",
}


class Named(msgspec.Struct, frozen=True):
    """Somebody or something with an id and the name people read."""

    id: str
    name: str


class Organisation(msgspec.Struct, frozen=True):
    """The hospital: its registered code (empty when not configured) and its name."""

    code: str
    name: str


class CdaDocument(msgspec.Struct, frozen=True):
    """One version of one document."""

    code: str
    id: UUID
    set: UUID
    version: int
    signed_at: Instant
    person: Person
    author: Named
    custodian: Organisation
    department: Named
    visit: Visit
    encounter: UUID
    sections: tuple[Section, ...]
    replaces: UUID | None = None
    verifier: Named | None = None
