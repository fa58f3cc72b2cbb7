"""Every operation of every board: its arguments and answers arrive as they were sent."""

from typing import Any

import pytest

from plugward.kernel.board import Board
from plugward.kernel.codec import from_json, hash_of, to_json
from plugward.kernel.contracts import Operation
from plugward.kernel.envelope import Envelope, acting_as
from plugward.rack.discover import discover
from plugward.rack.node import Node
from plugward.rack.wire.answerer import Offer
from plugward.rack.wire.directory import State
from plugward.rack.wire.nats import NatsWire

from .examples import Examples
from .rack import Rack, a_nurse, reached

pytestmark = pytest.mark.wire


class Mirror:
    """Stands for a board: remembers what it was asked, and answers what it was told to."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answer: Any = None

    async def __call__(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        del operation, envelope
        self.asked.append(request)
        return self.answer


def boards() -> list[Board]:
    found = [board for board in discover().boards if board.contract is not None]
    assert len(found) >= 15
    return found


async def test_every_operation_of_every_board_crosses_the_wire(rack: Rack) -> None:
    """所有插板的所有操作：参数与答复经线缆往返，一字不差。"""
    mirror, examples, seen = Mirror(), Examples(), 0
    caller = await _caller(rack, mirror)
    sees_all = a_nurse(*(f"{board.name}.see-identifiers" for board in boards()))
    for board in boards():
        assert board.contract is not None
        await reached(caller, board.name)
        client = caller.runtime.client(board.contract.protocol, caller="front")
        for operation in board.contract.operations.values():
            request = examples.message(operation.request)
            mirror.answer = examples.of(operation.returns)
            values = [getattr(request, name) for name in operation.parameters]
            with acting_as(sees_all):
                answer = await getattr(client, operation.name)(*values)
            assert mirror.asked.pop() == request, operation.full_name
            assert answer == mirror.answer, operation.full_name
            seen += 1
    assert seen >= 150


async def _caller(rack: Rack, mirror: Mirror) -> Node:
    """One process answers for every board; the other one calls it."""
    all_boards = boards()
    key = rack.credentials(*(board.manifest for board in all_boards))
    wire = await NatsWire.connect(rack.url, key, clock=rack.clock)
    caller = await rack.node(edge=True)
    for board in all_boards:
        assert board.contract is not None
        await wire.serve(
            State(board=board.name, version="1.0.0", process=wire.process, pid=0),
            call=Offer(board.contract.operations, mirror),
        )
    rack.others.append(wire)
    return caller


def test_every_operation_of_every_board_survives_json() -> None:
    """同样的内容以 JSON 往返（供院外系统调用），也一字不差。"""
    examples = Examples()
    for board in boards():
        assert board.contract is not None
        for operation in board.contract.operations.values():
            request = examples.message(operation.request)
            again = from_json(to_json(request), operation.request)
            assert again == request, operation.full_name
            assert hash_of(again) == hash_of(request), operation.full_name
            answer = examples.of(operation.returns)
            assert from_json(to_json(answer), operation.returns) == answer, operation.full_name
