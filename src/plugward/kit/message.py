"""Messages 报文: frozen, keyword-only structs, and the class of data each text field carries."""

from typing import Annotated, Any, Self, dataclass_transform

import msgspec
from msgspec import Meta


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class MessageMeta(msgspec.StructMeta):
    """Makes every message frozen and keyword-only without each class saying so."""

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any
    ) -> Any:
        options.setdefault("frozen", True)
        options.setdefault("kw_only", True)
        return super().__new__(mcls, name, bases, namespace, **options)


class Message(msgspec.Struct, metaclass=MessageMeta):
    """A value that crosses a border. Unknown fields are ignored on the internal wire."""

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)

    def fields(self) -> dict[str, Any]:
        """The fields by name, not converted, for building a wider message."""
        return msgspec.structs.asdict(self)


# What a text field may hold (SEC-DATA-01). ``plugward check`` refuses an unmarked ``str``.
# The length is the hard limit of the wire, the class decides on masking, logging and encryption.
Plain = Annotated[str, Meta(max_length=400, extra={"data_class": "none"})]
"""A code, a label or a catalogue name: says nothing about a person."""
Identifying = Annotated[str, Meta(max_length=400, extra={"data_class": "identifier"})]
"""A person's name, or the end of a number that tells two people apart."""
Masked = Annotated[str, Meta(max_length=400, extra={"data_class": "identifier", "masked": True})]
"""A person's number, phone or address: shown whole only to who may see it (SEC-DATA-09)."""
Clinical = Annotated[str, Meta(max_length=20_000, extra={"data_class": "phi"})]
"""Free text or a value about somebody's health."""
Sensitive = Annotated[str, Meta(max_length=20_000, extra={"data_class": "phi5"})]
"""Clinical text of the highest class 五级: psychiatric, HIV, reproductive."""
Secret = Annotated[str, Meta(max_length=4_000, extra={"data_class": "secret"})]
"""A password, token or key. Never stored, printed or logged as it is."""
