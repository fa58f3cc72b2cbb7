"""Who is who: registering at the desk, twice, without papers, with a mother's card; merging."""

from datetime import date
from itertools import permutations

import pytest

from plugward.boards.encounters.contract import (
    Encounter,
    EncounterCancelled,
    EncounterFinished,
    EncounterKind,
    EncounterState,
)
from plugward.boards.patients.board import board
from plugward.boards.patients.contract import (
    ID_CARD,
    INSURANCE_NO,
    AllergiesOnRecord,
    AllergyId,
    AllergyNotFound,
    AllergySource,
    AllergyState,
    AlreadyMerged,
    BirthDateOffCard,
    Contact,
    ContactKind,
    Coverage,
    CoverageKind,
    DifferentIdCards,
    DuplicateSuspected,
    IdCardInvalid,
    IdentifierTaken,
    LocalNumber,
    MatchOutcome,
    NameMissing,
    NotMerged,
    Patient,
    PatientMerged,
    PatientNotFound,
    PatientRegistered,
    Patients,
    PatientUnmerged,
    PatientUpdated,
    RecordAllergy,
    RegisterPatient,
    Registration,
    SearchTooShort,
    TimelineKind,
    UpdatePatient,
    local_system,
)
from plugward.boards.patients.fakes import FakePatients
from plugward.boards.patients.rules import (
    Features,
    card_number,
    folded,
    is_valid_card,
    pinyin_full,
    pinyin_initials,
    score,
)
from plugward.kernel import NotFound
from plugward.kernel.refusals import NotAllowed
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_time
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
    Identifier,
    PatientId,
    Sex,
)

C1, C2 = CampusCode("C1"), CampusCode("C2")
BORN = date(1964, 5, 20)
BOTH = ("C1", "C2")


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(board, transport=request.param, now="2026-03-02 08:00")


def card(birth: date = BORN, serial: int = 2) -> str:
    """A synthetic ID card number of a region that does not exist; even serials are women."""
    body = f"990001{birth:%Y%m%d}{serial:03d}"
    total = sum(int(d) * w for d, w in zip(body, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3) * 2, strict=False))
    return body + "10X98765432"[total % 11]


def somebody(
    name: str = "沈玉兰",
    *,
    campus: CampusCode = C1,
    card_no: str = "",
    born: date | None = BORN,
    phone: str = "",
    sex: Sex = Sex.FEMALE,
) -> RegisterPatient:
    return RegisterPatient(
        id=PatientId(new_id()),
        campus=campus,
        name=name,
        sex=sex,
        birth_date=born,
        identifiers=(Identifier(system=ID_CARD, value=card_no),) if card_no else (),
        contacts=(Contact(kind=ContactKind.PHONE, value=phone),) if phone else (),
    )


async def register(bench: Bench, request: RegisterPatient) -> Registration:
    return await bench.client(Patients).register(request)


async def patient(bench: Bench, request: RegisterPatient) -> Patient:
    return (await register(bench, request)).patient


# ── A06 ─────────────────────────────────────────────────────────────────────────────────────


async def test_a06_same_person_registers_twice(bench: Bench) -> None:
    """同一身份证在另一院区建档，姓名多一空格、电话不同：一个主索引号，两个门诊号，电话为第二联系方式。"""
    with bench.acting(campuses=BOTH):
        first = await register(bench, somebody("Zhang San", card_no=card(), phone="139 0000 1111"))
        second = await register(
            bench, somebody("张三 ", campus=C2, card_no=f" {card()}", phone="13900002222")
        )
    assert (first.outcome, second.outcome) == (MatchOutcome.NEW, MatchOutcome.LINKED)
    known = second.patient
    assert known.id == first.patient.id
    assert known.local_numbers == (
        LocalNumber(campus=C1, value="C100000001"),
        LocalNumber(campus=C2, value="C200000001"),
    )
    assert [c.value for c in known.contacts] == ["139 0000 1111", "13900002222"]
    assert known.name == "Zhang San"  # nothing is overwritten
    assert len(bench.published(PatientRegistered)) == 1
    [updated] = bench.published(PatientUpdated)
    assert updated.patient == known
    sent = await bench.client(Patients).sent(known.id)
    assert [r.sent.name for r in sent] == ["张三 ", "Zhang San"]  # as each system sent it
    for campus, number in ((C1, "C100000001"), (C2, "C200000001")):
        found = await bench.client(Patients).identify(local_system(campus), number)
        assert found is not None
        assert found.id == known.id
    await bench.prove()


