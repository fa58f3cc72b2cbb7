"""Incoming 来件: what a route is given, what it gives back, and how it says no."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from plugward.commons.hub.hl7 import Message, parse
from plugward.commons.hub.soap.envelope import Called, Fault, read

Body = Message | bytes | str | Mapping[str, Any]


class Send(NamedTuple):
    """Something to be sent. Messages with the same ``key`` arrive in the order they came in."""

    to: str
    body: Body | None = None
    """``None``: the message as it came in, byte for byte."""
    key: str = ""


class Refuse(Exception):
    """The message is not acceptable: where and why, in words for the sender.

    Nothing is sent. ``again``: it may be acceptable later, so the sender should keep it (AE).
    """

    def __init__(self, at: str, words: str, *, again: bool = False) -> None:
        super().__init__(f"{at}: {words}")
        self.at = at
        self.words = words
        self.again = again


class Incoming:
    """One message on its way in. It never changes: ``incoming.hl7.edit({…})`` makes a copy."""

    def __init__(
        self,
        body: bytes,
        *,
        kind: str,
        sender: str = "",
        headers: Mapping[str, str] | None = None,
        message: Message | None = None,
    ) -> None:
        self.body = body
        self.kind = kind
        """``ADT^A28``; ``POST /orders``; ``SOAP /soap/orders PlaceOrder``."""
        self.sender = sender
        self.headers = dict(headers or {})
        if message is not None:
            self.__dict__["hl7"] = message

    @cached_property
    def hl7(self) -> Message:
        """The body as HL7 v2."""
        return parse(self.body)

    @cached_property
    def json(self) -> Any:
        """The body as JSON; refused when it is none."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            raise Refuse("body", "不是有效的 JSON") from None

    @cached_property
    def soap(self) -> Called:
        """The operation that was called, and its parameters; refused when it is none."""
        try:
            return read(self.body, self.headers.get("content-type", ""))
        except Fault as failure:
            raise Refuse("body", str(failure)) from None

    @cached_property
    def text(self) -> str:
        """The body as UTF-8 text; refused when it is none."""
        try:
            return self.body.decode()
        except UnicodeDecodeError:
            raise Refuse("body", "不是 UTF-8 文本") from None


def encoded(body: Body | None) -> bytes | None:
    """What a lane carries."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, Message):
        return body.raw
    if isinstance(body, str):
        return body.encode()
    return msgspec.json.encode(body)
