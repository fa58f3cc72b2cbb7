"""Codec 编码: msgpack between our processes, JSON at the edge, and stable hashes of arguments."""

import threading
from functools import cache
from hashlib import blake2b
from typing import Any

import msgspec

_PACK = msgspec.msgpack.Encoder(decimal_format="string", uuid_format="bytes")
_JSON = msgspec.json.Encoder(decimal_format="string")
# msgspec learns a struct's fields when it is first decoded, and while it learns, another thread
# that decodes the same struct meets a half-known one and dies. So one thread learns at a time.
_LEARNING = threading.RLock()


def pack(value: Any) -> bytes:
    return _PACK.encode(value)


@cache
def _unpacker(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    with _LEARNING:
        return msgspec.msgpack.Decoder(kind)


def unpack(data: bytes, kind: Any) -> Any:
    """Decode and check against ``kind``; unknown fields are ignored (mixed versions)."""
    return _unpacker(kind).decode(data)


def to_json(value: Any) -> bytes:
    return _JSON.encode(value)


@cache
def _json_decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    with _LEARNING:
        return msgspec.json.Decoder(kind)


def from_json(data: bytes, kind: Any) -> Any:
    return _json_decoder(kind).decode(data)


def convert(value: Any, kind: Any, *, strict: bool = True) -> Any:
    """Plain data as ``kind``, checked."""
    _json_decoder(kind)  # learnt before it is used
    return msgspec.convert(value, kind, strict=strict)


def hash_of(value: Any) -> bytes:
    """Sixteen bytes that two equal requests share."""
    return blake2b(pack(value), digest_size=16).digest()