async def test_registering_the_same_person_again_changes_nothing(bench: Bench) -> None:
    request = somebody(card_no=card(), phone="13900001111")
    first = await patient(bench, request)
    again = await register(bench, request.replace(id=PatientId(new_id())))
    assert again.patient == first
    assert bench.published(PatientUpdated) == []


async def test_a_retried_registration_makes_one_patient(bench: Bench) -> None:
    request, same, answers = somebody(), new_id(), []
    for _ in range(2):
        with bench.request(same):
            answers.append(await register(bench, request))
    assert answers[0] == answers[1]
    assert len(bench.published(PatientRegistered)) == 1


async def test_two_valid_cards_are_two_people_however_alike(bench: Bench) -> None:
    """双胞胎：同名同生日同电话，身份证不同 → 两个人，不进待核对。"""
    one = await register(bench, somebody(card_no=card(serial=2), phone="13900001111"))
    two = await register(bench, somebody(card_no=card(serial=4), phone="13900001111"))
    assert two.outcome is MatchOutcome.NEW
    assert one.patient.id != two.patient.id
    with pytest.raises(DifferentIdCards):
        await bench.client(Patients).merge(two.patient.id, one.patient.id, "像同一人")


async def test_a_childs_visit_on_its_mothers_card_is_the_childs(bench: Bench) -> None:
    """监护人持卡带孩子就诊：孩子是另一个人，母亲的证件不归孩子。"""
    mother = await patient(bench, somebody(card_no=card(), phone="13900001111"))
    child = await register(
        bench,
        somebody("王小宝", card_no=card(), born=date(2020, 1, 2), phone="13900001111"),
    )
    assert child.patient.id != mother.id
    assert child.patient.identifier(ID_CARD) == ""
    assert child.outcome is MatchOutcome.NEW
    nameless = await register(bench, somebody("王大宝", card_no=card(), born=None))
    assert nameless.patient.id != mother.id
    assert nameless.outcome is MatchOutcome.REVIEW
    assert [c.other for c in nameless.candidates] == [mother.id]


async def test_a_misspelt_name_or_a_mistyped_birth_date_is_forgiven(bench: Bench) -> None:
    known = await patient(bench, somebody("沈玉兰", card_no=card()))
    for slip in (
        somebody("沈玉蓝", card_no=card(), born=None),
        somebody("沈玉兰", card_no=card(), born=date(1964, 5, 2)),
    ):
        assert (await patient(bench, slip)).id == known.id


async def test_another_number_alone_decides_only_with_the_name(bench: Bench) -> None:
    insured = somebody("沈玉兰").replace(
        identifiers=(Identifier(system=INSURANCE_NO, value="SIM-0001"),)
    )
    known = await patient(bench, insured)
    again = await patient(bench, insured.replace(id=PatientId(new_id())))
    assert again.id == known.id
    with pytest.raises(IdentifierTaken) as refused:
        await register(
            bench,
            insured.replace(id=PatientId(new_id()), name="王建国", birth_date=date(1950, 1, 1)),
        )
    assert refused.value.other == known.id
    assert len(bench.published(PatientRegistered)) == 1


# ── A07 ─────────────────────────────────────────────────────────────────────────────────────


