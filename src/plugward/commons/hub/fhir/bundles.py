"""Bundles: batches, and transactions as far as one board can keep them whole."""

from collections.abc import Sequence

import msgspec

from plugward.kernel.fhir import Json, Unfit

ENTRIES_MAX = 100
_ORDER = ("POST", "PUT", "GET")
"""A transaction is carried out in this order, whatever the order of its entries."""


class Step(msgspec.Struct, frozen=True):
    """One entry of a bundle, as a request."""

    number: int
    method: str
    url: str
    body: Json | None
    headers: dict[str, str]

    @property
    def at(self) -> str:
        return f"Bundle.entry[{self.number}]"

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


def steps_of(bundle: Json) -> tuple[Step, ...]:
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Unfit(422, "structure", "Bundle.entry", "a list of entries is needed")
    if len(entries) > ENTRIES_MAX:
        raise Unfit(413, "too-long", "Bundle.entry", f"at most {ENTRIES_MAX} entries")
    return tuple(_step(number, entry) for number, entry in enumerate(entries))


def _step(number: int, entry: Json) -> Step:
    at = f"Bundle.entry[{number}].request"
    request = entry.get("request")
    if not isinstance(request, dict):
        raise Unfit(422, "required", at, "every entry needs a request")
    method, url = request.get("method"), request.get("url")
    if not isinstance(method, str) or not isinstance(url, str) or not url:
        raise Unfit(422, "required", at, "a method and a url are needed")
    names = {"ifMatch": "if-match", "ifNoneExist": "if-none-exist", "ifNoneMatch": "if-none-match"}
    unknown = set(request) - {"method", "url", *names}
    if unknown:
        raise Unfit(422, "not-supported", at, "this kind of condition is not supported")
    headers = {names[n]: str(v) for n, v in request.items() if n in names}
    body = entry.get("resource")
    if body is not None and not isinstance(body, dict):
        raise Unfit(422, "structure", f"Bundle.entry[{number}].resource", "not a resource")
    return Step(number, method, url, body, headers)


def check_atomic(steps: Sequence[Step]) -> None:
    """A transaction with two writes could be torn in half between two boards: refused, whole."""
    for step in steps:
        if step.method not in _ORDER:
            raise Unfit(422, "not-supported", f"{step.at}.request.method", "POST, PUT or GET only")
    writes = [step for step in steps if step.is_write]
    if len(writes) > 1:
        raise Unfit(
            422,
            "not-supported",
            f"{writes[1].at}.request",
            "several writes cannot be made atomic here, because each board commits by itself; "
            "send one write a transaction, or a batch",
        )


def in_turn(steps: Sequence[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: (_ORDER.index(step.method), step.number))
