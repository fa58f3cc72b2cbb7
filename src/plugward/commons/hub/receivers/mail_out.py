"""Mail out: a message becomes an e-mail to addresses of the configuration, never of the message.

The body is a JSON object with ``subject`` and ``text``, or is the text. What goes out by mail has
left the hospital's hands: tell that something happened, not to whom.
"""

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import NamedTuple

import msgspec

from ..lanes import Failed, Kind
from ..ledger_records import Delivery, Outcome
from ..ledger_tables import State

_SUBJECT_MAX = 200
_PERMANENT = 500


class Written(msgspec.Struct, frozen=True):
    """What a message may say."""

    text: str
    subject: str = ""


class Server(NamedTuple):
    """Where mail is handed over."""

    host: str
    port: int
    user: str = ""
    password: str = ""
    starttls: ssl.SSLContext | None = None
    answer_s: float = 30.0


class MailOut:
    """One sender and its recipients."""

    def __init__(self, server: Server, sender: str, to: Sequence[str], subject: str) -> None:
        if not to or not all("@" in one and one.isprintable() for one in (sender, *to)):
            raise ValueError("sender and to are e-mail addresses")
        if server.user and server.starttls is None:
            raise ValueError("a password is sent by TLS only: starttls = true")
        self._server = server
        self._sender = sender
        self._to = tuple(to)
        self._subject = subject
        self.answers = False

    async def deliver(self, delivery: Delivery) -> Outcome:
        """One attempt."""
        try:
            mail = self.written(delivery)
        except (UnicodeDecodeError, ValueError, MessageError):
            return Outcome(State.DEAD, "the message is no text")
        return await asyncio.to_thread(self._send, mail)

    async def close(self) -> None:
        """Nothing is held."""

    def written(self, delivery: Delivery) -> EmailMessage:
        """The mail."""
        plain = delivery.body.decode()
        try:
            said = msgspec.json.decode(plain, type=Written)
        except msgspec.DecodeError:
            said = Written(plain)
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._to)
        # A subject is one line: what would start another header is a space.
        mail["Subject"] = " ".join((said.subject or self._subject).split())[:_SUBJECT_MAX]
        mail["Date"] = format_datetime(delivery.at)
        domain = self._sender.rpartition("@")[2]
        mail["Message-ID"] = f"<{delivery.message}-{delivery.part}@{domain}>"
        mail.set_content(said.text)
        return mail

    def _send(self, mail: EmailMessage) -> Outcome:
        there, self.answers = self._server, False
        kind = Kind.CONNECT
        try:
            with smtplib.SMTP(there.host, there.port, timeout=there.answer_s) as link:
                if there.starttls is not None:
                    link.starttls(context=there.starttls)
                if there.user:
                    link.login(there.user, there.password)
                kind = Kind.NO_ANSWER
                refused = link.send_message(mail, self._sender, self._to)
        except smtplib.SMTPRecipientsRefused as no:
            codes = [code for code, _ in no.recipients.values()]
            return _judged(min(codes))
        except smtplib.SMTPResponseException as no:
            return _judged(no.smtp_code)
        except smtplib.SMTPServerDisconnected as failure:
            raise Failed("the mail server hung up", kind) from failure
        except (OSError, smtplib.SMTPException) as failure:
            raise Failed(type(failure).__name__, kind) from failure
        self.answers = True
        reason = f"{len(refused)} of {len(self._to)} recipients were refused" if refused else ""
        return Outcome(State.DONE, reason)


def _judged(code: int) -> Outcome:
    if code >= _PERMANENT:
        return Outcome(State.DEAD, f"SMTP {code}")
    raise Failed(f"SMTP {code}", Kind.ERROR)