async def test_a07_no_id_maybe_the_same_person(bench: Bench) -> None:
    """无证件、姓名和生日与已有患者相同 → 新建一人，列入待核对，不自动合并。"""
    known = await patient(bench, somebody(card_no=card()))
    arrived = await register(bench, somebody())
    assert arrived.outcome is MatchOutcome.REVIEW
    assert arrived.patient.id != known.id
    assert arrived.patient.person == arrived.patient.id
    [candidate] = arrived.candidates
    assert (candidate.patient, candidate.other) == (arrived.patient.id, known.id)
    assert set(candidate.evidence) == {"same-name", "same-birth-date"}
    assert [e.candidate for e in bench.published(DuplicateSuspected)] == [candidate]
    assert await bench.client(Patients).candidates() == (candidate,)
    assert arrived.patient.local_number("C1")  # the desk can go on at once

    await bench.client(Patients).dismiss_candidate(known.id, arrived.patient.id, "不是同一人")
    assert await bench.client(Patients).candidates() == ()


async def test_somebody_without_a_name_date_or_paper_can_be_registered(bench: Bench) -> None:
    unknown = await register(bench, somebody("无名氏 0302-0800", born=None, sex=Sex.UNKNOWN))
    assert unknown.outcome is MatchOutcome.NEW
    assert unknown.patient.birth_date is None
    assert unknown.patient.allergy_state is AllergyState.NOT_ASKED


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (somebody("   "), NameMissing),
        (somebody(card_no="990001196405200021"), IdCardInvalid),
        (somebody(card_no=card(), born=date(1965, 5, 20)), BirthDateOffCard),
    ],
    ids=["no-name", "bad-card", "other-birth-date"],
)
async def test_what_cannot_be_is_refused(
    request_: RegisterPatient, refusal: type[Exception]
) -> None:
    bench = Bench(board)
    with pytest.raises(refusal):
        await register(bench, request_)
    assert bench.published(PatientRegistered) == []


async def test_a_card_tells_what_was_not_typed(bench: Bench) -> None:
    known = await patient(bench, somebody(card_no=card(), born=None, sex=Sex.UNKNOWN))
    assert (known.birth_date, known.sex) == (BORN, Sex.FEMALE)


# ── A08 ─────────────────────────────────────────────────────────────────────────────────────


def visit(patient: PatientId, state: EncounterState = EncounterState.FINISHED) -> Encounter:
    return Encounter(
        id=EncounterId(new_id()),
        patient=patient,
        patient_name="沈玉兰",
        campus=C1,
        department=DepartmentCode("C1-CARD"),
        kind=EncounterKind.OUTPATIENT,
        day=date(2026, 3, 2),
        state=state,
        doctor_name="林予安",
        arrived_at=hospital_time("2026-03-02 08:30"),
        started_at=hospital_time("2026-03-02 09:00"),
    )


async def visits_of(bench: Bench, patient: PatientId) -> list[PatientId]:
    """Under which ids the visits of this person are."""
    patients = bench.client(Patients)
    entries = await patients.timeline(await patients.person_of(patient))
    return sorted(e.patient for e in entries if e.kind is TimelineKind.VISIT)


async def test_a08_merge_and_un_merge(bench: Bench) -> None:
    """P1 三次就诊、P2 一次，合并后都在 P1 名下，拆分后各归各；过敏史两边都留；什么都不改写。"""
    patients = bench.client(Patients)
    one = await patient(bench, somebody(card_no=card()))
    two = await patient(bench, somebody("沈玉蓝"))
    for who in (one.id, one.id, one.id, two.id):
        await bench.receive(EncounterFinished(encounter=visit(who)), times=2)
    penicillin = RecordAllergy(id=AllergyId(new_id()), patient=two.id, substance="青霉素")
    await patients.record_allergy(penicillin)
    before = {who: await patients.get(who) for who in (one.id, two.id)}

    leading = await patients.merge(two.id, one.id, "同一人，证件后补")
    assert leading.person == one.id
    assert await patients.person_of(two.id) == await patients.person_of(one.id)
    assert await patients.person_of(one.id) == (one.id, two.id)
    assert await visits_of(bench, one.id) == sorted([one.id, one.id, one.id, two.id])
    assert await visits_of(bench, two.id) == await visits_of(bench, one.id)
    [allergy] = leading.allergies
    assert (allergy.patient, allergy.source) == (two.id, AllergySource.PATIENT)
    assert leading.allergy_state is AllergyState.PRESENT
    [summary] = await patients.summaries((one.id,))
    assert summary.allergy_state is AllergyState.PRESENT
    named = await patients.names((two.id, PatientId(new_id()), one.id))
    assert [(n.id, n.person, n.name) for n in named] == [
        (two.id, one.id, "沈玉蓝"),
        (one.id, one.id, "沈玉兰"),
    ]
    for number in (*before[one.id].local_numbers, *before[two.id].local_numbers):
        found = await patients.identify(local_system(number.campus), number.value)
        assert found is not None
        assert found.person == one.id
    [merged] = bench.published(PatientMerged)
    assert (merged.patient, merged.into, merged.ids) == (two.id, one.id, (one.id, two.id))
    await bench.prove()

    await patients.unmerge(two.id, "误合并")
    assert {who: await patients.get(who) for who in before} == before
    assert await visits_of(bench, one.id) == [one.id] * 3
    assert await visits_of(bench, two.id) == [two.id]
    [undone] = bench.published(PatientUnmerged)
    assert (undone.patient, undone.out_of, undone.ids) == (two.id, one.id, (two.id,))
    await bench.prove()


