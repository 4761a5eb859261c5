"""Alerts by e-mail."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from schemas.alert import Alert
from sinks.channels.delivery import Doubtful, Refused, TryLater
from sinks.channels.words import headline, whole

_SECONDS = 15.0
_MOST_BYTES = 500_000


class Mail:
    """Through `smtp://[user:password@]host[:port]` (STARTTLS where it is offered, and always before a password) or `smtps://`."""

    batch = 20
    a_minute: int | None = 30
    may_repeat = False

    def __init__(self, name: str, url: str, sender: str, to: Sequence[str], language: str = "zh") -> None:
        self.name = name
        self._server = urlsplit(url)
        self._sender = sender
        self._to = tuple(to)
        self._language = language

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Raises TryLater, Refused or Doubtful."""
        message = EmailMessage()
        more = f" (+{len(alerts) - 1})" if len(alerts) > 1 else ""
        message["Subject"] = headline(alerts[0], self._language).replace("\n", " ") + more
        message["From"], message["To"] = self._sender, ", ".join(self._to)
        message["Message-ID"] = f"<{alerts[0].alert_id}.{alerts[0].version}@rflow>"
        message.set_content(whole(alerts, self._language, _MOST_BYTES), cte="base64")
        try:
            client = self._connect()
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError) as error:
            raise Refused(f"the server does not let us in: {type(error).__name__}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise TryLater(f"no connection: {type(error).__name__}") from None
        self._send(client, message)

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        host, context = server.hostname or "localhost", ssl.create_default_context()
        if server.scheme == "smtps":
            client: smtplib.SMTP = smtplib.SMTP_SSL(host, server.port or 465, timeout=_SECONDS, context=context)
        else:
            client = smtplib.SMTP(host, server.port or 25, timeout=_SECONDS)
            client.ehlo()
            if client.has_extn("starttls") or server.username:
                client.starttls(context=context)
        if server.username:
            client.login(unquote(server.username), unquote(server.password or ""))
        return client

    def _send(self, client: smtplib.SMTP, message: EmailMessage) -> None:
        try:
            client.send_message(message)
        except smtplib.SMTPServerDisconnected:
            raise Doubtful("the connection ended within the message") from None
        except smtplib.SMTPResponseException as error:
            raise (TryLater if 400 <= error.smtp_code < 500 else Refused)(f"code {error.smtp_code}") from None
        except smtplib.SMTPRecipientsRefused:
            raise Refused("no recipient was taken") from None
        except (smtplib.SMTPException, OSError) as error:
            raise Doubtful(f"no answer: {type(error).__name__}") from None
        finally:
            client.close()
