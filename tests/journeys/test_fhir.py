"""FHIR over HTTP: another system reads a visit, registers, orders, takes back.

外部系统经 FHIR 读取一次就诊的全部资料，建档、开单、撤回；凡出错必有 OperationOutcome。
"""

import asyncio
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

from plugward.boards.lab.contract import Collect, EnterResults, Lab, NewResult
from plugward.boards.patients.contract import Patients
from plugward.boards.pharmacy.contract import Pharmacy
from plugward.boards.records.contract import (
    Diagnosis,
    NoteContent,
    Records,
    SignNote,
)
from plugward.commons.identity.contract import DemoSignIn, Door, Identity
from plugward.commons.identity.demo import Login
from plugward.commons.identity.seed import DEMO_STAFF
from plugward.commons.portal.gateway import Gateway
from plugward.commons.portal.guard import LOOPBACK_NAMES
from plugward.commons.portal.server import serve
from plugward.commons.portal.tests.conftest import HOST, Reply, send
from plugward.kernel.dispatch import Transport
from plugward.kernel.envelope import ANONYMOUS, acting_as
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.sim.people import id_card
from plugward.vocabulary import NoteId, ReportId, Sex, SpecimenId

from .house import AMLODIPINE, C1, HBA1C, LEFT_OUT, House, drug, lab

ROOT = Path(__file__).parents[2]
BASE = f"http://{HOST}/fhir/R4"
CARD = "urn:oid:2.16.156.10011.1.3"
ITEM = "urn:plugward:item"
DOCTOR, REGISTRAR, ELSEWHERE, CASHIER = "D10247", "R10021", "D20114", "C10036"
PEOPLE = tuple(
    Login(
        staff_no=person.staff_no,
        password="corr-ect-hrse",  # noqa: S106 - of invented people
        name=person.name,
        title=person.title,
        role=person.role,
        campus=person.campuses[0],
    )
    for person in DEMO_STAFF
    if person.staff_no in (DOCTOR, REGISTRAR, ELSEWHERE, CASHIER)
)


class Clinic:
    """A hospital after one visit, and systems that ask it by HTTP."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.house = House(
            folder,
            Transport.STRICT,
            left_out=LEFT_OUT - {"identity", "portal"} | {"documents"},
            settings={
                "identity": {"demo": True},
                "portal": {"rate_per_s": 10_000, "rate_burst": 10_000},
            },
        )
        self.tokens: dict[str, str] = {}
        self.seen: list[Any] = []
        self.run(self._open())
        self.run(self._visit())

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def _open(self) -> None:
        await self.house.start()
        runtime = self.house.runtime
        await runtime.plugged["identity"].service.demo.admit(PEOPLE)
        self.gateway = Gateway(runtime, hosts=LOOPBACK_NAMES, demo=True)
        for person in PEOPLE:
            await self._sign_in(person.staff_no)

    async def _sign_in(self, staff_no: str) -> None:
        self.tokens[staff_no] = f"{staff_no}-{new_id().hex}{new_id().hex}"
        with acting_as(msgspec.structs.replace(ANONYMOUS, address="127.0.0.1")):
            await self.house.client(Identity).demo_sign_in(
                DemoSignIn(
                    staff_no=staff_no,
                    token=self.tokens[staff_no],
                    door=Door(host="127.0.0.1"),
                )
            )

    async def _visit(self) -> None:
        """陈卫国: two drugs' worth of a visit, with a result and a diagnosis."""
        house = self.house
        self.patient = (await house.register("陈卫国", 101)).patient
        self.visit = await house.arrive(self.patient.id)
        await house.call_and_serve()
        self.group = await house.sign(self.visit, (drug(AMLODIPINE, 2), lab(HBA1C)))
        await house.quiet()
        await house.pay_all(self.visit.encounter)
        await self._hand_out()
        self.report = await self._measure()
        with acting_as(house.actor("doctor")):
            await house.client(Records).sign(
                SignNote(
                    id=NoteId(new_id()),
                    encounter=self.visit.encounter,
                    patient=self.patient.id,
                    campus=C1,
                    department=self.visit.department,
                    content=NoteContent(complaint="头晕三天", diagnoses=(Diagnosis(icd10="I10"),)),
                )
            )
        await house.quiet()

    async def _hand_out(self) -> None:
        pharmacy, one, other = self.house.client(Pharmacy), a_tester(), a_tester(id="second")
        with acting_as(one):
            task = await pharmacy.call_next(C1, "2号窗")
        with acting_as(one):
            sheet = await pharmacy.task(task.id)
        for line in sheet.lines:
            for _ in range(line.open):
                with acting_as(one):
                    await pharmacy.scan(task.id, line.item)
        with acting_as(other):
            await pharmacy.dispense(task.id)

    async def _measure(self) -> Any:
        laboratory, tube = self.house.client(Lab), SpecimenId(new_id())
        line = next(one for one in self.group.lines if one.item == HBA1C)
        with acting_as(a_tester()):
            drawn = await laboratory.collect(Collect(id=tube, requests=(line.id,)))
        with acting_as(a_tester()):
            await laboratory.receive(drawn.barcode)
        with acting_as(a_tester()):
            await laboratory.enter(
                EnterResults(specimen=tube, results=(NewResult(item=HBA1C, value="7.1"),))
            )
        with acting_as(a_tester(id="verifier")):
            return await laboratory.verify(tube, ReportId(new_id()))

    # ── asking ──────────────────────────────────────────────────────────────────────────────
    def ask(
        self, method: str, path: str, body: Any = None, *, who: str = DOCTOR, **headers: str
    ) -> Reply:
        """One request. Whatever comes back with a body is a resource, and a valid one."""
        given = {"host": HOST}
        if who:
            given["authorization"] = f"Bearer {self.tokens[who]}"
        content = b""
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            given["content-type"] = "application/fhir+json"
        given["content-length"] = str(len(content))
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        reply: Reply = self.run(
            send(self.gateway, method, f"/fhir/R4{path}", given, content, "127.0.0.1")
        )
        if reply.body:
            assert reply.headers["content-type"] == "application/fhir+json; charset=utf-8"
            found = reply.json()
            get_fhir_model_class(found["resourceType"]).model_validate(found)
        return reply

    def get(self, path: str, **kwargs: Any) -> Any:
        reply = self.ask("GET", path, **kwargs)
        assert reply.status == 200, (path, reply.text)
        return reply.json()

    def found(self, path: str, **kwargs: Any) -> list[Any]:
        bundle = self.get(path, **kwargs)
        return [e["resource"] for e in bundle.get("entry", []) if e["search"]["mode"] == "match"]

    def close(self) -> None:
        self.run(self.house.close())
        self.loop.close()


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[Clinic]:
    folder = tmp_path_factory.mktemp("fhir") / "boards"
    shutil.copytree(prepared, folder)
    found = Clinic(folder)
    yield found
    found.close()


