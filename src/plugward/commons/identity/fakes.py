"""The fake of identity for other boards' tests: names for ids, and nothing else is asked of it."""

from plugward.vocabulary import CampusCode, DepartmentCode, StaffId

from .contract import Identity, StaffMember


class FakeIdentity(Identity):
    """Knows the people it is told about; every id it is asked for has some name."""

    def __init__(self, *people: StaffMember) -> None:
        self.people = {person.id: person for person in people}

    def knows(self, id: StaffId, name: str, title: str = "") -> StaffMember:
        """Make somebody known."""
        member = StaffMember(
            id=id,
            staff_no=f"D{len(self.people) + 10_001}",
            name=name,
            title=title,
            department=DepartmentCode("C1-CARD"),
        )
        self.people[id] = member
        return member

    async def staff(self, ids: tuple[StaffId, ...]) -> tuple[StaffMember, ...]:
        return tuple(self.people[id] for id in ids if id in self.people)

    async def colleagues(
        self, campus: CampusCode, role: str = "", limit: int = 200
    ) -> tuple[StaffMember, ...]:
        del campus, role
        return tuple(self.people.values())[:limit]
