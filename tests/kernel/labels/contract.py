"""Labels 标签: one for each fact about a parcel."""

from typing import Protocol
from uuid import UUID

from plugward.kernel import Message, Plain, contract, query


class Label(Message):
    id: UUID
    parcel: UUID
    text: Plain
    number: int


@contract("labels")
class Labels(Protocol):
    """Printing."""

    @query(permission="labels.read")
    async def of(self, parcel: UUID) -> tuple[Label, ...]:
        """The labels of one parcel, in the order they were printed."""
        ...

    @query(permission="labels.read")
    async def count(self) -> int:
        """How many labels there are."""
        ...

    @query(permission="labels.read")
    async def owner_of(self, parcel: UUID) -> Plain:
        """Asks the parcels board; its refusals pass."""
        ...