def searches(clinic: Clinic) -> dict[str, str]:
    """For each type, a search that finds something of this visit."""
    person, visit = f"patient={clinic.patient.id}", clinic.visit
    return {
        "Patient": f"_id={clinic.patient.id}",
        "AllergyIntolerance": person,
        "Coverage": person,
        "Encounter": person,
        "Appointment": person,
        "Slot": f"schedule={visit.session}",
        "ServiceRequest": person,
        "MedicationRequest": f"encounter={visit.encounter}",
        "MedicationDispense": f"context={visit.encounter}",
        "DiagnosticReport": person,
        "Observation": person,
        "Condition": person,
        "ChargeItem": f"context={visit.encounter}",
        "Organization": f"name={quote('心血管')}",
        "Location": "",
    }


def fill(clinic: Clinic) -> None:
    """What the visit itself does not leave behind: an allergy, an insurance."""
    if not clinic.found(f"/AllergyIntolerance?patient={clinic.patient.id}"):
        made = clinic.ask(
            "POST",
            "/AllergyIntolerance",
            {
                "resourceType": "AllergyIntolerance",
                "patient": {"reference": f"Patient/{clinic.patient.id}"},
                "code": {"text": "青霉素"},
                "reaction": [{"manifestation": [{"text": "皮疹"}], "severity": "severe"}],
            },
        )
        assert made.status == 201, made.text


# ── reading a visit ──────────────────────────────────────────────────────────────────────────


def test_a_visit_is_read_from_the_patient_to_the_result(clinic: Clinic) -> None:
    """患者 → 就诊 → 处方与申请 → 报告 → 结果，逐级可读。"""
    [patient] = clinic.found(
        f"/Patient?identifier={CARD}|{clinic.patient.identifier('cn-id-card')}"
    )
    assert patient["name"] == [{"text": "陈卫国"}]
    [encounter] = clinic.found(f"/Encounter?patient={patient['id']}")
    assert (encounter["status"], encounter["class"]["code"]) == ("in-progress", "AMB")
    of_visit = f"encounter={encounter['id']}"
    [request] = clinic.found(f"/ServiceRequest?{of_visit}")
    [medication] = clinic.found(f"/MedicationRequest?{of_visit}")
    assert medication["status"] == "completed"
    assert medication["medicationCodeableConcept"]["coding"][0]["code"] == AMLODIPINE
    assert medication["dosageInstruction"][0]["doseAndRate"] == [
        {"doseQuantity": {"value": 10, "unit": "mg"}}
    ]
    [report] = clinic.found(f"/DiagnosticReport?patient={patient['id']}")
    assert report["basedOn"] == [{"reference": f"ServiceRequest/{request['id']}"}]
    result = clinic.get(f"/{report['result'][0]['reference']}")
    assert (result["status"], result["valueQuantity"]["value"]) == ("final", 7.1)
    assert result["interpretation"][0]["coding"][0]["code"] == "H"
    [dispense] = clinic.found(f"/MedicationDispense?context={encounter['id']}")
    assert (dispense["status"], dispense["quantity"]["value"]) == ("completed", 2)
    [condition] = clinic.found(f"/Condition?patient={patient['id']}")
    assert condition["code"]["coding"][0]["code"] == "I10"
    fees = clinic.found(f"/ChargeItem?context={encounter['id']}")
    account = clinic.run(clinic.house.account(clinic.visit.encounter))
    billed = sum(line.amount.fen for line in account.lines)
    assert sum(round(fee["priceOverride"]["value"] * 100) for fee in fees) == billed


