#!/usr/bin/env python3
"""mllp_load.py - closed-loop HL7 v2 / MLLP load generator (own code, stdlib only; uses uvloop when present).

One in-flight message per connection: send a framed message, wait for its ACK, check MSA-1 and
that MSA-2 echoes our MSH-10, record the round trip, send the next one.  Sockets are raw asyncio
Protocols (no streams layer), the message is a pre-rendered bytes template with only the control id patched.

  python mllp_load.py --host 127.0.0.1 --port 2575 --connections 8 --seconds 10 --message adt

Output: one JSON object on stdout.  msgs_per_s counts positive ACKs (AA/CA) inside the measured
window (after --warmup).  naks = AE/AR/CE/CR, errors = connection failures, bad frames, control-id
mismatches and ACK time-outs.  Percentiles are in milliseconds over positive ACKs.
"""
import argparse
import asyncio
import json
import socket
import sys
import time

SB, EB, CR = b"\x0b", b"\x1c\x0d", b"\r"
ID_WIDTH = 16


def build(kind: str) -> tuple[bytes, bytes]:
    """Return (before_id, after_id): framed message = before + 16-char control id + after."""
    mark = "@" * ID_WIDTH
    if kind == "adt":
        segs = [
            f"MSH|^~\\&|HIS|MAIN|HUB|MAIN|20261122101500||ADT^A01^ADT_A01|{mark}|P|2.5.1|||AL|NE||UNICODE UTF-8",
            "EVN|A01|20261122101500|||OP001^LIN^WEI",
            "PID|1||P00012345^^^MAIN^MR~440301199001011234^^^CN^NI||张^三^^^^^L||19900101|M|||福中一路^^深圳^广东^518000^CN^H||^PRN^CP^^86^755^83366388|||M||V0098765^^^MAIN^VN",
            "NK1|1|张^四|SPO^配偶|福中一路^^深圳^广东^518000^CN|^PRN^CP^^86^755^83366399",
            "PV1|1|I|W12^0305^01^MAIN^^N^B1|E|||D1024^陈^明|D2048^王^芳||CAR||||1|||D1024^陈^明|IP|V0098765^^^MAIN^VN|03|||||||||||||||||||MAIN||A|||20261122101500",
            "AL1|1|DA|J01CA04^AMOXICILLIN^ATC|SV|RASH",
            "DG1|1||I21.0^急性前壁心肌梗死^ICD10||20261122|A",
            "IN1|1|SZYB^深圳医保|SZ01|深圳市医疗保障局",
        ]
    elif kind == "oru20":
        segs = [
            f"MSH|^~\\&|LIS|LAB|HUB|MAIN|20261122101500||ORU^R01^ORU_R01|{mark}|P|2.5.1|||AL|NE||UNICODE UTF-8",
            "PID|1||P00012345^^^MAIN^MR||张^三^^^^^L||19900101|M|||福中一路^^深圳^广东^518000^CN^H",
            "PV1|1|O|OPD1^^^MAIN||||D1024^陈^明|||CAR||||||||OP|V0098765^^^MAIN^VN",
            "ORC|RE|ORD20261122001^HIS|LAB20261122001^LIS||CM||||20261122093000|||D1024^陈^明",
            "OBR|1|ORD20261122001^HIS|LAB20261122001^LIS|24323-8^综合代谢生化^LN|||20261122090000|||||||20261122091000||D1024^陈^明||||||20261122101000||CH|F",
        ]
        tests = ["GLU", "BUN", "CREA", "NA", "K", "CL", "CO2", "CA", "TP", "ALB",
                 "TBIL", "ALP", "AST", "ALT", "EGFR", "MG", "PHOS", "UA", "TG", "CHOL"]
        for i, t in enumerate(tests, 1):
            segs.append(f"OBX|{i}|NM|{2340 + i}-{i % 10}^{t}^LN||{3.1 * i:.2f}|mmol/L|{i}.0-{i * 4}.0|N|||F|||20261122100{i % 10}00||T{i:03d}^李^娜")
    else:
        raise SystemExit(f"unknown message {kind!r}")
    raw = ("\r".join(segs) + "\r").encode("utf-8")
    a, b = raw.split(mark.encode())
    return SB + a, b + EB