async def test_every_order_of_merging_three_gives_one_person_and_comes_apart(bench: Bench) -> None:
    patients = bench.client(Patients)
    for trio in permutations([(0, 1), (1, 2), (0, 2)], 2):
        people = [
            (await patient(bench, somebody(f"患者{i}", born=date(1990, 1, i + 1)))).id
            for i in range(3)
        ]
        for one, other in trio:
            await patients.merge(people[one], people[other], "同一人")
        for who in people:
            assert set(await patients.person_of(who)) == set(people)
        with pytest.raises(AlreadyMerged):
            await patients.merge(people[0], people[2], "再次")
        undone = 0
        for who in people:
            try:
                await patients.unmerge(who, "误合并")
                undone += 1
            except NotMerged:
                continue
        assert undone == 2
        for who in people:
            assert await patients.person_of(who) == (who,)
    await bench.prove()


async def test_only_a_supervisor_merges(bench: Bench) -> None:
    one, two = [await patient(bench, somebody(f"患者{i}")) for i in range(2)]
    with bench.acting(permissions={"patients.read", "patients.register", "patients.update"}):
        patients = bench.client(Patients)
        with pytest.raises(NotAllowed):
            await patients.merge(one.id, two.id, "同一人")
        with pytest.raises(NotAllowed):
            await patients.unmerge(one.id, "误合并")
        with pytest.raises(NotAllowed):
            await patients.candidates()


# ── allergies ───────────────────────────────────────────────────────────────────────────────


async def test_not_asked_is_not_none(bench: Bench) -> None:
    """未询问 → 已询问无过敏 → 有过敏 → 更正后回到已询问无过敏；更正的记录保留。"""
    patients = bench.client(Patients)
    who = (await patient(bench, somebody())).id
    assert (await patients.get(who)).allergy_state is AllergyState.NOT_ASKED
    asked = await patients.declare_no_allergies(who, AllergySource.PATIENT)
    assert asked.allergy_state is AllergyState.NONE_KNOWN
    allergy = RecordAllergy(
        id=AllergyId(new_id()), patient=who, substance="头孢曲松", source=AllergySource.TEST
    )
    known = await patients.record_allergy(allergy)
    assert known.allergy_state is AllergyState.PRESENT
    assert known.allergies[0].recorded_by == "staff:tester"
    with pytest.raises(AllergiesOnRecord):
        await patients.declare_no_allergies(who, AllergySource.PATIENT)
    for _ in range(2):
        wrong = await patients.refute_allergy(allergy.id, "皮试阴性，误录")
        assert (wrong.allergy_state, wrong.allergies) == (AllergyState.NONE_KNOWN, ())
    with pytest.raises(AllergyNotFound):
        await patients.refute_allergy(AllergyId(new_id()), "没有这条")
    assert len(bench.published(PatientUpdated)) == 3
    await bench.prove()


