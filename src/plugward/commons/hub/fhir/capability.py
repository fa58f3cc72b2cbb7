"""Capabilities: what works here, written from the very table that answers requests."""

from collections.abc import Mapping
from typing import Any

from plugward.kernel.fhir import Json, Param, ParamKind, Resource, stamp, tidy
from plugward.kit.time import Instant

FHIR_VERSION = "4.0.1"
_NOTE = (
    "A facade over the hospital's boards: every resource is what its board holds at this moment, "
    "seen with the caller's own rights and campuses. Elements that are not held are refused on "
    "create and update, unknown search parameters are refused, nothing is dropped silently. "
    "Not offered: history and versioned reads, deletes, patches, search by POST, _revinclude, "
    "_lastUpdated, chained parameters, XML, subscriptions."
)
_TRANSACTION = (
    "A transaction may hold one POST or PUT and any number of GETs: each board commits by itself, "
    "so several writes cannot be made atomic and are refused; send them as a batch."
)


def statement(resources: Mapping[str, Resource], *, base: str, at: Instant) -> Json:
    return tidy(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": stamp(at),
            "kind": "instance",
            "software": {"name": "Plugward"},
            "implementation": {"description": "Plugward FHIR facade", "url": base},
            "fhirVersion": FHIR_VERSION,
            "format": ["application/fhir+json", "json"],
            "rest": [
                {
                    "mode": "server",
                    "documentation": _NOTE,
                    "security": {
                        "cors": False,
                        "description": "A session's reference as bearer token; every read is "
                        "audited.",
                    },
                    "resource": [_resource(r) for _, r in sorted(resources.items())],
                    "interaction": [
                        {"code": "batch"},
                        {"code": "transaction", "documentation": _TRANSACTION},
                    ],
                }
            ],
        }
    )


def _resource(resource: Resource) -> Json:
    offered = {
        "read": resource.read,
        "search-type": resource.search,
        "create": resource.create,
        "update": resource.update,
    }
    starts = " or ".join(" with ".join(names) for names in (("_id",), *resource.starts))
    rule = f"A search starts from {starts}." if resource.search else ""
    return {
        "type": resource.type,
        "documentation": " ".join(filter(None, (resource.note, rule))),
        "interaction": [{"code": code} for code, function in offered.items() if function],
        "versioning": "versioned",
        "readHistory": False,
        "updateCreate": False,
        "conditionalCreate": bool(resource.create and resource.conditional),
        "conditionalRead": "not-match",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal", "local"],
        "searchInclude": [
            f"{resource.type}:{name}"
            for name, param in resource.params.items()
            if resource.search and param.kind is ParamKind.REFERENCE
        ],
        "searchParam": _params(resource) if resource.search else None,
    }


def _params(resource: Resource) -> list[Any]:
    own = [(name, param) for name, param in sorted(resource.params.items())]
    shown = [("_id", Param(ParamKind.TOKEN, "id")), *own]
    return [{"name": name, "type": param.kind.value} for name, param in shown]