def test_the_capability_statement_says_what_works_and_nothing_else(clinic: Clinic) -> None:
    """声明的每个交互、参数、包含都能用；没有声明的都不能用。"""
    fill(clinic)
    told = clinic.get("/metadata")
    assert told["fhirVersion"] == "4.0.1"
    types = {one["type"]: one for one in told["rest"][0]["resource"]}
    samples = searches(clinic)
    assert set(types) == {*samples, "Practitioner", "Schedule"}
    for kind, one in types.items():
        offered = {interaction["code"] for interaction in one["interaction"]}
        if "search-type" in offered:
            _walk_searches(clinic, one, samples[kind])
        refused = {"create": ("POST", f"/{kind}"), "update": ("PUT", f"/{kind}/x")}
        for code, (method, path) in refused.items():
            reply = clinic.ask(method, path, {"resourceType": kind, "id": "x"})
            assert (reply.status == 405) is (code not in offered), (kind, code, reply.text)
        assert clinic.ask("DELETE", f"/{kind}/x").status == 405
        assert clinic.ask("GET", f"/{kind}/x/_history").status == 405
    for kind in ("Procedure", "Immunization", "Medication"):
        assert clinic.ask("GET", f"/{kind}").status == 404


def _walk_searches(clinic: Clinic, told: Any, start: str) -> None:
    """Each parameter finds what it is given from the found resource, and never what it is not."""
    kind = told["type"]
    bundle = clinic.get(f"/{kind}?{start}")
    assert bundle["total"] or kind == "Coverage", kind
    for param in told["searchParam"]:
        value = "2026-03-02" if param["type"] == "date" else "nobody"
        more = clinic.ask("GET", f"/{kind}?{start}&{param['name']}={value}")
        assert (
            more.status == 200
            or param["name"] in start
            or param["name"] == "_id"
            or (_is_start(param["name"], more))
        ), (kind, param, more.text)
    for include in told.get("searchInclude", []):
        assert clinic.ask("GET", f"/{kind}?{start}&_include={include}").status == 200, include
    if bundle["total"]:
        one = bundle["entry"][0]["resource"]
        again = clinic.ask("GET", f"/{kind}/{one['id']}")
        assert again.status == 200
        assert again.json() == one
        tag = again.headers["etag"]
        assert clinic.ask("GET", f"/{kind}/{one['id']}", if_none_match=tag).status == 304


def _is_start(name: str, reply: Reply) -> bool:
    """A parameter that a search starts from cannot stand beside ``_id`` or its own twin."""
    issue = reply.json()["issue"][0]
    words = ("_id alone", "once only")
    return issue.get("expression") == [name] and any(w in issue["diagnostics"] for w in words)


def test_whom_it_refers_to_is_included_once(clinic: Clinic) -> None:
    bundle = clinic.get(
        f"/Encounter?patient={clinic.patient.id}&_include=Encounter:subject"
        "&_include=Encounter:service-provider&_include=Encounter:practitioner"
    )
    included = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "include"]
    assert [one["resourceType"] for one in included] == ["Patient", "Organization", "Practitioner"]
    assert bundle["total"] == 1


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("date=2026-03-02", 1), ("date=ge2026-03-02", 1), ("date=lt2026-03-02", 0),
        ("date=gt2026-03-03", 0), ("date=2026", 1), ("date=sa2026-03-01&date=eb2026-03-03", 1),
        ("code=urn:plugward:item|L0026", 1), ("code=L0026", 1), ("code=L0001,L0026", 1),
        ("code=http://loinc.org|L0026", 0), ("code=L0001", 0), ("status=final", 1),
        ("status=corrected", 0), ("category=laboratory", 1),
    ],
)  # fmt: skip
def test_results_are_found_by_date_code_and_status(clinic: Clinic, query: str, count: int) -> None:
    found = clinic.get(f"/Observation?patient={clinic.patient.id}&{query}&_summary=count")
    assert (found["total"], found.get("entry")) == (count, None)


def test_every_parameter_of_a_search_for_a_person_counts(clinic: Clinic) -> None:
    card, name = clinic.patient.identifier("cn-id-card"), quote("陈卫国")
    for query, count in (
        (f"identifier={CARD}|{card}&name={name}", 1),
        (f"identifier={CARD}|{card}&name={quote('李明')}", 0),
        (f"name={name}&birthdate=1959-03-02&gender=male", 1),
        (f"name={name}&birthdate=1959-03-03", 0),
        (f"identifier={card}", 1),
        ("name=CWG", 1),
        (f"_id={clinic.patient.id},{new_id()},nobody", 1),
    ):
        assert clinic.get(f"/Patient?{query}&_summary=count")["total"] == count, query


