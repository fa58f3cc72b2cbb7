"""FHIR: a report version as DiagnosticReport, each of its results as Observation.

Reading either opens the report: whoever did is told if it is withdrawn.
"""

import re
from uuid import UUID

from plugward.boards.patients.contract import Patients
from plugward.kernel.fhir import (
    Found,
    Json,
    Query,
    Resource,
    actor,
    concept,
    moment,
    refer,
    reference,
    stamp,
    system,
    tidy,
    token,
    uuid_of,
)
from plugward.vocabulary import PatientId, ReportId

from .contract import Flag, Lab, Report, ReportState, Result

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
LAB_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
UNITS = {
    "10^9/L": "10*9/L",
    "10^12/L": "10*12/L",
    "g/L": "g/L",
    "mg/L": "mg/L",
    "mg/dL": "mg/dL",
    "mmol/L": "mmol/L",
    "umol/L": "umol/L",
    "μmol/L": "umol/L",
    "U/L": "U/L",
    "ng/mL": "ng/mL",
    "ng/L": "ng/L",
    "fL": "fL",
    "pg": "pg",
    "%": "%",
    "s": "s",
}
"""Shown unit → UCUM, where it is certain. Other units are shown and carry no code."""
REPORTS_MAX = 50
_NUMBER = re.compile(r"(<=|>=|<|>)?(-?\d+(?:\.\d+)?)")


def report_resource(report: Report) -> Json:
    return tidy(
        {
            "resourceType": "DiagnosticReport",
            "id": str(report.id),
            "identifier": [{"system": system("lab-report"), "value": report.number}],
            "basedOn": [refer("ServiceRequest", line) for line in report.requests],
            "status": status_of(report),
            "category": [concept(LAB_SECTION, "LAB", "Laboratory")],
            "code": {"text": report.title_zh},
            "subject": refer("Patient", report.patient),
            "encounter": refer("Encounter", report.encounter),
            "effectiveDateTime": stamp(report.collected_at),
            "issued": stamp(report.issued_at),
            "performer": [refer("Organization", report.department)],
            "resultsInterpreter": [actor(report.verified_by)],
            "result": [
                refer("Observation", _id(report, result), result.name_zh)
                for result in report.results
            ],
        }
    )


def observation_resource(report: Report, result: Result) -> Json:
    coding = [{"system": LOINC, "code": result.loinc}] if result.loinc else []
    coding.append({"system": system("item"), "code": result.item, "display": result.name_zh})
    limits = {"low": _limit(result, result.low), "high": _limit(result, result.high)}
    flag = result.flag.value
    return tidy(
        {
            "resourceType": "Observation",
            "id": _id(report, result),
            "basedOn": [refer("ServiceRequest", line) for line in report.requests],
            "status": status_of(report),
            "category": [concept(CATEGORY, "laboratory")],
            "code": {"coding": coding, "text": result.name_zh},
            "subject": refer("Patient", report.patient),
            "encounter": refer("Encounter", report.encounter),
            "effectiveDateTime": stamp(report.collected_at),
            "issued": stamp(report.issued_at),
            "performer": [actor(report.verified_by)],
            **_value(result),
            "interpretation": [concept(INTERPRETATION, flag)]
            if result.flag is not Flag.NOT_JUDGED
            else None,
            "referenceRange": [limits] if limits["low"] or limits["high"] else None,
        }
    )


def status_of(report: Report) -> str:
    if report.state is ReportState.WITHDRAWN:
        return "entered-in-error"
    return "final" if report.version == 1 else "corrected"


def _id(report: Report, result: Result) -> str:
    return f"{report.id}-{result.item}"


def _value(result: Result) -> Json:
    """A number as a quantity, ``<0.5`` with its comparator; anything else as it was written."""
    found = _NUMBER.fullmatch(result.value.strip())
    if found is None or not _has_unit(result):
        return {"valueString": result.value}
    quantity = {"comparator": found[1], **_quantity(result, float(found[2]))}
    return {"valueQuantity": quantity}


