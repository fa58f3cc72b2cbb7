"""Rows, mails and files on other machines, with real servers on the other side."""

import asyncio
import email
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncssh
import msgspec
import pytest
from aiosmtpd.smtp import SMTP
from sqlalchemy import create_engine, text

from plugward.commons.hub.connectors.sftp_in import SftpSource
from plugward.commons.hub.connectors.sources_declared import SftpIn
from plugward.commons.hub.endpoints import Database, EndpointInvalid, Mail, Sftp, ready
from plugward.commons.hub.lanes import Failed, Kind
from plugward.commons.hub.ledger_records import Delivery
from plugward.commons.hub.ledger_tables import State
from plugward.commons.hub.node import Node
from plugward.kernel.clock import SystemClock
from plugward.kit.time import hospital_time
from tests.databases.servers import postgresql

AT = hospital_time("2026-03-02 08:00")


def delivery(body: bytes, seq: int = 7) -> Delivery:
    return Delivery(
        seq=seq,
        message=UUID(int=seq),
        destination="there",
        key="k",
        kind="POST /x",
        control_id="c",
        sender="his",
        body=body,
        attempts=0,
        at=AT,
    )


# ── rows ────────────────────────────────────────────────────────────────────────────────────────
INSERT = (
    "INSERT INTO result (id, no, patient, value) VALUES (:message_id, :no, :patient, :value)"
    " ON CONFLICT (id) DO NOTHING"
)
TABLE = (
    "CREATE TABLE result (id VARCHAR(60) PRIMARY KEY, no INTEGER NOT NULL, patient VARCHAR(60),"
    " value VARCHAR(20) NOT NULL)"
)


def secret(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return path.name


async def write_rows(data: Path, url: str) -> None:
    """What has to hold on any database."""
    told = Database(url_file=secret(data / "db.url", url), statement=INSERT)
    there = ready("db", told, base=data)
    deliver = there.destination.deliver
    row = {"no": 1, "patient": "患者'); DROP TABLE result;--", "value": [1, 2], "more": "unused"}
    body = msgspec.json.encode(row)
    assert (await deliver(delivery(body))).state is State.DONE
    assert (await deliver(delivery(body))).state is State.DONE  # again, after a lost answer
    assert there.is_connected()
    lacking = await deliver(delivery(b'{"no": 1}', 8))
    assert (lacking.state, lacking.reason) == (State.DEAD, "the message lacks patient, value")
    null = await deliver(delivery(b'{"no": 1, "patient": "P1", "value": null}', 9))
    assert null.state is State.DEAD
    assert "P1" not in null.reason
    assert (await deliver(delivery(b"[1]", 10))).state is State.DEAD
    await there.close()


async def test_a_message_becomes_a_row_once(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "db.sqlite") as other:
        other.execute(TABLE)
    await write_rows(tmp_path, f"sqlite:///{tmp_path / 'db.sqlite'}")
    assert other.execute("SELECT no, patient, value FROM result").fetchall() == [
        (1, "患者'); DROP TABLE result;--", "[1,2]")
    ]
    other.execute("DROP TABLE result")
    other.close()
    told = Database(url_file="db.url", statement=INSERT)
    there = ready("db", told, base=tmp_path)
    with pytest.raises(Failed):  # the table may come back: it is tried again
        await there.destination.deliver(delivery(b'{"no":1,"patient":"P","value":"v"}'))
    await there.close()
    (tmp_path / "db.url").chmod(0o644)
    with pytest.raises(EndpointInvalid, match="chmod"):
        ready("db", told, base=tmp_path)


@pytest.mark.full
async def test_a_message_becomes_a_row_of_postgresql(tmp_path: Path) -> None:
    with postgresql() as url:
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(text(TABLE))
        await write_rows(tmp_path, engine.url.render_as_string(hide_password=False))
        with engine.begin() as connection:
            assert connection.execute(text("SELECT value FROM result")).scalars().all() == ["[1,2]"]
        engine.dispose()
    there = ready("db", Database(url_file="db.url", statement=INSERT), base=tmp_path)
    with pytest.raises(Failed) as failed:
        await there.destination.deliver(delivery(b'{"no":1,"patient":"P","value":"v"}'))
    assert failed.value.kind == Kind.CONNECT  # nobody there: it is waited for
    await there.close()


# ── mail ────────────────────────────────────────────────────────────────────────────────────────
class Postman:
    """Another project's mail server keeps what it is given."""

    def __init__(self) -> None:
        self.got: list[tuple[str, list[str], bytes]] = []
        self.says = "250 kept"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 - its name there
        del server, session
        if self.says.startswith("250"):
            self.got.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return self.says


async def test_a_message_becomes_a_mail(tmp_path: Path) -> None:
    postman = Postman()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(postman, loop=loop), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    told = Mail(host="127.0.0.1", port=port, sender="hub@h.example", to=("it@h.example",))
    try:
        there = ready("mail", told, base=tmp_path)
        deliver = there.destination.deliver
        said = {"subject": "积压\r\nBcc: all@evil.example", "text": "LIS 积压 100\n.\nQUIT"}
        assert (await deliver(delivery(msgspec.json.encode(said)))).state is State.DONE
        [(sender, to, content)] = postman.got
        assert (sender, to) == ("hub@h.example", ["it@h.example"])
        mail = email.message_from_bytes(content, policy=default)
        assert mail["Subject"] == "积压 Bcc: all@evil.example"
        assert mail["Bcc"] is None
        assert mail.get_content().split() == ["LIS", "积压", "100", ".", "QUIT"]
        assert (await deliver(delivery(b"\xff"))).state is State.DEAD
        postman.says = "554 no"
        assert (await deliver(delivery(b"plain"))).reason == "SMTP 554"
        postman.says = "451 later"
        with pytest.raises(Failed) as failed:
            await deliver(delivery(b"plain"))
        assert failed.value.kind == Kind.ERROR
    finally:
        server.close()
        await server.wait_closed()
    with pytest.raises(Failed) as failed:
        await deliver(delivery(b"plain"))
    assert failed.value.kind == Kind.CONNECT
    for wrong in (
        msgspec.structs.replace(told, to=()),
        msgspec.structs.replace(told, to=("a@b\r\nBcc: c@d",)),
        msgspec.structs.replace(told, user="u"),
    ):
        with pytest.raises(EndpointInvalid):
            ready("mail", wrong, base=tmp_path)


# ── files on another machine ────────────────────────────────────────────────────────────────────
@asynccontextmanager
async def sftp_server(data: Path) -> AsyncIterator[tuple[int, Path]]:
    """A server of its own, with a folder, and our key as the only one it knows."""
    ours, theirs = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    (data / "hub.key").write_bytes(ours.export_private_key())
    (data / "known").write_bytes(b"")
    (data / "authorized").write_bytes(ours.export_public_key())
    root = data / "there"
    (root / "drop").mkdir(parents=True, exist_ok=True)

    def jailed(channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=os.fsencode(root))

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[theirs],
        authorized_client_keys=str(data / "authorized"),
        sftp_factory=jailed,
    )
    port = server.get_port()
    line = b"[127.0.0.1]:%d " % port + theirs.export_public_key()
    (data / "known").write_bytes(line)
    try:
        yield port, root / "drop"
    finally:
        server.close()
        await server.wait_closed()


