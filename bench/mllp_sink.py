#!/usr/bin/env python3
"""A receiver that says AA to everything and counts what came, once and again.

    .venv/bin/python bench/mllp_sink.py --ports 8

Prints its ports as one JSON list, then, whenever a line comes in on standard input, its counts.
It reads messages by splitting bytes, on its own; it shares no code with the hub.
"""

import argparse
import asyncio
import json
import sys
import time

import uvloop

SB, EB = b"\x0b", b"\x1c\x0d"


class Books:
    """What all connections share."""

    def __init__(self) -> None:
        self.received = 0
        self.ids: set[bytes] = set()
        self.repeated = 0
        self.first_at = self.last_at = 0.0

    def note(self, control_id: bytes) -> None:
        self.received += 1
        self.last_at = time.time()
        self.first_at = self.first_at or self.last_at
        if control_id in self.ids:
            self.repeated += 1
            return
        self.ids.add(control_id)


class Connection(asyncio.Protocol):
    """One sender."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(EB)) >= 0:
            raw = bytes(self.buffer[1:end])
            del self.buffer[: end + 2]
            head = raw.split(b"\r", 1)[0].split(b"|")
            control_id = head[9]
            self.books.note(control_id)
            answer = b"MSH|^~\\&|SINK|S|HUB|H|20261122||ACK^A01^ACK|S%b|P|2.5.1\rMSA|AA|%b\r"
            self.transport.write(SB + answer % (control_id[-8:], control_id) + EB)


async def run(count: int) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    books = Books()
    ports = []
    for _ in range(count):
        server = await loop.create_server(lambda: Connection(books), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        told = {
            "received": books.received,
            "unique": len(books.ids),
            "repeated": books.repeated,
            "first_at": books.first_at,
            "last_at": books.last_at,
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ports", type=int, default=1)
    uvloop.run(run(parser.parse_args().ports))
