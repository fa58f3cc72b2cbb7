"""Staff 人员: the demonstration hospital's people, and as many more as a big day needs."""

from collections.abc import Iterable
from math import ceil

from plugward.commons.identity.seed import DEMO_STAFF, demo_staff_id
from plugward.vocabulary import CampusCode, DepartmentCode

from .cast import Member

VISITS_A_DOCTOR = 55
VISITS_A_WINDOW = 180
_CLINICS = (
    "C1-CARD", "C1-RESP", "C1-GI", "C1-ENDO", "C2-CARD", "C1-DERM", "C3-CARD", "C1-ORTH",
    "C2-RESP", "C1-ENT", "C1-OPH", "C3-RESP", "C2-GI", "C1-GS",
)  # fmt: skip
_TITLES = ("主治医师", "主治医师", "副主任医师", "主任医师")


def demo_members() -> tuple[Member, ...]:
    """Everybody who has a log-in in the demo, once a campus; a doctor has clinic at one of them."""
    doctors = 0
    found = []
    for person in DEMO_STAFF:
        doctors += person.role == "doctor"
        for campus in person.campuses[:1] if person.role == "doctor" else person.campuses:
            found.append(
                Member(
                    id=person.id,
                    name=person.name,
                    title=person.title,
                    role=person.role,
                    campus=campus,
                    department=person.department,
                    room=str(doctors) if person.role == "doctor" else "",
                )
            )
    return tuple(found)


def day_staff(visits: int, campuses: Iterable[str] = ("C1", "C2", "C3")) -> tuple[Member, ...]:
    """Enough doctors, windows and desks for so many visits; the same for the same number."""
    doctors = max(4, ceil(visits / VISITS_A_DOCTOR))
    staff = [_doctor(number) for number in range(doctors)]
    open_campuses = sorted({m.campus for m in staff} & set(campuses))
    windows = max(1, ceil(visits / VISITS_A_WINDOW / len(open_campuses)))
    for campus in open_campuses:
        for role in ("registrar", "cashier", "triage-nurse", "nurse", "lab-technician"):
            staff.append(_other(role, CampusCode(campus), 0))
        staff += [_other("pharmacist", CampusCode(campus), n) for n in range(windows)]
    return tuple(staff)


def _doctor(number: int) -> Member:
    department = _CLINICS[number % len(_CLINICS)]
    return Member(
        id=demo_staff_id(f"day doctor {number}"),
        name=f"模拟医生{number + 1:02}",
        title=_TITLES[number % len(_TITLES)],
        role="doctor",
        campus=CampusCode(department[:2]),
        department=DepartmentCode(department),
        room=str(number + 1),
    )


def _other(role: str, campus: CampusCode, number: int) -> Member:
    return Member(
        id=demo_staff_id(f"day {role} {campus} {number}"),
        name=f"模拟{role}{number + 1}",
        title="",
        role=role,
        campus=campus,
    )
