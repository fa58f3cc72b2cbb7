#!/usr/bin/env python3
"""Closed-loop HL7 v2 over MLLP load generator.

One message in flight per connection: send a framed message, wait for its ACK, check MSA-1 and that
MSA-2 echoes our MSH-10, record the round trip, send the next one. Sockets are raw asyncio
protocols; the message is a pre-rendered template in which only the control id is patched.

    .venv/bin/python bench/mllp_load.py --port 2575 --connections 8 --seconds 10 --message adt

Prints one JSON object. ``msgs_per_s`` counts positive ACKs inside the measured window (after
``--warmup``); ``naks`` are AE/AR/CE/CR; ``errors`` are connection failures, bad frames, control-id
mismatches and ACK time-outs. Percentiles are in milliseconds over positive ACKs.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import time
from dataclasses import dataclass, field

import uvloop

SB, EB, CR = b"\x0b", b"\x1c\x0d", b"\r"
ID_WIDTH = 16
MARK = "@" * ID_WIDTH

ADT = (
    f"MSH|^~\\&|HIS|MAIN|HUB|MAIN|20261122101500||ADT^A01^ADT_A01|{MARK}|P|2.5.1|||AL|NE||"
    "UNICODE UTF-8",
    "EVN|A01|20261122101500|||OP001^LIN^WEI",
    "PID|1||P00012345^^^MAIN^MR~440301199001011234^^^CN^NI||张^三^^^^^L||19900101|M|||"
    "福中一路^^深圳^广东^518000^CN^H||^PRN^CP^^86^755^83366388|||M||V0098765^^^MAIN^VN",
    "NK1|1|张^四|SPO^配偶|福中一路^^深圳^广东^518000^CN|^PRN^CP^^86^755^83366399",
    "PV1|1|I|W12^0305^01^MAIN^^N^B1|E|||D1024^陈^明|D2048^王^芳||CAR||||1|||D1024^陈^明|IP|"
    "V0098765^^^MAIN^VN|03|||||||||||||||||||MAIN||A|||20261122101500",
    "AL1|1|DA|J01CA04^AMOXICILLIN^ATC|SV|RASH",
    "DG1|1||I21.0^急性前壁心肌梗死^ICD10||20261122|A",
    "IN1|1|SZYB^深圳医保|SZ01|深圳市医疗保障局",
)
ORU = (
    f"MSH|^~\\&|LIS|LAB|HUB|MAIN|20261122101500||ORU^R01^ORU_R01|{MARK}|P|2.5.1|||AL|NE||"
    "UNICODE UTF-8",
    "PID|1||P00012345^^^MAIN^MR||张^三^^^^^L||19900101|M|||福中一路^^深圳^广东^518000^CN^H",
    "PV1|1|O|OPD1^^^MAIN||||D1024^陈^明|||CAR||||||||OP|V0098765^^^MAIN^VN",
    "ORC|RE|ORD20261122001^HIS|LAB20261122001^LIS||CM||||20261122093000|||D1024^陈^明",
    "OBR|1|ORD20261122001^HIS|LAB20261122001^LIS|24323-8^综合代谢生化^LN|||20261122090000|||||||"
    "20261122091000||D1024^陈^明||||||20261122101000||CH|F",
)
TESTS = (
    *("GLU", "BUN", "CREA", "NA", "K", "CL", "CO2", "CA", "TP", "ALB"),
    *("TBIL", "ALP", "AST", "ALT", "EGFR", "MG", "PHOS", "UA", "TG", "CHOL"),
)


def build(kind: str) -> tuple[bytes, bytes]:
    """The framed message as what goes before and after its 16-character control id."""
    segments = list(ADT if kind == "adt" else ORU)
    if kind == "oru20":
        segments += [
            f"OBX|{i}|NM|{2340 + i}-{i % 10}^{test}^LN||{3.1 * i:.2f}|mmol/L|{i}.0-{i * 4}.0|N|||F"
            f"|||20261122100{i % 10}00||T{i:03d}^李^娜"
            for i, test in enumerate(TESTS, 1)
        ]
    raw = ("\r".join(segments) + "\r").encode("utf-8")
    before, after = raw.split(MARK.encode())
    return SB + before, after + EB


@dataclass
class Tally:
    """What all connections share: the message, the window, and the counts."""

    options: argparse.Namespace
    before: bytes
    after: bytes
    prefix: bytes
    begins: float = 0.0
    ends: float = 0.0
    acks: int = 0
    naks: int = 0
    errors: int = 0
    sent: int = 0
    first_nak: str = ""
    first_error: str = ""
    trips: list[float] = field(default_factory=list)

    def error(self, why: str) -> None:
        self.errors += 1
        self.first_error = self.first_error or why

    def nak(self, frame: bytes) -> None:
        self.naks += 1
        self.first_nak = self.first_nak or frame[:300].decode("utf-8", "replace")

    def ack(self, now: float, sent_at: float) -> None:
        if self.begins <= now <= self.ends:
            self.acks += 1
            self.trips.append(now - sent_at)

    def report(self) -> dict[str, object]:
        trips = sorted(self.trips)
        options = self.options
        return {
            "message": options.message,
            "bytes": len(self.before) + ID_WIDTH + len(self.after),
            "connections": options.connections,
            "seconds": options.seconds,
            "acks": self.acks,
            "sent": self.sent,
            "msgs_per_s": round(self.acks / options.seconds, 1),
            "p50_ms": percentile(trips, 0.50),
            "p90_ms": percentile(trips, 0.90),
            "p99_ms": percentile(trips, 0.99),
            "max_ms": percentile(trips, 1.0),
            "naks": self.naks,
            "errors": self.errors,
            "first_nak": self.first_nak,
            "first_error": self.first_error,
        }


class Connection(asyncio.Protocol):
    """One sender: it has one message under way until the window ends."""

    def __init__(self, tally: Tally, done: "asyncio.Future[None]") -> None:
        self.tally, self.done = tally, done
        self.buffer = bytearray()
        self.control_id = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fire(self) -> None:
        tally = self.tally
        tally.sent += 1
        self.control_id = tally.prefix + b"%010d" % tally.sent
        self.sent_at = time.perf_counter()
        self.transport.write(tally.before + self.control_id + tally.after)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(EB)
        if end < 0:
            return
        now = time.perf_counter()
        frame = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        if frame[:1] != SB:
            self.tally.error(f"bad frame start: {frame[:60]!r}")
            self.transport.abort()
            return
        self.judge(frame, now)
        if now >= self.tally.ends:
            self.finish()
        else:
            self.fire()

    def judge(self, frame: bytes, now: float) -> None:
        _, _, msa = frame.partition(b"\rMSA")
        fields = [*msa.split(CR)[0].split(frame[4:5]), b"", b""]
        code, echoed = fields[1], fields[2]
        if code not in (b"AA", b"CA"):
            self.tally.nak(frame)
        elif echoed != self.control_id:
            self.tally.error(f"MSA-2 {echoed!r} is not what was sent, {self.control_id!r}")
        else:
            self.tally.ack(now, self.sent_at)

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            if time.perf_counter() < self.tally.ends:
                self.tally.error(f"connection lost: {exc!r}")
            self.done.set_result(None)


def percentile(sorted_trips: list[float], share: float) -> float | None:
    """In milliseconds."""
    if not sorted_trips:
        return None
    at = min(len(sorted_trips) - 1, int(share * len(sorted_trips)))
    return round(1000 * sorted_trips[at], 3)


async def open_all(tally: Tally) -> list[Connection]:
    """Connect; a connection that cannot be made is an error in the tally, not the end."""
    loop = asyncio.get_running_loop()
    options, connections = tally.options, []
    for _ in range(options.connections):
        try:
            connection = Connection(tally, loop.create_future())
            async with asyncio.timeout(options.timeout):
                await loop.create_connection(
                    lambda made=connection: made, options.host, options.port
                )
        except OSError as failure:
            tally.error(f"connect: {failure!r}")
        else:
            connections.append(connection)
    return connections


async def watch(tally: Tally, connections: list[Connection]) -> None:
    """Give up on a connection whose ACK does not come."""
    while True:
        await asyncio.sleep(0.5)
        for one in connections:
            if not one.done.done() and time.perf_counter() - one.sent_at > tally.options.timeout:
                tally.error("ACK timeout")
                one.done.set_result(None)
                one.transport.abort()


async def run(options: argparse.Namespace) -> dict[str, object]:
    """Load the listener and report."""
    before, after = build(options.message)
    prefix = f"{int(time.time()) & 0xFFFFFF:06x}".encode()
    tally = Tally(options, before, after, prefix)
    connections = await open_all(tally)
    tally.begins = time.perf_counter() + options.warmup
    tally.ends = tally.begins + options.seconds
    for one in connections:
        one.fire()
    watchdog = asyncio.create_task(watch(tally, connections))
    if connections:
        limit = options.warmup + options.seconds + options.timeout + 1
        await asyncio.wait([one.done for one in connections], timeout=limit)
    watchdog.cancel()
    return tally.report()


def main() -> int:
    """Run from the command line; non-zero when anything but positive ACKs came back."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", choices=["127.0.0.1", "localhost", "::1"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warmup", type=float, default=1.0)
    parser.add_argument("--timeout", type=float, default=10.0, help="connect and ACK, seconds")
    parser.add_argument("--message", choices=["adt", "oru20"], default="adt")
    parser.add_argument("--print-message", action="store_true", help="write one sample and exit")
    options = parser.parse_args()
    if options.print_message:
        before, after = build(options.message)
        sys.stdout.buffer.write((before[1:] + b"0" * ID_WIDTH + after[:-2]).replace(b"\r", b"\n"))
        return 0
    out = uvloop.run(run(options))
    print(json.dumps(out, ensure_ascii=False))
    return 0 if out["acks"] and not out["errors"] and not out["naks"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
