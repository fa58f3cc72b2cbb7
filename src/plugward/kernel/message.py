"""Events 事件: facts with a name on every transport and an ordering key."""

from operator import attrgetter
from typing import Any, ClassVar, dataclass_transform

import msgspec

from plugward.kit.message import Message, MessageMeta


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class EventMeta(MessageMeta):
    """Takes ``key=`` off an event's class line before msgspec sees it."""

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        key: str = "",
        **options: Any,
    ) -> Any:
        cls = super().__new__(mcls, name, bases, namespace, **options)
        cls.ordering_key = key
        cls.tag = str(cls.__struct_config__.tag)
        cls.key_of = attrgetter(key) if key else None
        return cls


class Event(Message, metaclass=EventMeta):
    """A fact of one board: ``class X(Event, tag="board.subject.past.v1", key="field.path")``.

    The tag is its name on every transport. Facts with the same key are seen in the order they
    happened, by every consumer.
    """

    ordering_key: ClassVar[str] = ""
    tag: ClassVar[str] = ""
    key_of: ClassVar[Any] = None


def tag_of(event: type[Event]) -> str:
    """The event's name on the wire."""
    return event.tag