def test_a_merged_persons_visits_are_found_from_each_id(clinic: Clinic) -> None:
    """两份档案合并后，从任一号码都能查到全部就诊；记录上的号码不变。"""
    house = clinic.house
    [one, two] = [
        clinic.run(house.register(name, 0, identifiers=())).patient for name in ("赵立", "赵丽")
    ]
    visit = clinic.run(house.arrive(two.id))
    with acting_as(a_tester()):
        clinic.run(house.client(Patients).merge(two.id, one.id, "同一人"))
    clinic.run(house.quiet())
    for id_ in (one.id, two.id):
        [found] = clinic.found(f"/Encounter?patient={id_}")
        assert (found["id"], found["subject"]["reference"]) == (
            str(visit.encounter),
            f"Patient/{two.id}",
        )
    merged = clinic.get(f"/Patient/{two.id}")
    assert (merged["active"], merged["link"][0]["other"]["reference"]) == (
        False,
        f"Patient/{one.id}",
    )


def test_pages_hold_everything_once_in_the_order_asked_for(clinic: Clinic) -> None:
    everything = [one["id"] for one in clinic.found("/Organization?_count=200&_sort=-name")]
    assert len(everything) > 60
    seen: list[str] = []
    path = "/Organization?_sort=-name&_count=25"
    for _ in range(20):
        bundle = clinic.get(path)
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        if "next" not in links:
            break
        path = links["next"].removeprefix(BASE)
    assert seen[:200] == everything
    assert len(set(seen)) == len(seen) == bundle["total"]


def test_a_next_link_holds_what_was_sent_and_is_of_one_search(clinic: Clinic) -> None:
    bundle = clinic.get(f"/ChargeItem?context={clinic.visit.encounter}&_count=1")
    link = next(one["url"] for one in bundle["link"] if one["relation"] == "next")
    query = dict(pair.split("=") for pair in urlsplit(link).query.split("&"))
    assert set(query) == {"context", "_count", "_page"}
    assert re.fullmatch(r"\d+\.[0-9a-f]{16}", query["_page"])
    elsewhere = f"/Location?_page={query['_page']}"
    for path in (elsewhere, "/Location?_page=-1.x", "/Location?_page=9999999.x"):
        assert clinic.ask("GET", path).status == 400


# ── writing ──────────────────────────────────────────────────────────────────────────────────


def newcomer(number: int, name: str = "林晓") -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"system": CARD, "value": id_card(date(1990, 1, 1), Sex.FEMALE, number)}],
        "name": [{"family": name[0], "given": [name[1:]]}],
        "gender": "female",
        "birthDate": "1990-01-01",
        "telecom": [{"system": "phone", "value": "13800000001"}],
    }


def test_the_same_person_is_created_once(clinic: Clinic) -> None:
    body = newcomer(301)
    condition = f"identifier={quote(CARD)}|{body['identifier'][0]['value']}"
    first = clinic.ask("POST", "/Patient", body, who=REGISTRAR, if_none_exist=condition)
    assert first.status == 201, first.text
    again = clinic.ask("POST", "/Patient", body, who=REGISTRAR, if_none_exist=condition)
    known = clinic.ask("POST", "/Patient", body, who=REGISTRAR)
    assert (again.status, known.status) == (200, 200)
    assert first.json()["id"] == again.json()["id"] == known.json()["id"]
    assert first.headers["location"] == f"{BASE}/Patient/{first.json()['id']}"
    no = clinic.ask("POST", "/Patient", body, who=REGISTRAR, if_none_exist="gender=female")
    assert no.status == 412


def test_a_request_that_is_sent_again_is_done_once(clinic: Clinic) -> None:
    body = newcomer(302, "何静")
    del body["identifier"]
    act = str(new_id())
    first, again = (
        clinic.ask("POST", "/Patient", body, who=REGISTRAR, x_request_id=act) for _ in range(2)
    )
    assert (first.status, again.status) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    other = clinic.ask(
        "POST", "/Patient", body | {"gender": "male"}, who=REGISTRAR, x_request_id=act
    )
    assert other.status == 409


def test_an_update_needs_the_version_that_was_read(clinic: Clinic) -> None:
    made = clinic.ask("POST", "/Patient", newcomer(303, "高云"), who=REGISTRAR)
    own, path = made.json(), f"/Patient/{made.json()['id']}"
    changed = own | {"name": [{"text": "高芸"}]}
    done = clinic.ask("PUT", path, changed, who=REGISTRAR, if_match=made.headers["etag"])
    assert done.status == 200, done.text
    assert done.headers["etag"] != made.headers["etag"]
    late = clinic.ask("PUT", path, changed, who=REGISTRAR, if_match=made.headers["etag"])
    assert late.status == 412
    assert clinic.get(path)["name"] == [{"text": "高芸"}]


