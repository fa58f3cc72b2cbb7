"""Run 运行: a hub in a process of its own, 138 systems around it, and the proof at the end.

What was sent and acknowledged is compared with what arrived: nothing may be missing, and for each
patient and receiver the order may not differ. One receiver is switched off for a while.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from .peers import HttpReceiver, Manner, MllpReceiver, Receiver
from .senders import HttpSender, MllpSender, Sender
from .site import cpu_s, hub, peak_mib, plugward, prepare

LIBRARY = "hl7"
DRAIN_S = 180.0
DOWN_S = 60.0


@dataclass(frozen=True)
class Wish:
    """What the command line asked for."""

    systems: int = 138
    services: int = 771
    rate: float = 70.0
    minutes: float = 1.0
    data: Path | None = None
    seed: int = 1


class Report(msgspec.Struct, frozen=True):
    """What happened. ``lost`` and ``reordered`` have to be nothing."""

    systems: int
    services: int
    protocols: dict[str, int]
    libraries: tuple[str, ...]
    seconds: float
    acknowledged: int
    per_second: float
    p50_ms: float
    p99_ms: float
    asked_again: int
    received: int
    lost: int
    reordered: int
    unknown: int
    repeated: int
    down: str
    down_s: float
    drained_s: float
    hub_cpu_s: float
    hub_peak_mib: int
    ledger_messages: int
    ledger_pending: int
    ledger_dead: int

    @property
    def holds(self) -> bool:
        """Nothing lost, nothing reordered, nothing made up."""
        wrong = self.lost or self.reordered or self.unknown
        return not wrong and self.ledger_messages == self.acknowledged


def hospital(wish: Wish) -> tuple[list[Sender], list[Receiver], dict[str, str]]:
    """The systems, a third of them receivers, and where each service's messages go."""
    count = max(2, wish.systems // 3)
    receivers = [_receiver(number) for number in range(count)]
    by_protocol = {kind: [r for r in receivers if isinstance(r, kind)] for kind in _RECEIVERS}
    senders: list[Sender] = []
    table: dict[str, str] = {}
    total = wish.systems - count
    for number in range(total):
        is_http = number % 4 == 3  # noqa: PLR2004 - one in four
        there = by_protocol[HttpReceiver if is_http else MllpReceiver]
        mine = []
        for service in range(number, wish.services, total):
            name = f"V{service:03d}"
            table[name] = there[service % len(there)].name
            mine.append((name, table[name]))
        kind = HttpSender if is_http else MllpSender
        senders.append(kind(f"A{number:03d}", mine, wish.seed * 1000 + number))
    return senders, receivers, table


_RECEIVERS = (MllpReceiver, HttpReceiver)


def _receiver(number: int) -> Receiver:
    manner = Manner(
        pause_s=0.01 if number % 5 == 4 else 0.0,  # noqa: PLR2004 - one in five is slow
        refuses_each=97 if number % 3 == 2 else 0,  # noqa: PLR2004 - one in three has its moods
        library=LIBRARY if number % 6 == 2 and find_spec(LIBRARY) else "",  # noqa: PLR2004 - one in six
    )
    kind = HttpReceiver if number % 4 == 1 else MllpReceiver
    return kind(f"r{number:03d}", manner)


async def simulate(wish: Wish) -> Report:
    """The whole of it."""
    senders, receivers, table = hospital(wish)
    for one in receivers:
        await one.start()
    with tempfile.TemporaryDirectory(prefix="plugward-simulate-", dir=wish.data) as folder:
        data = Path(folder)
        await asyncio.to_thread(prepare, data, receivers, table)
        with hub(data) as (mllp, http, pid):
            began, cpu = time.monotonic(), cpu_s(pid)
            down_s = await _day(wish, senders, receivers[0], (mllp, http))
            seconds = time.monotonic() - began
            drained_s = await _drained(senders, receivers)
            cpu, peak = cpu_s(pid) - cpu, peak_mib(pid)
        stats = json.loads(plugward("hub", "stats", "--data", folder, "--json"))
    for one in receivers:
        await one.stop()
    return Report(
        **_told(senders, receivers, seconds),
        systems=wish.systems,
        services=len(table),
        down=receivers[0].name,
        down_s=round(down_s, 1),
        drained_s=round(drained_s, 1),
        hub_cpu_s=round(cpu, 1),
        hub_peak_mib=peak,
        ledger_messages=stats["messages"],
        ledger_pending=stats["pending"],
        ledger_dead=stats["dead"],
    )


async def _day(
    wish: Wish, senders: Sequence[Sender], absent: Receiver, ports: tuple[int, int]
) -> float:
    """Everybody sends; one receiver is away for a minute, or a third of it all."""
    loop = asyncio.get_running_loop()
    lasts = wish.minutes * 60
    until, every_s = loop.time() + lasts, len(senders) / wish.rate
    working = [
        asyncio.ensure_future(
            one.work(ports[isinstance(one, HttpSender)], every_s=every_s, until=until)
        )
        for one in senders
    ]
    await asyncio.sleep(lasts / 3)
    began = loop.time()
    await absent.stop()
    await asyncio.sleep(min(DOWN_S, lasts / 3))
    await absent.start()
    away = loop.time() - began
    await asyncio.gather(*working)
    return away


async def _drained(senders: Sequence[Sender], receivers: Sequence[Receiver]) -> float:
    """How long until everything sent has arrived, or patience has ended."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    sent = sum(len(ids) for one in senders for ids in one.sent.order.values())
    while loop.time() - began < DRAIN_S:
        if sum(len(one.book.ids) for one in receivers) >= sent:
            break
        await asyncio.sleep(0.1)
    return loop.time() - began


def _told(
    senders: Sequence[Sender], receivers: Sequence[Receiver], seconds: float
) -> dict[str, Any]:
    books = {one.name: one.book for one in receivers}
    took = sorted(one for sender in senders for one in sender.sent.seconds)
    sent: set[str] = set()
    lost = reordered = 0
    for sender in senders:
        for (to, patient), ids in sender.sent.order.items():
            sent |= set(ids)
            lost += sum(1 for one in ids if one not in books[to].ids)
            arrived = books[to].order.get(patient, [])
            here = set(arrived)
            reordered += arrived != [one for one in ids if one in here]
    received = {id_ for book in books.values() for id_ in book.ids}
    http = sum(isinstance(one, HttpSender | HttpReceiver) for one in (*senders, *receivers))
    return {
        "protocols": {"mllp": len(senders) + len(receivers) - http, "http": http},
        "libraries": tuple(sorted({one.manner.library for one in receivers} - {""})),
        "seconds": round(seconds, 1),
        "acknowledged": len(sent),
        "per_second": round(len(sent) / seconds, 1),
        "p50_ms": round(took[len(took) // 2] * 1000, 2),
        "p99_ms": round(took[len(took) * 99 // 100] * 1000, 2),
        "asked_again": sum(one.sent.refused for one in senders),
        "received": len(received),
        "lost": lost,
        "reordered": reordered,
        "unknown": len(received - sent),
        "repeated": sum(book.repeated for book in books.values()),
    }
