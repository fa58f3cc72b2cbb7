"""The demo's people: invented names, one person one account, ids that follow from the number."""

from uuid import UUID

from plugward.kernel import Message
from plugward.kit.ids import seeded_id
from plugward.kit.message import Identifying, Plain
from plugward.vocabulary import CampusCode, DepartmentCode, StaffId

from .contract import AccountKind

_EPOCH_MS = 1_767_196_800_000  # 2026-01-01 00:00 +08:00


class DemoStaff(Message):
    """One person of the demo hospital."""

    staff_no: Plain
    name: Identifying
    title: Plain
    role: Plain
    campuses: tuple[CampusCode, ...]
    department: DepartmentCode
    kind: AccountKind = AccountKind.PERSON

    @property
    def id(self) -> StaffId:
        return demo_staff_id(self.staff_no)


def demo_staff_id(staff_no: str) -> StaffId:
    """The id of a demo person, the same in every data folder."""
    return StaffId(_id(f"staff {staff_no}"))


def demo_grant_id(staff_no: str) -> UUID:
    return _id(f"grant {staff_no}")


def _id(seed: str) -> UUID:
    return seeded_id(_EPOCH_MS, f"plugward demo {seed}".encode())


_PEOPLE = """
D10247 林予安 副主任医师 doctor C1 C1-CARD
D10101 祝修清 主任医师 doctor C1 C1-CARD
D10188 温礼 副主任医师 doctor C1 C1-CARD
D10305 方知微 主治医师 doctor C1,C2 C1-ENDO
D10416 苏见川 主治医师 doctor C1 C1-RESP
D10533 任书瑶 住院医师 doctor C1 C1-EM
D20114 江远帆 副主任医师 doctor C2 C2-CARD
D20230 沈怀瑾 主治医师 doctor C2 C2-RESP
D30108 柳长青 主治医师 doctor C3 C3-CARD
N10052 何静姝 主管护师 nurse C1 C1-CARD
N20031 罗映雪 护师 nurse C2 C2-CARD
T10011 宋佳宁 主管护师 triage-nurse C1 C1-EM
R10021 唐小满 挂号员 registrar C1 C1-CASH
C10036 顾晓棠 收费员 cashier C1 C1-CASH
C20012 田若水 收费员 cashier C2 C2-CASH
P10043 许知行 主管药师 pharmacist C1 C1-OPHX
P10057 陆明远 药师 pharmacist C1 C1-OPHX
P20019 白芷兰 药师 pharmacist C2 C2-OPHX
L10008 程思齐 主管技师 lab-technician C1 C1-LAB
L20006 顾南乔 技师 lab-technician C2 C2-LAB
M10001 韩守正 医务处处长 manager C1,C2,C3 C1-MAD
S10005 叶清和 主数据管理员 steward C1,C2,C3 C1-IT
I10003 章以宁 集成工程师 integration-engineer C1,C2,C3 C1-IT
A10001 秦安 系统管理员 administrator C1,C2,C3 C1-IT
TV1001 候诊厅大屏 一层候诊厅 screen C1 C1-CARD
"""


def _person(line: str) -> DemoStaff:
    staff_no, name, title, role, campuses, department = line.split()
    return DemoStaff(
        staff_no=staff_no,
        name=name,
        title=title,
        role=role,
        campuses=tuple(CampusCode(c) for c in campuses.split(",")),
        department=DepartmentCode(department),
        kind=AccountKind.SCREEN if role == "screen" else AccountKind.PERSON,
    )


DEMO_STAFF = tuple(_person(line) for line in _PEOPLE.strip().splitlines())