def test_what_the_index_was_told_cannot_be_taken_away(clinic: Clinic) -> None:
    own = clinic.get(f"/Patient/{clinic.patient.id}")
    path = f"/Patient/{own['id']}"
    for name in ("identifier", "birthDate", "name"):
        less = {k: v for k, v in own.items() if k != name}
        reply = clinic.ask("PUT", path, less, who=REGISTRAR)
        assert reply.status == 422
        assert reply.json()["issue"][0]["expression"] == [f"Patient.{name}"]
    assert clinic.get(path) == own


def order(clinic: Clinic, item: str = HBA1C) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "category": [{"coding": [{"system": "urn:plugward:order-kind", "code": "lab"}]}],
        "code": {"coding": [{"system": ITEM, "code": item}]},
        "subject": {"reference": f"Patient/{clinic.patient.id}"},
        "encounter": {"reference": f"Encounter/{clinic.visit.encounter}"},
    }


def test_an_order_is_signed_and_taken_back(clinic: Clinic) -> None:
    made = clinic.ask("POST", "/ServiceRequest", order(clinic))
    assert made.status == 201, made.text
    own = made.json()
    path = f"/ServiceRequest/{own['id']}"
    assert clinic.get(path) == own
    other = clinic.ask("PUT", path, own | {"priority": "urgent"})
    assert other.status == 422
    back = clinic.ask("PUT", path, own | {"status": "revoked"}, if_match=made.headers["etag"])
    assert (back.status, back.json()["status"]) == (200, "revoked")


def test_a_drug_is_prescribed_and_one_that_was_handed_out_stays(clinic: Clinic) -> None:
    [done] = [
        one
        for one in clinic.found(f"/MedicationRequest?encounter={clinic.visit.encounter}")
        if one["status"] == "completed"
    ]
    taken = clinic.ask("PUT", f"/MedicationRequest/{done['id']}", done | {"status": "cancelled"})
    assert (taken.status, taken.json()["issue"][0]["code"]) == (409, "conflict")
    own = ("id", "meta", "authoredOn", "requester", "groupIdentifier")
    again = {k: v for k, v in done.items() if k not in own} | {"status": "active"}
    made = clinic.ask("POST", "/MedicationRequest", again)
    assert made.status == 201, made.text
    assert made.json()["dosageInstruction"] == done["dosageInstruction"]


def test_a_number_is_taken_and_given_back(clinic: Clinic) -> None:
    patient = clinic.ask("POST", "/Patient", newcomer(304, "罗敏"), who=REGISTRAR).json()
    slots = clinic.found(f"/Slot?schedule={clinic.visit.session}&status=free&_sort=-start")
    wanted = {
        "resourceType": "Appointment",
        "status": "booked",
        "slot": [{"reference": f"Slot/{slots[0]['id']}"}],
        "participant": [{"actor": {"reference": f"Patient/{patient['id']}"}, "status": "accepted"}],
    }
    made = clinic.ask("POST", "/Appointment", wanted, who=REGISTRAR)
    assert (made.status, made.json()["start"]) == (201, slots[0]["start"]), made.text
    twice = clinic.ask("POST", "/Appointment", wanted, who=REGISTRAR)
    assert twice.status == 409
    path = f"/Appointment/{made.json()['id']}"
    back = clinic.ask("PUT", path, made.json() | {"status": "cancelled"}, who=REGISTRAR)
    assert (back.status, back.json()["status"]) == (200, "cancelled")


def test_a_visit_is_opened_started_and_finished(clinic: Clinic) -> None:
    doctor = clinic.house.member("doctor")
    wanted = {
        "resourceType": "Encounter",
        "status": "arrived",
        "class": {"code": "EMER"},
        "subject": {"reference": f"Patient/{clinic.patient.id}"},
        "serviceProvider": {"reference": "Organization/C1-CARD"},
    }
    made = clinic.ask("POST", "/Encounter", wanted)
    assert made.status == 201, made.text
    own = made.json()
    path = f"/Encounter/{own['id']}"
    who = {"individual": {"reference": f"Practitioner/{doctor.id}", "display": doctor.name}}
    own = clinic.ask("PUT", path, own | {"status": "in-progress", "participant": [who]}).json()
    assert own["status"] == "in-progress", own
    home = {"coding": [{"system": "urn:plugward:disposition", "code": "home"}]}
    over = own | {"status": "finished", "hospitalization": {"dischargeDisposition": home}}
    assert clinic.ask("PUT", path, over).json()["status"] == "finished"
    again = clinic.ask("PUT", path, own | {"status": "cancelled"})
    assert again.status == 409


# ── several at once ──────────────────────────────────────────────────────────────────────────


