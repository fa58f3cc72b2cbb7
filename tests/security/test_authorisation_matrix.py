"""SEC-AUTHZ-02: who may not, is refused: every operation of every board, generated.

An operation that is added is covered by being declared; what the matrix cannot call, or what it may
call where it should not, fails.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from plugward.kernel.contracts import Operation
from plugward.kernel.envelope import ANONYMOUS
from plugward.kernel.store.frames import COMMAND_DONE
from tests.security.conftest import All, Hospital, Outcome, person
from tests.security.samples import Pool, request_of, walk

NOT_ALLOWED = "NotAllowed"
OPEN_TO_ALL = {
    "identity.welcome",
    "identity.sign_in",
    "identity.demo_sign_in",
    "identity.activate",
    "identity.session",
    "identity.unlock",
    "identity.lock",
    "identity.sign_out",
}


def test_sec_authz_01_every_operation_names_a_permission_of_its_own_board(
    hospital: Hospital,
) -> None:
    operations = hospital.operations()
    assert len(operations) > 150
    for operation in operations:
        assert operation.permission.startswith(f"{operation.board}."), operation.full_name


def test_sec_authz_02_nobody_without_a_session_gets_past_the_door(hospital: Hospital) -> None:
    passed = {
        operation.full_name
        for operation in hospital.operations()
        if _outcome(hospital, operation, Pool(), ANONYMOUS).answer != NOT_ALLOWED
    }
    assert passed == OPEN_TO_ALL


def test_sec_authz_02_every_permission_but_the_one_is_not_enough(hospital: Hospital) -> None:
    wrong = [
        operation.full_name
        for operation in hospital.operations()
        if _outcome(hospital, operation, Pool(), person(("C1",), All(operation.permission))).answer
        != NOT_ALLOWED
    ]
    assert wrong == []


def test_sec_authz_02_a_board_calls_only_what_its_manifest_needs(hospital: Hospital) -> None:
    """SEC-AUTHZ-14: a board acting in its own name is cut down to its manifest."""
    wrong, asked = [], 0
    for operation in hospital.operations():
        for name, plugged in hospital.runtime.plugged.items():
            if name == operation.board or operation.board in plugged.board.manifest.needs:
                continue
            asked += 1
            outcome = _outcome(hospital, operation, Pool(), plugged.actor)
            if outcome.answer != NOT_ALLOWED:
                wrong.append(f"{name} → {operation.full_name}: {outcome.kind}")
    assert asked > 1_000
    assert wrong == []


# ── another campus ───────────────────────────────────────────────────────────────────────────
# Boards whose rows belong to the hospital and to no campus, and why.
SHARED = {
    "patients": "one index for the whole hospital: a person is found from every campus",
    "masterdata": "one catalogue for the whole hospital",
    "hub": "interfaces belong to the hospital; its permissions are the integration engineers'",
    "datacentre": "a report's own rights say which campuses it shows",
}
# What somebody from another campus may do with an id of this one, and why that is no harm.
MAY = {
    "lab.credit": "written for the caller's own campus; the other one's requests are not touched",
    "orders.save_draft": "a draft is its author's own and nobody else sees it",
    "pricing.price_waiting": "prices waiting facts the caller may see: here none",
    "portal.keep_draft_key": "the caller's own key",
}
# Names of staff are for the whole hospital: on signatures, calls and schedules.
STAFF_NAMES = {"identity.staff", "identity.colleagues", "registration.offers"}
# Ids that are the hospital's and no campus's.
HOSPITAL_WIDE = {"PatientId", "StaffId"}
DISCRIMINATING_MIN = 70


def test_sec_authz_02_another_campus_cannot_tell_a_foreign_id_from_a_missing_one(
    hospital: Hospital,
) -> None:
    """SEC-AUTHZ-03, SEC-AUTHZ-05: with every permission, but at campus 2, what happened at campus 1
    looks as if it had never been: same refusal as for an id that does not exist, nothing shown."""
    pool, nothing = _pool(hospital), Pool()
    nothing.codes = pool.codes
    nothing.ids = {kind: ids for kind, ids in pool.ids.items() if kind in HOSPITAL_WIDE}
    nothing.texts = {name: "X-none" for name in pool.texts}
    stranger = person(("C2",), All(), "stranger")
    wrong = []
    for operation in _campus_bound(hospital):
        foreign = request_of(operation, pool)
        seen = hospital.run(hospital.ask(operation, foreign, stranger))
        missing = _outcome(hospital, operation, nothing, stranger)
        name = operation.full_name
        if seen.kind in ("fault", "unavailable"):
            wrong.append(f"{name}: {seen.kind} {seen.answer}")
        elif seen.kind != "ok" and (seen.kind, seen.answer) != (missing.kind, missing.answer):
            wrong.append(f"{name}: {seen.answer} for a foreign id, {missing.answer} for none")
        elif seen.kind == "ok" and operation.is_command and name not in MAY:
            wrong.append(f"{name}: done")
        elif seen.kind == "ok":
            wrong += [f"{name}: shows {what}" for what in _shown(operation, foreign, seen, pool)]
    assert wrong == []


def test_sec_authz_02_and_nothing_was_written_at_the_other_campus(hospital: Hospital) -> None:
    written = {
        (frame.source, frame.campus)
        for frame in hospital.run(hospital.frames())
        if frame.actor == "staff:stranger" and frame.tag != COMMAND_DONE
    }
    assert written == set()


def test_sec_authz_02_the_matrix_is_not_empty(hospital: Hospital) -> None:
    """At home the same requests are answered otherwise; so it was the campus that refused."""
    pool = _pool(hospital)
    stranger, home = person(("C2",), All(), "stranger"), person(("C1",), All(), "home")
    differs = 0
    for operation in _campus_bound(hospital):
        request = request_of(operation, pool)
        abroad = hospital.run(hospital.ask(operation, request, stranger))
        differs += abroad != hospital.run(hospital.ask(operation, request, home))
    assert differs >= DISCRIMINATING_MIN


def test_every_exception_is_still_one(hospital: Hospital) -> None:
    names = {operation.full_name for operation in hospital.operations()}
    assert set(MAY) <= names
    assert set(SHARED) <= {name.partition(".")[0] for name in names}


def _pool(hospital: Hospital) -> Pool:
    pool: Pool = hospital.run(hospital.pool("C1"))
    pool.codes = {"CampusCode": "C1", "DepartmentCode": "C1-CARD", "StoreCode": "C1-OP"}
    return pool


def _campus_bound(hospital: Hospital) -> list[Operation]:
    return [
        operation
        for operation in hospital.operations()
        if operation.board not in SHARED and operation.full_name not in OPEN_TO_ALL
    ]


def _shown(operation: Operation, request: Any, seen: Outcome, pool: Pool) -> Iterator[str]:
    """Ids and personal words of campus 1 in an answer, beyond those that were asked with."""
    asked = {found.value for found in walk(request, operation.request, "")}
    known = {id for ids in pool.ids.values() for id in ids}
    for found in walk(seen.answer, operation.returns, ""):
        if found.value in asked:
            continue
        if isinstance(found.value, UUID) and found.value in known and found.kind != "StaffId":
            yield found.kind
        elif operation.full_name in STAFF_NAMES:
            continue
        elif found.is_personal and isinstance(found.value, str):
            yield f"{found.kind} {found.value!r}"


def _outcome(hospital: Hospital, operation: Operation, pool: Pool, actor: Any) -> Outcome:
    request = request_of(operation, pool)
    outcome: Outcome = hospital.run(hospital.ask(operation, request, actor))
    return outcome
