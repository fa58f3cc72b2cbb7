"""SEC-DATA-09, SEC-DATA-10: numbers and addresses are shown whole only to who may see them.

One person is registered with a card, a phone and an address; then every role looks at them by
every output there is: the contract, JSON, a page, FHIR.
"""

import asyncio
import copy
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from plugward.boards.patients.contract import (
    ID_CARD,
    Contact,
    ContactKind,
    Coverage,
    Patients,
    RegisterPatient,
)
from plugward.commons.hub.fhir import Asked, FhirServer
from plugward.commons.identity.contract import DemoSignIn, Door, Identity
from plugward.commons.identity.demo import Login
from plugward.commons.identity.seed import DEMO_STAFF
from plugward.commons.portal.gateway import Gateway
from plugward.commons.portal.guard import LOOPBACK_NAMES
from plugward.commons.portal.tests.conftest import HOST, send
from plugward.kernel import Message, Plain
from plugward.kernel.check.parts import check_manifest
from plugward.kernel.dispatch import Transport
from plugward.kernel.envelope import ANONYMOUS, Actor, acting_as, board_actor
from plugward.kernel.masking import conceal, masked_text
from plugward.kit.ids import new_id
from plugward.kit.message import Masked
from plugward.rack.discover import discover
from plugward.sim.people import id_card
from plugward.vocabulary import CampusCode, Identifier, PatientId, Sex
from tests.journeys.house import House

CARD = id_card(date(1961, 4, 9), Sex.FEMALE, 424)
PHONE = "13955557788"
GUARDIAN = "13955559911"
ADDRESS = "示范市青石巷九十九号三单元"
INSURED = "YB330199887766"
WHOLE = (CARD, PHONE, GUARDIAN, ADDRESS, INSURED)
SEES = {"doctor", "registrar", "triage-nurse", "steward"}
BOARDS = discover(frozenset()).boards
OTHERS = {board.name for board in BOARDS} - {"patients", "masterdata", "identity", "portal"}


class Office:
    """A hospital with that person in it, and somebody of every role at a desk."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.house = House(
            folder,
            Transport.STRICT,
            left_out=frozenset(OTHERS),
            settings={
                "identity": {"demo": True},
                "portal": {"rate_per_s": 10_000, "rate_burst": 10_000},
            },
        )
        self.patient = PatientId(new_id())
        self.tokens: dict[str, str] = {}
        self.loop.run_until_complete(self._open())

    async def _open(self) -> None:
        await self.house.start()
        runtime = self.house.runtime
        desks = {person.role: person for person in reversed(DEMO_STAFF) if "C1" in person.campuses}
        await runtime.plugged["identity"].service.demo.admit(
            tuple(
                Login(
                    staff_no=person.staff_no,
                    password="corr-ect-hrse",  # noqa: S106 - of invented people
                    name=person.name,
                    title=person.title,
                    role=person.role,
                    campus="C1",
                )
                for person in desks.values()
            )
        )
        self.gateway = Gateway(runtime, hosts=LOOPBACK_NAMES, demo=True)
        for role, person in desks.items():
            self.tokens[role] = f"{role}-{new_id().hex}{new_id().hex}"
            with acting_as(msgspec.structs.replace(ANONYMOUS, address="127.0.0.1")):
                await self.house.client(Identity).demo_sign_in(
                    DemoSignIn(
                        staff_no=person.staff_no,
                        token=self.tokens[role],
                        door=Door(host="127.0.0.1"),
                    )
                )
        with acting_as(self.house.actor("registrar")):
            await self.house.client(Patients).register(
                RegisterPatient(
                    id=self.patient,
                    campus=CampusCode("C1"),
                    name="纪慕云",
                    sex=Sex.FEMALE,
                    birth_date=date(1961, 4, 9),
                    identifiers=(Identifier(system=ID_CARD, value=CARD),),
                    contacts=(
                        Contact(kind=ContactKind.PHONE, value=PHONE),
                        Contact(kind=ContactKind.GUARDIAN_PHONE, value=GUARDIAN),
                        Contact(kind=ContactKind.ADDRESS, value=ADDRESS),
                    ),
                    coverage=Coverage(number=INSURED),
                )
            )
        await self.house.quiet()

    def ask(self, role: str, path: str, body: object = None) -> tuple[int, str]:
        """One request of somebody with this role: the status and the text that came back."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"host": HOST, "authorization": f"Bearer {self.tokens[role]}"}
        headers |= {"content-type": "application/json", "content-length": str(len(content))}
        method = "GET" if body is None else "POST"
        reply = self.loop.run_until_complete(
            send(self.gateway, method, path, headers, content, "127.0.0.1")
        )
        return reply.status, reply.text

    def outputs(self, role: str) -> dict[str, str]:
        """The person as every output shows them to this role."""
        asked = {
            "json": ("/api/patients/v1/get", {"patient": str(self.patient)}),
            "list": ("/api/patients/v1/find", {"text": "纪慕云"}),
            "page": (f"/patients/person/{self.patient}", None),
            "page of the list": (f"/patients/find?text={CARD}", None),
            "fhir": (f"/fhir/R4/Patient/{self.patient}", None),
            "fhir search": (f"/fhir/R4/Patient?_id={self.patient}", None),
            "fhir coverage": (f"/fhir/R4/Coverage?patient={self.patient}", None),
        }
        found = {name: self.ask(role, path, body) for name, (path, body) in asked.items()}
        assert {name: status for name, (status, _) in found.items() if status != 200} == {}
        found["page of the list"] = (200, found["page of the list"][1].replace(f'"{CARD}"', '""'))
        return {name: text for name, (_, text) in found.items()}

    def close(self) -> None:
        self.loop.run_until_complete(self.house.close())
        self.loop.close()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    found = Office(tmp_path_factory.mktemp("masking"))
    yield found
    found.close()