def bundle_of(kind: str, *entries: tuple[str, str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [
            {"request": {"method": method, "url": url}} | ({"resource": body} if body else {})
            for method, url, body in entries
        ],
    }


def test_a_batch_answers_each_entry_by_itself(clinic: Clinic) -> None:
    reply = clinic.ask(
        "POST",
        "",
        bundle_of(
            "batch",
            ("GET", f"Patient/{clinic.patient.id}", None),
            ("GET", "Patient/unknown", None),
            ("POST", "ServiceRequest", order(clinic)),
            ("POST", "ServiceRequest", order(clinic, "NOTHING")),
        ),
    )
    assert reply.status == 200, reply.text
    entries = reply.json()["entry"]
    assert [entry["response"]["status"] for entry in entries] == ["200", "404", "201", "422"]
    assert entries[3]["response"]["outcome"]["resourceType"] == "OperationOutcome"


def test_a_transaction_that_could_be_torn_is_refused_whole(clinic: Clinic) -> None:
    start = f"/ServiceRequest?encounter={clinic.visit.encounter}&_summary=count"
    before = clinic.get(start)["total"]
    two = ("POST", "ServiceRequest", order(clinic))
    torn = clinic.ask("POST", "", bundle_of("transaction", two, two))
    assert torn.status == 422
    assert "atomic" in torn.json()["issue"][0]["diagnostics"]
    missing = ("GET", "Patient/unknown", None)
    assert clinic.ask("POST", "", bundle_of("transaction", missing)).status == 404
    assert clinic.get(start)["total"] == before
    whole = clinic.ask("POST", "", bundle_of("transaction", ("GET", start.lstrip("/"), None), two))
    assert whole.status == 200, whole.text
    counted, made = whole.json()["entry"]
    assert made["response"]["status"] == "201"
    assert counted["resource"]["total"] == before + 1  # writes come first


# ── what is refused ──────────────────────────────────────────────────────────────────────────

P = "/Patient"
PATIENT = {"resourceType": "Patient", "name": [{"text": "某某"}]}
DEEP = b'{"resourceType":"Patient","extension":' + b'[{"a":' * 60 + b"1" + b"}]" * 60 + b"}"
WRONG: list[tuple[str, str, Any, dict[str, str], int, str]] = [
    ("GET", "/Patient/x", None, {}, 404, "not-found"),
    ("GET", "/Nothing/x", None, {}, 404, "not-supported"),
    ("GET", "/Patient", None, {}, 400, "required"),
    ("GET", "/Patient?shoe=9", None, {}, 400, "not-supported"),
    ("GET", "/Patient?name:missing=true", None, {}, 400, "not-supported"),
    ("GET", "/Patient?name=", None, {}, 400, "invalid"),
    ("GET", "/Patient?name:exact=某某", None, {}, 400, "not-supported"),
    ("GET", "/Patient?name=某某&name=某某", None, {}, 400, "not-supported"),
    ("GET", "/Encounter?patient=1&subject=2", None, {}, 400, "not-supported"),
    ("GET", "/Patient?identifier=1,2,3,4,5,6,7,8,9,10,11", None, {}, 400, "too-costly"),
    ("GET", "/Patient?name=%E9", None, {}, 400, "invalid"),
    ("GET", "/Patient?name=某某&birthdate=yesterday", None, {}, 400, "invalid"),
    ("GET", "/Patient?name=某某&_count=many", None, {}, 400, "invalid"),
    ("GET", "/Patient?name=某某&_sort=shoe", None, {}, 400, "not-supported"),
    ("GET", "/Patient?name=某某&_include=Patient:shoe", None, {}, 400, "not-supported"),
    ("GET", "/Patient?name:contains=某某", None, {}, 400, "not-supported"),
    ("GET", "/Patient?name=某某&_count=1000000", None, {}, 400, "invalid"),
    ("GET", "/Encounter?subject.general-practitioner.name=x", None, {}, 400, "not-supported"),
    ("GET", "/Encounter?patient=1&_include:iterate=Encounter:subject", None, {}, 400,
     "not-supported"),
    ("GET", "/Encounter?patient=1&_revinclude=Observation:encounter", None, {}, 400,
     "not-supported"),
    ("GET", "/Encounter?_has:Observation:encounter:code=x", None, {}, 400, "not-supported"),
    ("GET", "/Patient/x/$everything", None, {}, 405, "not-supported"),
    ("GET", "/Patient/x/_history", None, {}, 405, "not-supported"),
    ("GET", "/Patient?name=某某&_format=xml", None, {}, 406, "not-supported"),
    ("GET", "/Patient/x", None, {"accept": "application/fhir+xml"}, 406, "not-supported"),
    ("DELETE", "/Patient/x", None, {}, 405, "not-supported"),
    ("PATCH", "/Patient/x", PATIENT, {}, 405, "not-supported"),
    ("POST", P, b"{", {}, 400, "structure"),
    ("POST", P, b"[]", {}, 400, "structure"),
    ("POST", P, b'{"resourceType":"Patient","gender":"male","gender":"female"}', {}, 400,
     "structure"),
    ("POST", P, DEEP, {}, 400, "structure"),
    ("POST", P, b"\xff\xfe", {}, 400, "structure"),
    ("POST", P, b" " * ((1 << 20) + 1), {}, 413, "too-long"),
    ("POST", P, PATIENT, {"content_type": "application/json; charset=gbk"}, 415, "not-supported"),
    ("POST", P, PATIENT, {"content_type": "text/plain"}, 415, "not-supported"),
    ("POST", P, {"resourceType": "Encounter"}, {}, 400, "invalid"),
    ("POST", P, PATIENT | {"shoeSize": 9}, {}, 422, "not-supported"),
    ("POST", P, PATIENT | {"birthDate": 1990}, {}, 422, "structure"),
    ("POST", P, PATIENT | {"birthDate": "1990-02-31"}, {}, 422, "value"),
    ("POST", P, PATIENT | {"gender": "m"}, {}, 422, "code-invalid"),
    ("POST", P, PATIENT | {"name": []}, {}, 422, "business-rule"),
    ("POST", P, PATIENT, {"x_request_id": "b5f6e0d4-6f7c-4c63-9d6e-3f0f2f1c0a11"}, 422, "invalid"),
    ("POST", P, PATIENT, {"x_campus": "C2"}, 403, "forbidden"),
    ("PUT", "/Patient/x", PATIENT | {"id": "y"}, {}, 400, "invalid"),
    ("POST", "/Observation", {"resourceType": "Observation"}, {}, 405, "not-supported"),
    ("POST", "", {"resourceType": "Bundle", "type": "message"}, {}, 422, "invalid"),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda case: f"{case[0]}{case[1]}-{case[5]}")
def test_sec_hub_11_whatever_is_wrong_is_said_in_an_operation_outcome(
    clinic: Clinic, wrong: tuple[str, str, Any, dict[str, str], int, str]
) -> None:
    method, path, body, headers, status, code = wrong
    plain = path if path.isascii() else quote(path, safe="/?=&:%")
    reply = clinic.ask(method, plain, body, who=REGISTRAR, **headers)
    assert (reply.status, reply.json()["issue"][0]["code"]) == (status, code), reply.text
    for value in ("1990", "某某", "yesterday"):
        assert value not in reply.text


def test_json_with_a_charset_is_taken_and_asked_for(clinic: Clinic) -> None:
    for accept in ("application/fhir+json;charset=UTF-8", "application/json", "*/*, text/html"):
        assert clinic.ask("GET", f"/Patient/{clinic.patient.id}", accept=accept).status == 200


def test_without_a_session_nothing_is_said_but_that(clinic: Clinic) -> None:
    reply = clinic.ask("GET", f"/Patient/{clinic.patient.id}", who="")
    assert (reply.status, reply.json()["issue"][0]["code"]) == (401, "login")
    forged = clinic.ask("GET", "/Location", who="", authorization="Bearer forged")
    assert forged.status == 401


def test_sec_hub_12_the_boards_check_who_may_what(clinic: Clinic) -> None:
    """收费员无权读检验报告，也无权开单。"""
    asked = clinic.ask("GET", f"/DiagnosticReport/{clinic.report.id}", who=CASHIER)
    ordered = clinic.ask("POST", "/ServiceRequest", order(clinic), who=CASHIER)
    for reply in (asked, ordered):
        assert (reply.status, reply.json()["issue"][0]["code"]) == (403, "forbidden")


def test_sec_hub_12_another_campus_sees_nothing_of_the_visit(clinic: Clinic) -> None:
    for path in (
        f"/Encounter/{clinic.visit.encounter}",
        f"/ServiceRequest/{clinic.group.lines[1].id}",
        f"/DiagnosticReport/{clinic.report.id}",
        f"/Observation/{clinic.report.id}-{HBA1C}",
        f"/Appointment/{clinic.visit.id}",
    ):
        assert clinic.ask("GET", path, who=ELSEWHERE).status == 404, path
    for kind in ("Encounter", "ServiceRequest", "DiagnosticReport", "Condition", "Appointment"):
        assert clinic.found(f"/{kind}?patient={clinic.patient.id}", who=ELSEWHERE) == []


def test_sec_hub_12_a_bundle_shows_no_more_than_its_entries_would(clinic: Clinic) -> None:
    """成批读取、随附引用的资源，逐个核对院区与权限。"""
    visit, report = clinic.visit.encounter, clinic.report.id
    wanted = (f"Encounter/{visit}", f"DiagnosticReport/{report}")
    batch = bundle_of("batch", *(("GET", path, None) for path in wanted))
    for who, status in ((ELSEWHERE, "404"), (CASHIER, "403")):
        entries = clinic.ask("POST", "", batch, who=who).json()["entry"]
        assert entries[1]["response"]["status"] == status
        assert "resource" not in entries[1]
    bundle = clinic.get(
        f"/DiagnosticReport?patient={clinic.patient.id}&_include=DiagnosticReport:encounter",
        who=ELSEWHERE,
    )
    assert bundle.get("entry", []) == []


def test_a_list_is_one_entry_in_the_audit_log_with_its_ids(clinic: Clinic) -> None:
    """查阅留痕：一次检索一条，记下患者与就诊，不记姓名。"""
    audit = clinic.house.runtime.audit
    before = len(audit.entries(operation="encounters.of_patients"))
    act = str(new_id())
    clinic.ask("GET", f"/Encounter?patient={clinic.patient.id}", x_request_id=act)
    entries = audit.entries(operation="encounters.of_patients")
    assert len(entries) == before + 1
    body = max(entries, key=lambda entry: entry.seq).body
    assert body["request"] == act
    assert str(clinic.patient.id) in body["patients"]
    assert str(clinic.visit.encounter) in body["encounters"]
    assert "陈卫国" not in str(body)


def test_no_line_of_the_log_names_a_patient(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    card = clinic.patient.identifier("cn-id-card")
    with caplog.at_level("DEBUG", logger="plugward"):
        clinic.found(f"/Patient?name={quote('陈卫国')}")
        clinic.found(f"/Patient?identifier={CARD}|{card}")
        clinic.ask("POST", "/Patient", {"resourceType": "Patient", "name": [{"text": "陈卫国"}],
                                        "gender": "陈卫国"}, who=REGISTRAR)  # fmt: skip
    assert "GET fhir 200" in caplog.text
    for secret in ("陈卫国", quote("陈卫国"), card, str(clinic.patient.id)):
        assert secret not in caplog.text


# ── other projects' clients ──────────────────────────────────────────────────────────────────


class Served:
    """The gateway on a socket, in a thread of its own, while somebody else's client asks."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self.port = 0

    def __enter__(self) -> "Served":
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def _run(self) -> None:
        self._clinic.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        await serve(
            self._clinic.house.runtime,
            host="127.0.0.1",
            port=0,
            demo=True,
            stop=self._stop,
            listening=self._listening,
        )

    def _listening(self, port: int) -> None:
        self.port = port
        self._ready.set()

    def __exit__(self, *problem: object) -> None:
        assert self._stop is not None
        self._clinic.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)


def test_a_client_of_another_project_goes_the_round_trip(clinic: Clinic) -> None:
    """fhirpy: create, search, read, update, and an error it understands."""
    with Served(clinic) as served:
        client = SyncFHIRClient(
            f"http://127.0.0.1:{served.port}/fhir/R4",
            authorization=f"Bearer {clinic.tokens[REGISTRAR]}",
        )
        made = client.resource(**({"resource_type": "Patient"} | newcomer(305, "唐雪")))
        made.save()
        card = newcomer(305)["identifier"][0]["value"]
        found = client.resources("Patient").search(identifier=f"{CARD}|{card}").first()
        assert found.id == made.id
        found["name"] = [{"text": "唐雪梅"}]
        found.save()
        again = client.reference("Patient", made.id).to_resource()
        assert again["name"] == [{"text": "唐雪梅"}]
        everywhere = client.resources("Organization").limit(30).fetch_all()
        assert len(everywhere) > 60
        with pytest.raises(ResourceNotFound):
            client.reference("Patient", str(new_id())).to_resource()
        again["gender"] = "m"
        with pytest.raises(OperationOutcome, match=r"Patient.gender|male"):
            again.save()


def test_the_examples_of_the_guide_work_as_printed(clinic: Clinic, tmp_path: Path) -> None:
    """docs/guide/fhir.md: each curl line is run and says what stands below it."""
    guide = (ROOT / "docs" / "guide" / "fhir.md").read_text("utf-8")
    examples = re.findall(r"```sh\n(curl.*?)```\n+```json\n(.*?)```", guide, re.DOTALL)
    assert len(examples) >= 4
    card = clinic.patient.identifier("cn-id-card")
    with Served(clinic) as served:
        for command, wanted in examples:
            done = subprocess.run(
                ["bash", "-c", command],
                env={
                    "PATH": "/usr/bin:/bin",
                    "FHIR": f"http://127.0.0.1:{served.port}/fhir/R4",
                    "TOKEN": clinic.tokens[DOCTOR],
                    "PATIENT": str(clinic.patient.id),
                    "CARD": card,
                    "ENCOUNTER": str(clinic.visit.encounter),
                },
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert done.returncode == 0, (command, done.stderr)
            _has(json.loads(done.stdout), json.loads(wanted), command)


def _has(found: Any, wanted: Any, command: str) -> None:
    """Everything that is printed is in the answer; the answer may say more."""
    if isinstance(wanted, dict):
        for name, value in wanted.items():
            assert name in found, (command, name, found)
            _has(found[name], value, command)
    elif isinstance(wanted, list):
        for part, own in zip(wanted, found, strict=False):
            _has(own, part, command)
    else:
        assert found == wanted, command
