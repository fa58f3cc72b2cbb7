"""MLLP over TLS: both sides show a certificate, or there is no conversation."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from plugward.commons.hub.alone import Options, listening
from plugward.commons.hub.endpoints import Tls, client_tls
from plugward.commons.hub.mllp import AnswerUnknown, MllpClient, NotSent

ADT = b"MSH|^~\\&|REG|C1|HUB|C1|20261122||ADT^A08^ADT_A01|7|P|2.5.1||||||UNICODE UTF-8\r"


def certificate(folder: Path, name: str) -> None:
    """A certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(place, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


async def test_only_who_shows_a_known_certificate_is_heard(tmp_path: Path) -> None:
    for name in ("hub", "lis"):
        certificate(tmp_path, name)
    told = Tls(cert="hub.pem", key="hub.key", ca="lis.pem")
    async with listening(Options(data=tmp_path, mllp_port=0, tls=told)) as doors:
        known = client_tls(Tls(ca="hub.pem", cert="lis.pem", key="lis.key"), tmp_path)
        nobody = client_tls(Tls(ca="hub.pem"), tmp_path)
        wary = client_tls(Tls(ca="lis.pem", cert="lis.pem", key="lis.key"), tmp_path)
        client = MllpClient("127.0.0.1", doors.mllp_port, tls=known)
        assert b"MSA|AA|7" in await client.send(ADT)
        await client.close()
        for context in (nobody, wary, None):
            stranger = MllpClient("127.0.0.1", doors.mllp_port, tls=context, answer_s=2.0)
            with pytest.raises((NotSent, AnswerUnknown)):
                await stranger.send(ADT.replace(b"|7|", b"|8|"))
            await stranger.close()
        assert (await doors.node.ledger.counts())["messages"] == 1