def test_sec_data_09_every_output_is_masked_for_who_may_not_see(office: Office) -> None:
    readers = [role for role in office.tokens if role in _readers()]
    assert {"nurse", "cashier", "pharmacist", "doctor", "registrar"} <= set(readers)
    for role in readers:
        for output, text in office.outputs(role).items():
            seen = [value for value in WHOLE if value in text]
            assert role in SEES or seen == [], f"{role} sees {seen} in {output}"
            assert "纪慕云" in text or "coverage" in output  # it is the person, and not an error


def test_sec_data_09_who_may_see_sees_and_the_ends_tell_people_apart(office: Office) -> None:
    registrar, cashier = office.outputs("registrar"), office.outputs("cashier")
    assert [value for value in WHOLE if value not in registrar["json"]] == []
    assert PHONE in registrar["page"]
    assert CARD in registrar["fhir"]
    assert f'"{CARD[:3]}***********{CARD[-4:]}"' in cashier["json"]
    assert "139****7788" in cashier["page"]
    assert "示范市****" in cashier["fhir"]


def test_sec_data_09_boards_work_with_the_values_themselves(office: Office) -> None:
    """Masking stands at the edge: a board that asks for a person gets the number to send on."""

    async def whole(actor: Actor) -> str:
        with acting_as(actor):
            return (await office.house.client(Patients).get(office.patient)).phone

    asked = board_actor("documents", frozenset({"patients.read"}))
    assert office.loop.run_until_complete(whole(asked)) == PHONE


def test_sec_data_09_fhir_finds_by_a_number_without_showing_it(office: Office) -> None:
    server = FhirServer(office.house.runtime)

    async def found(value: str) -> str:
        with acting_as(office.house.actor("cashier"), campus="C1"):
            query = f"identifier={value}"
            return (await server.answer(Asked("GET", "/Patient", query, {}, "", b""))).body.decode()

    for value in (f"urn:oid:2.16.156.10011.1.3|{CARD}", CARD):
        bundle = json.loads(office.loop.run_until_complete(found(value)))
        [entry] = bundle["entry"]
        assert entry["resource"]["id"] == str(office.patient)
        assert CARD not in json.dumps(entry)
    for other in ("纪慕云", PHONE, CARD[-4:]):
        assert "entry" not in office.loop.run_until_complete(found(other))


def _readers() -> set[str]:
    manifest = next(board.manifest for board in BOARDS if board.name == "patients")
    return {role for role, held in manifest.roles.items() if "patients.read" in held}


def test_sec_data_09_a_board_with_masked_fields_says_who_may_see_them() -> None:
    """``plugward check`` asks for the permission; here the patient index forgets it."""
    board = next(board for board in BOARDS if board.name == "patients")
    assert list(check_manifest(board)) == []
    permissions = {k: v for k, v in board.manifest.permissions.items() if "see-" not in k}
    forgetful = copy.copy(board)
    forgetful.manifest = msgspec.structs.replace(board.manifest, permissions=permissions)
    [finding] = check_manifest(forgetful)
    assert finding.rule == "SEC-DATA-09"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("13812345678", "138****5678"),
        ("110101196001011234", "110***********1234"),
        ("1234567", "12****"),
        ("ab", "****"),
        ("示范市中山路一号", "示范****"),
        ("", ""),
        (None, None),
    ],
)
def test_what_remains_of_a_masked_text(text: str | None, masked: str | None) -> None:
    assert masked_text(text) == masked


class Inner(Message):
    number: Masked | None
    note: Plain = ""


class Outer(Message):
    inners: tuple[Inner, ...]
    one: Inner | None
    name: Annotated[str, "no class"] = "n"


def test_masked_fields_are_found_however_deep() -> None:
    outer = Outer(inners=(Inner(number="13812345678", note="13812345678"),), one=None)
    found = conceal((outer,))[0]
    assert found.inners[0] == Inner(number="138****5678", note="13812345678")
    assert found.one is None
    assert conceal(Inner(number=None)) == Inner(number=None)
