"""Arguments 参数: path, query and form values become a page function's parameters, by type."""

import types
import typing
from typing import Any, get_args, get_origin

import msgspec

from plugward.kernel import codec
from plugward.kernel.refusals import BadRequest

_SEQUENCES = (tuple, list, frozenset)


def convert(
    parameters: dict[str, Any],
    defaults: dict[str, Any],
    given: dict[str, list[str]],
    *,
    strict: bool,
) -> dict[str, Any]:
    """Values for ``parameters``. With ``strict`` (forms) a field nobody asked for is refused."""
    made: dict[str, Any] = {}
    used: set[str] = set()
    for name, kind in parameters.items():
        if _is_message(kind):
            made[name], fields = _message(name, kind, given)
            used |= fields
        elif name in given:
            made[name] = _value(given[name], kind, name)
            used.add(name)
        elif name in defaults:
            made[name] = defaults[name]
        elif _is_optional(kind):
            made[name] = None
        elif get_origin(_plain(kind)) in _SEQUENCES:
            made[name] = get_origin(_plain(kind))()
        elif _plain(kind) is bool:
            made[name] = False  # a box that is not ticked is not sent
        else:
            raise BadRequest(where=f"{name} is missing")
    extra = sorted(name for name in set(given) - used if not name.startswith("_"))
    if strict and extra:
        raise BadRequest(where=f"unknown field {extra[0][:80]}")
    return made


def _message(name: str, kind: Any, given: dict[str, list[str]]) -> tuple[Any, set[str]]:
    """A message out of the whole form; ``address.city`` fills a message inside it."""
    raw: dict[str, Any] = {}
    used: set[str] = set()
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        inner = _inner_message(hint)
        if inner is not None:
            prefix = f"{field.encode_name}."
            nested = {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)}
            if nested:
                raw[field.encode_name], fields = _message(field.name, inner, nested)
                used |= {prefix + f for f in fields}
            continue
        if field.encode_name in given:
            raw[field.encode_name] = _value(given[field.encode_name], hint, field.name)
            used.add(field.encode_name)
        elif _plain(hint) is bool and field.required:
            raw[field.encode_name] = False
        elif get_origin(_plain(hint)) in _SEQUENCES and field.required:
            raw[field.encode_name] = ()
    try:
        return codec.convert(raw, kind, strict=False), used
    except msgspec.ValidationError as error:
        raise BadRequest(where=f"{name}: {_place(error)}"[:400]) from None


def _value(values: list[str], kind: Any, name: str) -> Any:
    plain = _plain(kind)
    if get_origin(plain) in _SEQUENCES:
        raw: Any = [value for value in values if value != ""]
    elif len(values) > 1:
        raise BadRequest(where=f"{name} stands twice")
    else:
        raw = values[0]
        if raw == "" and _is_optional(kind):
            return None
        if _without_none(plain) is bool:
            raw = raw.lower() in ("on", "true", "1", "yes")
    try:
        return codec.convert(raw, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(where=f"{name}: {_place(error)}"[:400]) from None


def _place(error: msgspec.ValidationError) -> str:
    """What was expected and where, never what was given."""
    return str(error).partition(", got")[0].partition("'")[0].rstrip()


def _is_message(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _inner_message(kind: Any) -> Any:
    plain = _without_none(_plain(kind))
    return plain if _is_message(plain) else None


def _plain(kind: Any) -> Any:
    while True:
        if get_origin(kind) is typing.Annotated:
            kind = get_args(kind)[0]
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        else:
            return kind


def _is_optional(kind: Any) -> bool:
    plain = _plain(kind)
    if get_origin(plain) in (typing.Union, types.UnionType):
        return type(None) in get_args(plain)
    return False


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (typing.Union, types.UnionType):
        rest = [part for part in get_args(kind) if part is not type(None)]
        if len(rest) == 1:
            return _plain(rest[0])
    return kind
