# SPDX-License-Identifier: Apache-2.0
"""An HTTPS client that logs in with a key, for a few small requests."""

import http.client
from collections.abc import Sequence

from cryptography import x509
from tlslite.errors import TLSError, TLSRemoteAlert

from pivgate.errors import GateError
from pivgate.yubikey.tls_connection import AlertError, KeyConnection, open_connection
from pivgate.yubikey.tls_key import Login

_TIMEOUT = 15.0


class HttpsConnection(http.client.HTTPConnection):
    """An HTTP/1.1 connection over TLS 1.3 or 1.2, with or without a client certificate.

    Args:
        address: Where to connect, host and port.
        server_name: The site: sent as SNI, and checked against the server's certificate.
        trust: Certificates of the authorities that may have signed the server's certificate.
        login: The client certificate; without one the gate gets none.
    """

    def __init__(
        self,
        address: tuple[str, int],
        server_name: str,
        trust: Sequence[x509.Certificate],
        login: Login | None = None,
    ) -> None:
        super().__init__(address[0], address[1], timeout=_TIMEOUT)
        self._server_name = server_name
        self._trust = trust
        self._login = login

    def connect(self) -> None:
        """Connect and shake hands; nothing has been asked for before that.

        Raises:
            GateError: Nobody answers, or the server is not who it should be.
            RefusedError: The gate refused the handshake.
        """
        raw = open_connection((self.host, self.port), _TIMEOUT)
        tls = KeyConnection(raw, self._server_name, self._trust, self._login)
        try:
            tls.shake_hands()
        except BaseException:
            raw.close()
            raise
        self.sock = tls

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Send a request and return status and body.

        Raises:
            RefusedError: The gate refused the certificate; TLS 1.3 says so only after the handshake.
            GateError: The connection broke.
        """
        try:
            self.request(method, path, headers={"Host": self._server_name, **(headers or {})})
            response = self.getresponse()
            return response.status, response.read()
        except TLSRemoteAlert as alert:
            raise AlertError(alert) from alert
        except (TLSError, http.client.HTTPException, OSError) as error:
            raise GateError(
                f"The connection to {self._server_name} broke: {error}",
                "Look at the gate with `pivgate status`.",
            ) from error
