"""Codec 编码: msgpack between our processes, JSON at the edge, and stable hashes of arguments."""

from functools import cache
from hashlib import blake2b
from typing import Any

import msgspec

_PACK = msgspec.msgpack.Encoder(decimal_format="string", uuid_format="bytes")
_JSON = msgspec.json.Encoder(decimal_format="string")


def pack(value: Any) -> bytes:
    return _PACK.encode(value)


@cache
def _unpacker(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def unpack(data: bytes, kind: Any) -> Any:
    """Decode and check against ``kind``; unknown fields are ignored (mixed versions)."""
    return _unpacker(kind).decode(data)


def to_json(value: Any) -> bytes:
    return _JSON.encode(value)


@cache
def _json_decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def from_json(data: bytes, kind: Any) -> Any:
    return _json_decoder(kind).decode(data)


def hash_of(value: Any) -> bytes:
    """Sixteen bytes that two equal requests share."""
    return blake2b(pack(value), digest_size=16).digest()
