"""The cast 角色: who acts in the simulated hospital, with the rights the boards' manifests give."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from uuid import UUID

import msgspec

from plugward.kernel.envelope import Actor, ActorKind, acting_as
from plugward.kernel.runtime import Runtime
from plugward.kit.ids import seeded_id
from plugward.kit.time import Clock, milliseconds
from plugward.vocabulary import CampusCode, DepartmentCode, StaffId


class Member(msgspec.Struct, frozen=True):
    """A member of staff as the simulation needs it."""

    id: StaffId
    name: str
    title: str
    role: str
    campus: CampusCode
    department: DepartmentCode = DepartmentCode("")
    room: str = ""


class Ids:
    """Ids of a simulated day: from its clock and its seed, so that a day can be replayed."""

    def __init__(self, clock: Clock, chance: Random) -> None:
        self._clock = clock
        self._chance = chance

    def new(self) -> UUID:
        return seeded_id(milliseconds(self._clock.now()), self._chance.randbytes(10))


class Cast:
    """Makes actors of staff members and lets them act."""

    def __init__(self, runtime: Runtime, ids: Ids) -> None:
        self._runtime = runtime
        self._ids = ids

    def permissions(self, role: str) -> frozenset[str]:
        """What the plugged boards give a role by default."""
        return frozenset(
            permission
            for board in self._runtime.boards.values()
            for permission in board.manifest.roles.get(role, ())
        )

    def actor(self, member: Member) -> Actor:
        return Actor(
            id=f"staff:{member.id}",
            kind=ActorKind.PERSON,
            permissions=self.permissions(member.role),
            campuses=(member.campus,),
            departments=(member.department,) if member.department else (),
            roles=(member.role,),
        )

    @contextmanager
    def acting(self, actor: Actor) -> Iterator[UUID]:
        """One request of this actor; its id."""
        request = self._ids.new()
        with acting_as(actor, request=request):
            yield request