class Shared:
    __slots__ = (
        "acks",
        "after",
        "before",
        "errors",
        "first_error",
        "first_nak",
        "lat",
        "live",
        "naks",
        "prefix",
        "reconnect",
        "reopen",
        "sent",
        "seq",
        "stop_at",
        "t0",
        "timeout",
    )

    def __init__(self) -> None:
        self.lat: list[float] = []
        self.acks = self.naks = self.errors = self.seq = self.live = self.sent = 0
        self.first_nak = self.first_error = None
        self.t0 = self.stop_at = 0.0


class Conn(asyncio.Protocol):
    def __init__(self, sh: Shared, done: asyncio.Future) -> None:
        self.sh, self.done = sh, done
        self.buf = bytearray()
        self.cid = b""
        self.sent_at = 0.0
        self.moved = False
        self.heir = None

    def connection_made(self, tr) -> None:
        self.tr = tr
        sock = tr.get_extra_info("socket")
        if sock is not None:
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                pass
        self.sh.live += 1

    def fire(self) -> None:
        sh = self.sh
        sh.seq += 1
        sh.sent += 1
        self.cid = sh.prefix + b"%010d" % sh.seq
        self.sent_at = time.perf_counter()
        self.tr.write(sh.before + self.cid + sh.after)

    def err(self, why: str) -> None:
        self.sh.errors += 1
        if self.sh.first_error is None:
            self.sh.first_error = why

    def data_received(self, data: bytes) -> None:
        buf = self.buf
        buf += data
        if not buf.endswith(EB) and buf.find(EB) < 0:
            return
        now = time.perf_counter()
        end = buf.find(EB)
        frame = bytes(buf[:end])
        del buf[:end + 2]
        if frame[:1] != SB:
            self.err(f"bad frame start: {frame[:60]!r}")
            self.tr.abort()
            return
        sh = self.sh
        i = frame.find(b"\rMSA")
        fields = frame[i + 1:frame.find(CR, i + 1) if frame.find(CR, i + 1) > 0 else len(frame)].split(frame[4:5]) if i > 0 else []
        code = fields[1] if len(fields) > 1 else b""
        ref = fields[2] if len(fields) > 2 else b""
        if code in (b"AA", b"CA"):
            if ref != self.cid:
                self.err(f"MSA-2 {ref!r} != sent {self.cid!r}")
            elif now >= sh.t0 and now <= sh.stop_at:
                sh.acks += 1
                sh.lat.append(now - self.sent_at)
        elif code:
            sh.naks += 1
            if sh.first_nak is None:
                sh.first_nak = frame[:300].decode("utf-8", "replace")
        else:
            self.err(f"no MSA in {frame[:120]!r}")
        if now >= sh.stop_at:
            self.finish()
        elif sh.reconnect:
            self.moved = True
            self.tr.close()
            sh.reopen(self)
        else:
            self.fire()

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self.tr.close()

    def connection_lost(self, exc) -> None:
        self.sh.live -= 1
        if self.moved:
            return
        if not self.done.done():
            if time.perf_counter() < self.sh.stop_at:
                self.err(f"connection lost: {exc!r}")
            self.done.set_result(None)


def pct(v: list[float], p: float) -> float | None:
    return round(1000 * v[min(len(v) - 1, int(p * len(v)))], 3) if v else None


