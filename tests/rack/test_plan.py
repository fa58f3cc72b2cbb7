"""``rack.toml``: followed as written, or refused with every mistake and its line.

机架文件：写对了照办；写错了，一次说全，并指出行号和改法。
"""

from pathlib import Path

import pytest

from plugward.rack.supervisor.plan import PlanError, RackPlan, Seat, parse_plan, read_plan

KNOWN = ("identity", "masterdata", "patients", "registration", "billing", "datacentre", "hub")


def problems(text: str) -> list[str]:
    with pytest.raises(PlanError) as refused:
        parse_plan(text, KNOWN)
    return list(refused.value.problems)


def test_without_a_word_every_board_has_a_process_of_its_own() -> None:
    plan = parse_plan("", KNOWN)
    assert plan == RackPlan()
    assert [seat.boards for seat in plan.seats(KNOWN)] == [(name,) for name in KNOWN]
    assert plan.connections_max == 80


def test_groups_share_a_process_and_replicas_are_processes_of_their_own() -> None:
    plan = parse_plan(
        """
[rack]
site = "east"
database = "postgresql://db.example/plugward"
port = 0
connections_max = 40

[groups]
desk = ["registration", "patients"]

[boards.billing]
replicas = 3

[boards.hub]
plugged = false
""",
        KNOWN,
    )
    assert plan.site == "east"
    assert plan.seats(KNOWN) == (
        Seat("identity", ("identity",)),
        Seat("masterdata", ("masterdata",)),
        Seat("desk", ("patients", "registration")),
        Seat("billing", ("billing",), 0),
        Seat("billing", ("billing",), 1),
        Seat("billing", ("billing",), 2),
        Seat("datacentre", ("datacentre",)),
    )
    assert [seat.label for seat in plan.seats(("billing",))] == [
        "billing",
        "billing-1",
        "billing-2",
    ]


def test_every_mistake_is_told_at_once_with_its_line_and_what_to_do() -> None:
    told = problems(
        """[rack]
sight = "main"
port = 99999
nats = "10.0.0.5"
database = "oracle://db"
connections_max = 81

[groups]
desk = ["registration", "patients"]
money = ["billing", "patients", "bilding"]
hub = ["hub", "masterdata"]
empty = []

[boards.billing]
replicas = "two"
colour = "red"

[boards.datacentre]
replicas = 2

[boards.nobody]
plugged = true

[bords]
"""
    )
    assert [sentence.split(":")[1] for sentence in told] == [
        "2", "3", "4", "5", "6", "10", "10", "11", "12", "15", "16", "19", "21", "24",
    ]  # fmt: skip
    for line, words in (
        (2, "there is no setting sight; there are site, host"),
        (3, "a port from 0"),
        (4, "nats://10.0.0.5:4222"),
        (5, "postgresql://"),
        (6, "from 1 to 80"),
        (10, "patients is in desk already"),
        (10, "no board is called 'bilding'; installed are billing, "),
        (11, "called like a board"),
        (12, 'empty = ["billing", "pricing"]'),
        (15, "from 1 to 16, not 'two'"),
        (16, "replicas, plugged"),
        (19, "the one process that opens its file"),
        (21, "no board is called 'nobody'"),
        (24, "use [rack], [groups], [boards"),
    ):
        assert any(s.startswith(f"rack.toml:{line}: ") and words in s for s in told), (line, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[rack]\nport = "8000\n', "rack.toml:2: "),
        ("rack = 1\n", "rack.toml:1: rack must be a section"),
        ("[rack]\nport = 2575\n", "rack.toml:2: portal and HL7 cannot share the port 2575"),
        ("[boards.billing]\nreplicas = 2\n", "rack.toml:2: billing keeps its tables in an SQLite"),
        (
            '[rack]\ndatabase = "postgresql"\n[groups]\nm = ["billing"]\n'
            "[boards.billing]\nreplicas = 2\n",
            "rack.toml:6: billing shares the process m",
        ),
        ("[boards]\nbilling = 3\n", "rack.toml:2: write [boards.billing]"),
        ("[boards.billing]\nplugged = 1\n", "rack.toml:2: plugged must be true or false"),
        (
            '[rack]\ndatabase = "mysql://his:secret@db/his"\n',
            "rack.toml:2: a password does not belong in database: put it into a file of mode 0600",
        ),
        ("[rack]\nport = true\n", "rack.toml:2: port must be a port"),
        ("[rack]\nsite = 'Ost Campus'\n", "rack.toml:2: site must be a short lower-case word"),
        ("boards.billing.replicas = 99\n", "rack.toml:1: replicas must be from 1 to 16"),
    ],
)
def test_one_mistake_alone(text: str, words: str) -> None:
    [told] = problems(text)
    assert told.startswith(words)


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        read_plan(tmp_path / "rack.toml", KNOWN)
