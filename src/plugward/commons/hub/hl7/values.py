"""Values 值: plain Python data as the text of a field, escaped at every leaf.

A string is a leaf, a tuple is components (a tuple inside it, subcomponents), a list is
repetitions. There is no way to hand in text that is not escaped.
"""

from collections.abc import Sequence

from .charset import MSH_18
from .errors import ErrorCode, Hl7Error
from .escapes import Separators, escape

Leaf = str | int | None
Component = Leaf | tuple[Leaf, ...]
Repetition = Leaf | tuple[Component, ...]
Value = Repetition | list[Repetition]

_SUBCOMPONENTS = 2


def encode_field(value: Value, separators: Separators) -> str:
    """A whole field."""
    if isinstance(value, list):
        return separators.repetition.join(encode_repetition(one, separators) for one in value)
    return encode_repetition(value, separators)


def encode_repetition(value: Value, separators: Separators) -> str:
    """One repetition of a field."""
    return encode_components(value, separators, depth=0)


def encode_components(value: Value, separators: Separators, *, depth: int) -> str:
    """A tuple at depth 0 is components, at depth 1 subcomponents, below it nothing fits."""
    if value is None:
        return ""
    if isinstance(value, list) or (isinstance(value, tuple) and depth >= _SUBCOMPONENTS):
        raise TypeError("nested deeper than HL7 can hold")
    if not isinstance(value, tuple):
        return escape(str(value), separators)
    between = separators.subcomponent if depth else separators.component
    return _joined([encode_components(one, separators, depth=depth + 1) for one in value], between)


def encode_text(text: str, codec: str) -> bytes:
    """The bytes of a message; a character the receiver cannot read is refused."""
    try:
        return text.encode(codec)
    except UnicodeEncodeError as failure:
        raise Hl7Error(
            f"character U+{ord(text[failure.start]):04X} does not exist in {codec}",
            code=ErrorCode.DATA_TYPE,
            at=MSH_18,
            shown=f"字符 U+{ord(text[failure.start]):04X} 不能用 {codec} 表示",
        ) from failure


def _joined(parts: Sequence[str], between: str) -> str:
    return between.join(parts).rstrip(between)
