"""A lean client: requests made beforehand, one connection each, every answer looked at.

It shares the machine with the server it measures, so it does as little as it can without believing
anything: it waits on one epoll, sends bytes that were ready before the clock started, and decodes
each answer into what it must contain.
"""

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

SLOW_S = 30.0
TICKS_A_SECOND = 100  # what /proc counts in
READ_BYTES = 1 << 18
OK = b"HTTP/1.1 200"
LENGTH = b"content-length: "
Check = Callable[[bytes], None]


class Result(NamedTuple):
    """What one measurement found."""

    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    server_ms: float  # processor time of the server, a request
    client_ms: float

    def __str__(self) -> str:
        return (
            f"{self.per_s:6.0f}/s  p50 {self.p50_ms:5.1f}  p95 {self.p95_ms:5.1f}  "
            f"p99 {self.p99_ms:5.1f} ms  cpu: server {self.server_ms:.2f} + "
            f"client {self.client_ms:.2f} ms each"
        )


class _Client:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.heard = b""
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def hear(self) -> bytes | None:
        """The body of a whole answer, or nothing yet. Anything but 200 ends the measurement."""
        piece = self.socket.recv(READ_BYTES)
        if not piece:
            raise RuntimeError("the server hung up")
        heard = self.heard + piece if self.heard else piece
        end = heard.find(b"\r\n\r\n")
        at = heard.find(LENGTH, 0, end) + len(LENGTH)
        if (
            end < 0
            or at < len(LENGTH)
            or len(heard) < (whole := end + 4 + int(heard[at : heard.index(b"\r", at)]))
        ):
            self.heard = heard
            return None
        if not heard.startswith(OK) or len(heard) != whole:
            raise RuntimeError(heard[:2_000].decode(errors="replace"))
        self.heard = b""
        return heard[end + 4 :]


def request(path: str, token: str, body: bytes) -> bytes:
    """One call of the JSON interface, as bytes."""
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


def page(path: str, token: str) -> bytes:
    """One page, as bytes."""
    return (
        f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n"
    ).encode()


def measure(
    port: int, server: int, requests: deque[bytes], *, clients: int, seconds: float, check: Check
) -> Result:
    """Ask from ``clients`` connections at once, each waiting for its answer; none is sent twice."""
    took: list[float] = []
    with selectors.EpollSelector() as events:
        for client in [_Client(port) for _ in range(clients)]:
            events.register(client.socket, selectors.EVENT_READ, client)
        cpu, own = _cpu_s(server), time.process_time()
        started = time.perf_counter()
        until = started + seconds
        for key in list(events.get_map().values()):
            key.data.send(requests.popleft())
        while events.get_map():
            for client, body in _answers(events):
                now = time.perf_counter()
                took.append(now - client.sent_at)
                check(body)
                if now < until and requests:
                    client.send(requests.popleft())
                else:
                    events.unregister(client.socket)
                    client.socket.close()
        spent = time.perf_counter() - started
        own, cpu = time.process_time() - own, _cpu_s(server) - cpu
    took.sort()
    count = len(took)
    p50, p95, p99 = (took[int(count * share)] * 1000 for share in (0.5, 0.95, 0.99))
    return Result(count / spent, p50, p95, p99, cpu / count * 1000, own / count * 1000)


def _answers(events: selectors.EpollSelector) -> Iterator[tuple[_Client, bytes]]:
    ready = events.select(SLOW_S)
    if not ready:
        raise RuntimeError("no answer")
    for key, _ in ready:
        body = key.data.hear()
        if body is not None:
            yield key.data, body


def _cpu_s(process: int) -> float:
    """User and system time of a process until now; 0 is nobody."""
    if not process:
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