async def test_a_message_becomes_a_file_there_and_a_file_there_a_message(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as (port, drop):
        out = Sftp(
            host="127.0.0.1",
            port=port,
            user="hub",
            key="hub.key",
            known_hosts="known",
            folder="drop",
        )
        there = ready("out", out, base=tmp_path)
        assert (await there.destination.deliver(delivery(b"MSH|1"))).state is State.DONE
        assert (await there.destination.deliver(delivery(b"MSH|1"))).state is State.DONE
        assert [one.name for one in drop.iterdir()] == ["000000000007-0.hl7"]
        wrong = ready("out", msgspec.structs.replace(out, folder="nowhere"), base=tmp_path)
        with pytest.raises(Failed) as failed:
            await wrong.destination.deliver(delivery(b"x"))
        assert failed.value.kind == Kind.ERROR
        await wrong.close()
        await there.close()
        node = Node(tmp_path / "hub", SystemClock(), keeps_all=True)
        for name in ("hub.key", "known"):
            (tmp_path / "hub").mkdir(exist_ok=True)
            (tmp_path / name).rename(tmp_path / "hub" / name)
        await node.start()
        told = SftpIn(
            host="127.0.0.1",
            port=port,
            user="hub",
            key="hub.key",
            known_hosts="known",
            folder="drop",
            settle_s=0.05,
        )
        source = SftpSource("in", told, node)
        (drop / "half.part").write_bytes(b"no")
        (drop / "link").symlink_to("/etc/hostname")
        await source.look()
        assert (await node.ledger.counts())["messages"] == 0  # it has to settle
        await asyncio.sleep(0.06)
        await source.look()
        assert await node.ledger.body(1) == b"MSH|1"
        assert not (drop / "000000000007-0.hl7").exists()
        assert [one.name for one in (drop / "processed").rglob("*.hl7")] == ["000000000007-0.hl7"]
        assert (await node.ledger.counts())["messages"] == 1
        await source.close()
        await node.stop()


@pytest.mark.full
async def test_a_server_with_another_key_is_not_spoken_to(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as (port, drop):
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key()
        (tmp_path / "known").write_bytes(b"[127.0.0.1]:%d " % port + other)
        out = Sftp(
            host="127.0.0.1",
            port=port,
            user="hub",
            key="hub.key",
            known_hosts="known",
            folder="drop",
        )
        there = ready("out", out, base=tmp_path)
        with pytest.raises(Failed) as failed:
            await there.destination.deliver(delivery(b"x"))
        assert failed.value.kind == Kind.CONNECT
        assert list(drop.iterdir()) == []
        await there.close()
