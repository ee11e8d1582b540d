# SPDX-License-Identifier: Apache-2.0
"""One login with a key, step by step, with the time that each step takes."""

import http.client
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from cryptography import x509
from tlslite.errors import TLSError, TLSRemoteAlert

from pivgate.client.findings import Findings, explain_alert, judge_answer
from pivgate.client.key import CardKey
from pivgate.client.site import Site
from pivgate.errors import GateError, RefusedError
from pivgate.yubikey.server_certificate import ServerCertificateError
from pivgate.yubikey.tls_connection import (
    TLS_1_2,
    TLS_1_3,
    AlertError,
    KeyConnection,
    open_connection,
)

VERSIONS = {None: (TLS_1_2, TLS_1_3), "1.2": (TLS_1_2,), "1.3": (TLS_1_3,)}
"""What ``--tls`` allows."""

_AT_MOST = 65536


def probe(
    site: Site,
    key: CardKey,
    trust: Sequence[x509.Certificate],
    found: Findings,
    *,
    tls: str | None = None,
    now: datetime,
) -> None:
    """Log in and ask for the site's page.

    Args:
        site: Where.
        key: With which key.
        trust: Authorities that may vouch for the server.
        found: What is found out is written here, as far as it goes.
        tls: The only version to use, a key of ``VERSIONS``.
        now: The time, UTC, to tell whether the certificate is outside its dates.

    Raises:
        RefusedError: The gate or the site refused, or the server's certificate is not good.
        GateError: Nobody answers, or what answers does not speak TLS or HTTP.
        SecretError: The PIN is wrong or blocked.
        DeviceError: The key was pulled out.
    """
    started = time.perf_counter()
    raw = open_connection(site.address, hint="Check the name and the port, and whether the gate is up.")
    found.milliseconds["connect"] = _since(started)
    connection = KeyConnection(raw, site.host, trust, key.login)
    try:
        _shake_hands(connection, key, found, tls)
        _ask(connection, site, found)
    except AlertError as error:
        raise explain_alert(error, found, now) from error
    finally:
        connection.cut()


def _shake_hands(connection: KeyConnection, key: CardKey, found: Findings, tls: str | None) -> None:
    started, signing = time.perf_counter(), key.seconds
    try:
        connection.shake_hands(VERSIONS[tls])
        found.tls, found.cipher = connection.getVersionName(), connection.cipher_suite
        # In TLS 1.2 an answer to our certificate comes with the handshake, in 1.3 with the first answer.
        found.certificate_asked = connection.authorities is not None
    except ServerCertificateError as error:
        raise RefusedError(
            error.message,
            "Name the site's authority with --ca if it has one of its own. Otherwise do not go on: "
            "somebody else may be answering there.",
        ) from error
    finally:
        if connection.authorities is not None:
            found.certificate_asked = True
            found.authorities = [name.rfc4514_string() for name in connection.authorities]
        found.server_certificate = _server(connection)
        found.signatures = key.signatures
        signed = (key.seconds - signing) * 1000
        found.milliseconds["handshake"] = round(max(_since(started) - signed, 0.0), 1)
        found.milliseconds["signature"] = round(signed, 1)


def _ask(connection: KeyConnection, site: Site, found: Findings) -> None:
    started = time.perf_counter()
    request = http.client.HTTPConnection(site.host)
    request.sock = connection
    try:
        # Not text/html: the gate then gives its reason in plain words.
        request.request("GET", site.path, headers={"Host": site.authority, "Accept": "text/plain, */*;q=0.5"})
        response = request.getresponse()
        found.status, found.location = response.status, response.getheader("Location")
        body = b""
        # The head is what counts; a body that breaks off changes nothing.
        with suppress(TLSError, http.client.HTTPException, OSError):
            body = response.read(_AT_MOST)
    except TLSRemoteAlert as alert:
        raise AlertError(alert) from alert
    except (TLSError, http.client.HTTPException, OSError) as error:
        raise GateError(
            f"The connection broke before {site.host} answered: {str(error) or type(error).__name__}",
            "Run the same command again. If it stays like this, look at the gate with `pivgate status`.",
        ) from error
    finally:
        found.milliseconds["request"] = _since(started)
    judge_answer(found, body.decode(errors="replace"))


def _server(connection: KeyConnection) -> str | None:
    if not connection.server_chain:
        return None
    leaf = connection.server_chain[0]
    return f"from {leaf.issuer.rfc4514_string() or 'nobody'}, until {leaf.not_valid_after_utc:%Y-%m-%d}: " + (
        "good" if connection.trusted else "not trusted"
    )


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