# ── putting right and finding ───────────────────────────────────────────────────────────────


async def test_what_is_put_right_is_kept_with_what_was_sent(bench: Bench) -> None:
    patients = bench.client(Patients)
    who = await patient(bench, somebody("沈玉蓝", born=None))
    fixed = await patients.update(
        UpdatePatient(
            patient=who.id,
            name="沈玉兰",
            birth_date=BORN,
            identifiers=(Identifier(system=ID_CARD, value=card()),),
            coverage=Coverage(kind=CoverageKind.EMPLOYEE, number="SIM-1"),
        )
    )
    assert (fixed.name, fixed.pinyin, fixed.birth_date) == ("沈玉兰", "SYL", BORN)
    assert fixed.coverage.kind is CoverageKind.EMPLOYEE
    assert [s.id for s in await patients.find("SYL")] == [who.id]
    assert [r.sent.name for r in await patients.sent(who.id)] == ["沈玉兰", "沈玉蓝"]
    other = await patient(bench, somebody("王建国", born=date(1950, 1, 1)))
    with pytest.raises(IdentifierTaken):
        await patients.update(
            UpdatePatient(patient=other.id, identifiers=(Identifier(system=ID_CARD, value=card()),))
        )
    with pytest.raises(PatientNotFound):
        await patients.update(UpdatePatient(patient=PatientId(new_id()), name="无"))


SAID = ("沈玉", "沈玉兰", "SYL", "syl", "shenyu", "1111", "13900001111", "C100000001", card())


async def test_a_patient_is_found_by_what_people_say(bench: Bench) -> None:
    who = await patient(bench, somebody(card_no=card(), phone="13900001111"))
    await patient(bench, somebody("王建国", born=date(1950, 1, 1), phone="13900002222"))
    for text in SAID:
        found = await bench.client(Patients).find(text)
        assert [(hit.id, hit.name, hit.phone_end) for hit in found] == [
            (who.id, "沈玉兰", "1111")
        ], text
        assert found[0].id_card_end == card()[-4:]


async def test_a_search_is_short_and_bounded(bench: Bench) -> None:
    patients = bench.client(Patients)
    for i in range(30):
        await patient(bench, somebody("李明", born=date(1990, 1, i + 1)))
    for text in ("", "李", " 李 ", "L"):
        with pytest.raises(SearchTooShort):
            await patients.find(text)
    with bench.queries(at_most=7):
        assert len(await patients.find("李明", limit=500)) == 20
    assert await patients.find("%%") == ()
    assert await patients.find("没有这个人") == ()


async def test_two_hundred_patients_of_a_list_are_six_statements(bench: Bench) -> None:
    ids = tuple([(await patient(bench, somebody("李明", born=None))).id for _ in range(40)])
    with bench.queries(at_most=6):
        found = await bench.client(Patients).summaries((*ids, PatientId(new_id())))
    assert tuple(s.id for s in found) == ids


async def test_whole_patients_are_read_in_one_go(bench: Bench) -> None:
    """批量读取与逐个读取完全一致，语句数与人数无关。"""
    patients = bench.client(Patients)
    ids = [(await patient(bench, somebody("李明", born=None))).id for _ in range(20)]
    await patients.record_allergy(
        RecordAllergy(id=AllergyId(new_id()), patient=ids[1], substance="青霉素")
    )
    await patients.declare_no_allergies(ids[2], AllergySource.PATIENT)
    await patients.merge(ids[1], ids[0], "同一人")
    one_by_one = tuple([await patients.get(id_) for id_ in ids])
    with bench.queries(at_most=9):
        together = await patients.many((*ids, PatientId(new_id()), ids[0]))
    assert together == one_by_one


