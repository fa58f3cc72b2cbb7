"""Edge 开放接口: every contract as HTTP and JSON, for systems in any language, with its OpenAPI.

``POST /api/{board}/v1/{operation}`` with the operation's arguments as a JSON object. What the
contract does not know is refused here (inside, on the wire of mixed versions, it is ignored).
"""

import json
import re
from functools import cache
from typing import Any

import msgspec

from plugward.kernel.codec import convert
from plugward.kernel.contracts import Contract, Operation
from plugward.kernel.refusals import BadRequest, Refusal

DEPTH_MAX = 32
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_ERRORS = {
    "401": "Not signed in",
    "403": "No permission",
    "404": "No such record, or none that the caller may see",
    "409": "Not in this state, or somebody was quicker",
    "422": "The request makes no sense",
    "429": "Too many requests; see Retry-After",
    "500": "Our fault; report the trace id",
    "503": "No answer: it may or may not have happened. Repeat with the same X-Request-Id",
}


def decode(operation: Operation, body: bytes) -> Any:
    """The operation's arguments. Unknown, doubled or too deeply nested fields are refused."""
    _check_depth(body)
    try:
        raw = json.loads(body or b"{}", object_pairs_hook=_no_doubles, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        where = str(error) if isinstance(error, _DoubledError) else "not a JSON object"
        raise BadRequest(where=where[:400]) from None
    if not isinstance(raw, dict):
        raise BadRequest(where="not a JSON object")
    try:
        request = convert(raw, operation.request)
    except msgspec.ValidationError as error:
        raise BadRequest(where=_without_value(str(error))) from None
    unknown = _unknown(raw, msgspec.to_builtins(request), "$")
    if unknown:
        raise BadRequest(where=f"unknown field {unknown}"[:400])
    return request


class _DoubledError(ValueError):
    """A field stands twice; which of the two counts must not be a matter of taste."""


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DoubledError("a field stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _check_depth(body: bytes) -> None:
    """Count brackets outside strings before anything parses them."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH_MAX:
            raise BadRequest(where=f"nested deeper than {DEPTH_MAX}")


def _unknown(raw: Any, known: Any, path: str) -> str:
    """The first field of ``raw`` that did not become part of the message."""
    if isinstance(raw, dict) and isinstance(known, dict):
        for name, value in raw.items():
            if name not in known:
                return f"{path}.{name}"
            found = _unknown(value, known[name], f"{path}.{name}")
            if found:
                return found
    elif isinstance(raw, list) and isinstance(known, list | tuple):
        for index, (value, other) in enumerate(zip(raw, known, strict=False)):
            found = _unknown(value, other, f"{path}[{index}]")
            if found:
                return found
    return ""


def _without_value(text: str) -> str:
    """msgspec names the place and the expected type; a quoted value in it is left out."""
    head, _, tail = text.partition(" - at ")
    head = head.partition("'")[0].rstrip() if "Invalid enum value" in head else head
    return f"{head} - at {tail}"[:400] if tail else head[:400]


def refused(refusal: Refusal, sentence: str, trace: str) -> dict[str, Any]:
    """What a refusal is on the wire: code, fields, trace, and a sentence for people."""
    return {
        "code": refusal.code,
        "kind": refusal.kind,
        "fields": msgspec.to_builtins(refusal.values),
        "message": sentence,
        "trace": trace,
    }


# ── OpenAPI ───────────────────────────────────────────────────────────────────────────────────
@cache
def openapi(contract: Contract, title: str, version: str) -> bytes:
    """The OpenAPI 3.1 document of one contract, made from its types."""
    operations = tuple(contract.operations.values())
    kinds = [operation.request for operation in operations]
    answers = [Any if op.returns is type(None) else op.returns for op in operations]
    schemas, components = msgspec.json.schema_components(
        [*kinds, *answers, ErrorAnswer], ref_template="#/components/schemas/{name}"
    )
    requests, results = schemas[: len(kinds)], schemas[len(kinds) : -1]
    paths = {
        f"/api/{contract.name}/v1/{operation.name}": {
            "post": _described(operation, request, result, schemas[-1])
        }
        for operation, request, result in zip(operations, requests, results, strict=True)
    }
    document = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": contract.doc},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-plugward"},
            },
        },
        "security": [{"bearer": []}, {"session": []}],
        "x-events": [str(event.__struct_config__.tag) for event in contract.events],
        "x-refusals": [f"{contract.name}.{kind.__name__}" for kind in contract.refusals],
    }
    return msgspec.json.encode(document)


class ErrorAnswer(msgspec.Struct):
    """An error: code, kind, fields, a sentence, and the trace id to report."""

    code: str
    kind: str
    fields: dict[str, Any]
    message: str
    trace: str


def _described(operation: Operation, request: Any, result: Any, error: Any) -> dict[str, Any]:
    answer = {"description": "Done"}
    if operation.returns is not type(None):
        answer["content"] = {"application/json": {"schema": result}}  # type: ignore[assignment]  # a document, not a record
    described: dict[str, Any] = {
        "operationId": operation.full_name.replace(".", "_"),
        "summary": operation.doc.partition("\n")[0],
        "description": operation.doc,
        "x-kind": operation.kind.value,
        "x-permission": operation.permission,
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {"200": answer}
        | {
            status: {
                "description": text,
                "content": {"application/json": {"schema": error}},
            }
            for status, text in _ERRORS.items()
        },
    }
    if operation.is_command:
        described["parameters"] = [
            {
                "name": "X-Request-Id",
                "in": "header",
                "required": False,
                "description": "A UUIDv7 made by the caller: the same id is executed once.",
                "schema": {"type": "string", "format": "uuid"},
            }
        ]
    return described