async def main_async(a) -> dict:
    sh = Shared()
    sh.before, sh.after = build(a.message)
    sh.prefix = ("%06x" % (int(time.time()) & 0xFFFFFF)).encode()
    sh.timeout = a.timeout
    loop = asyncio.get_running_loop()
    conns, futs = [], []
    sh.reconnect = a.reconnect

    def reopen(old: Conn) -> None:
        """--reconnect: one TCP connection per message; connect time counts in the round trip."""
        new = Conn(sh, old.done)
        old.heir = new
        conns[conns.index(old)] = new
        new.sent_at = began = time.perf_counter()

        async def go() -> None:
            try:
                await asyncio.wait_for(loop.create_connection(lambda: new, a.host, a.port), a.timeout)
                new.fire()
                new.sent_at = began
            except Exception as e:  # noqa: BLE001
                new.err(f"reconnect: {e!r}")
                if not new.done.done():
                    new.done.set_result(None)

        tasks.add(t := loop.create_task(go()))
        t.add_done_callback(tasks.discard)

    tasks: set = set()
    sh.reopen = reopen
    for _ in range(a.connections):
        fut = loop.create_future()
        try:
            _, p = await asyncio.wait_for(loop.create_connection(lambda f=fut: Conn(sh, f), a.host, a.port), a.timeout)
        except Exception as e:  # noqa: BLE001 - a load tool reports, it does not die
            sh.errors += 1
            sh.first_error = sh.first_error or f"connect: {e!r}"
            continue
        conns.append(p)
        futs.append(fut)
    start = time.perf_counter()
    sh.t0 = start + a.warmup
    sh.stop_at = sh.t0 + a.seconds
    for p in conns:
        p.fire()

    async def watchdog() -> None:
        while True:
            await asyncio.sleep(0.5)
            now = time.perf_counter()
            for p in conns:
                if not p.done.done() and now - p.sent_at > a.timeout:
                    p.err("ACK timeout")
                    p.done.set_result(None)
                    if getattr(p, "tr", None) is not None:
                        p.tr.abort()

    wd = asyncio.create_task(watchdog())
    if futs:
        await asyncio.wait(futs, timeout=a.warmup + a.seconds + a.timeout + 1)
    wd.cancel()
    v = sorted(sh.lat)
    return {
        "message": a.message, "bytes": len(sh.before) + ID_WIDTH + len(sh.after),
        "connections": a.connections, "reconnect": a.reconnect, "seconds": a.seconds, "acks": sh.acks, "sent": sh.sent,
        "msgs_per_s": round(sh.acks / a.seconds, 1), "p50_ms": pct(v, .50), "p90_ms": pct(v, .90),
        "p99_ms": pct(v, .99), "max_ms": pct(v, 1.0), "naks": sh.naks, "errors": sh.errors,
        "first_nak": sh.first_nak, "first_error": sh.first_error,
    }


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--host", default="127.0.0.1")
    ap.add_argument("--port", type=int, required=True)
    ap.add_argument("--connections", type=int, default=1)
    ap.add_argument("--seconds", type=float, default=10)
    ap.add_argument("--warmup", type=float, default=1.0)
    ap.add_argument("--timeout", type=float, default=10.0, help="connect / ACK time-out, seconds")
    ap.add_argument("--message", choices=["adt", "oru20"], default="adt")
    ap.add_argument("--reconnect", action="store_true", help="open a new TCP connection for every message")
    ap.add_argument("--print-message", action="store_true", help="write one sample message (CR as LF) and exit")
    a = ap.parse_args()
    if a.host not in ("127.0.0.1", "localhost", "::1"):
        raise SystemExit("loopback only")
    if a.print_message:
        b, c = build(a.message)
        sys.stdout.buffer.write((b[1:] + b"0" * ID_WIDTH + c[:-2]).replace(b"\r", b"\n"))
        return 0
    try:
        import uvloop
        runner = uvloop.run
    except ImportError:
        runner = asyncio.run
    out = runner(main_async(a))
    print(json.dumps(out, ensure_ascii=False))
    return 0 if out["errors"] == 0 and out["naks"] == 0 and out["acks"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