def _quantity(result: Result, value: float | None) -> Json:
    whole = int(value) if value is not None and value.is_integer() else value
    code = UNITS.get(result.unit)
    return {
        "value": whole,
        "unit": result.unit,
        "system": UCUM if code else None,
        "code": code,
    }


def _limit(result: Result, value: object) -> Json | None:
    if value is None:
        return None
    return _quantity(result, float(str(value)))


def _has_unit(result: Result) -> bool:
    return result.unit not in ("qual", "text", "type", "")


# ── reading ──────────────────────────────────────────────────────────────────────────────────


async def read_report(id_: str, lab: Lab) -> Json | None:
    own = uuid_of(id_)
    return report_resource(await lab.report(ReportId(own))) if own else None


async def read_observation(id_: str, lab: Lab) -> Json | None:
    own = uuid_of(id_[:36])
    if own is None:
        return None
    report = await lab.report(ReportId(own))
    return next(
        (observation_resource(report, r) for r in report.results if _id(report, r) == id_), None
    )


async def many_observations(ids: tuple[str, ...], lab: Lab) -> list[Json]:
    """Each report is opened once."""
    wanted: dict[UUID, set[str]] = {}
    for id_ in ids:
        own = uuid_of(id_[:36])
        if own is not None:
            wanted.setdefault(own, set()).add(id_)
    found = []
    for own, results in wanted.items():
        report = await lab.report(ReportId(own))
        found += [
            observation_resource(report, r) for r in report.results if _id(report, r) in results
        ]
    return found


async def _reports(query: Query, lab: Lab, patients: Patients) -> tuple[list[Report], bool]:
    persons = [
        own
        for id_ in query.ids("patient", "subject")
        for own in await patients.person_of(PatientId(id_))
    ]
    if not persons:
        return [], True
    lines = await lab.reports_of(tuple(dict.fromkeys(persons)), "status" not in query, REPORTS_MAX)
    wanted = set(query.ids("encounter"))
    if "encounter" in query:
        chosen = [line for line in lines if line.encounter in wanted]
    else:
        chosen = list(lines)
    return [await lab.report(line.id) for line in chosen], len(lines) < REPORTS_MAX


async def find_reports(query: Query, lab: Lab, patients: Patients) -> Found:
    found, is_whole = await _reports(query, lab, patients)
    return Found([report_resource(report) for report in found], is_whole)


async def find_observations(query: Query, lab: Lab, patients: Patients) -> Found:
    found, is_whole = await _reports(query, lab, patients)
    results = [observation_resource(report, r) for report in found for r in report.results]
    return Found(results, is_whole)


_PARAMS = {
    "patient": reference("subject", "Patient", is_kept=True),
    "subject": reference("subject", "Patient", is_kept=True),
    "encounter": reference("encounter", "Encounter"),
    "based-on": reference("basedOn", "ServiceRequest"),
    "status": token("status"),
    "category": token("category"),
    "code": token("code"),
    "date": moment("effectiveDateTime"),
}
_STARTS = (("patient",), ("subject",))
_NOTE = (
    "Of the person's newest 50 reports. Withdrawn ones (entered-in-error) are found only when a "
    "status is asked for. Reading opens the report: the reader is told of its withdrawal."
)

resources = (
    Resource(
        type="DiagnosticReport",
        read=read_report,
        search=find_reports,
        params=_PARAMS
        | {
            "identifier": token("identifier"),
            "issued": moment("issued"),
            "result": reference("result", "Observation"),
        },
        starts=_STARTS,
        note=_NOTE,
    ),
    Resource(
        type="Observation",
        read=read_observation,
        many=many_observations,
        search=find_observations,
        params=_PARAMS,
        starts=_STARTS,
        note=f"Laboratory results. {_NOTE}",
    ),
)