async def test_a_campus_sees_its_own_visits_only(bench: Bench) -> None:
    who = (await patient(bench, somebody())).id
    await bench.receive(EncounterFinished(encounter=visit(who)))
    with bench.acting(campuses=("C2",)):
        assert await bench.client(Patients).timeline((who,)) == ()
        with pytest.raises(NotFound):  # nor does it register in another campus's name
            await register(bench, somebody("王建国", campus=C1, born=None))
    gone = visit(who, EncounterState.IN_PROGRESS)
    await bench.receive(EncounterFinished(encounter=gone))
    await bench.receive(EncounterCancelled(encounter=gone))
    assert await visits_of(bench, who) == [who]


# ── the rules alone ─────────────────────────────────────────────────────────────────────────


def test_a_card_number_has_a_check_place_and_a_date() -> None:
    good = card()
    assert is_valid_card(good)
    for place in range(18):
        digit = "1" if good[place] != "1" else "2"
        assert not is_valid_card(good[:place] + digit + good[place + 1 :]), place
    assert not is_valid_card("")
    assert not is_valid_card(good[:-1])
    widened = card_number("990001640520002")  # an old one of fifteen places
    assert (widened, is_valid_card(widened)) == (card(), True)
    assert card_number(f" {good.lower()} ") == good


def test_names_are_compared_as_people_write_them() -> None:
    assert folded(" 张 三 ") == folded("张三") == "张三"
    assert folded("Anna  Müller") == "Anna Müller"
    assert folded("ＺＨＡＮＧ") == "ZHANG"
    assert (pinyin_initials("沈玉兰"), pinyin_full("沈玉兰")) == ("SYL", "shenyulan")


def test_twins_without_cards_are_not_suspected_but_homophones_are() -> None:
    def person(name: str) -> Features:
        return Features(
            name=name,
            sex=Sex.MALE,
            birth_date=BORN,
            id_card="",
            phones=("13900001111",),
            sound=pinyin_full(name),
        )

    assert score(person("张伟"), person("张强"))[0] < 60
    assert score(person("张伟"), person("章玮"))[0] >= 60
    other_sex = person("张伟").replace(sex=Sex.FEMALE)
    assert score(person("张伟"), other_sex)[0] < score(person("张伟"), person("张伟"))[0]


# ── the fake is held to the same promises ────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["real", "fake"])
async def test_real_and_fake_know_people_alike(kind: str) -> None:
    patients: Patients = FakePatients() if kind == "fake" else Bench(board).client(Patients)
    first = await patients.register(somebody(card_no=card(), phone="13900001111"))
    again = await patients.register(somebody(card_no=card()))
    assert (first.outcome, again.outcome) == (MatchOutcome.NEW, MatchOutcome.LINKED)
    shen = first.patient
    assert (await patients.get(shen.id)).name == "沈玉兰"
    assert [s.id for s in await patients.summaries((shen.id, PatientId(new_id())))] == [shen.id]
    [named] = await patients.names((shen.id, PatientId(new_id())))
    assert (named.id, named.person, named.name) == (shen.id, shen.person, "沈玉兰")
    assert [s.id for s in await patients.find("沈玉兰")] == [shen.id]
    assert [p.id for p in await patients.many((shen.id, PatientId(new_id())))] == [shen.id]
    found = await patients.identify(ID_CARD, card())
    assert found is not None
    assert found.id == shen.id
    assert await patients.identify(ID_CARD, "没有") is None
    other = (await patients.register(somebody("王建国", born=date(1950, 1, 1)))).patient
    await patients.merge(other.id, shen.id, "同一人")
    assert await patients.person_of(other.id) == (shen.id, other.id)
    await patients.unmerge(other.id, "误合并")
    with pytest.raises(NotMerged):
        await patients.unmerge(other.id, "再次")
    allergy = RecordAllergy(id=AllergyId(new_id()), patient=shen.id, substance="青霉素")
    assert (await patients.record_allergy(allergy)).allergy_state is AllergyState.PRESENT
    with pytest.raises(AllergiesOnRecord):
        await patients.declare_no_allergies(shen.id, AllergySource.PATIENT)
    refuted = await patients.refute_allergy(allergy.id, "误录")
    assert refuted.allergy_state is AllergyState.NOT_ASKED
    with pytest.raises(PatientNotFound):
        await patients.get(PatientId(new_id()))
