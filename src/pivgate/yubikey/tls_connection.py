# SPDX-License-Identifier: Apache-2.0
"""A TLS 1.2 or 1.3 connection, as a client that logs in with a key it cannot read.

Python's ``ssl`` wants the client's private key as a file; a key made in a YubiKey has none. tlslite-ng takes
any object that signs, so the signature of the handshake is made on the key.

The server is judged before the client's certificate is sent: nobody learns who we are, and no signature
is made, for a server that is not the one meant.
"""

import io
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tlslite.constants import AlertDescription, CipherSuite
from tlslite.errors import TLSError, TLSLocalAlert, TLSRemoteAlert
from tlslite.handshakesettings import HandshakeSettings
from tlslite.messages import Certificate, CertificateRequest
from tlslite.tlsconnection import TLSConnection
from tlslite.x509 import X509
from tlslite.x509certchain import X509CertChain

from pivgate.errors import GateError, RefusedError
from pivgate.yubikey.server_certificate import check_server_certificate, is_address, not_good
from pivgate.yubikey.tls_ciphers import CIPHER_NAMES, FastRecordLayer
from pivgate.yubikey.tls_key import Login, TlsliteKey

TLS_1_2, TLS_1_3 = (3, 3), (3, 4)
"""As they are on the wire (RFC 8446, section 4.1.2)."""

_TIMEOUT = 15.0
_CERTIFICATE_AUTHORITIES = 47
"""The extension's number (RFC 8446, section 4.2), which tlslite-ng has no name for."""
_REASONS = {
    AlertDescription.certificate_required: "it wants a client certificate and got none",
    AlertDescription.bad_certificate: "it does not take this certificate, or wants one and got none",
    AlertDescription.unknown_ca: "the certificate is not from the gate's authority",
    AlertDescription.certificate_expired: "the certificate is outside its dates",
    AlertDescription.unsupported_certificate: "it cannot use this kind of certificate",
}


class AlertError(RefusedError):
    """The server ended the handshake with an alert (RFC 8446, section 6.2).

    Attributes:
        description: The alert's number.
    """

    def __init__(self, alert: TLSRemoteAlert) -> None:
        self.description: int = alert.description
        reason = _REASONS.get(alert.description, f"TLS alert {alert}")
        super().__init__(
            f"The gate refused the handshake: {reason}",
            "Look at the key with `pivgate key list`, and at its certificate with `pivgate key show`.",
        )


class OtherAuthorityError(RefusedError):
    """The site asks for certificates of other authorities than the one that issued ours."""


class _PatientSocket:
    """A socket whose writes do not fail once the other side has closed it.

    In TLS 1.3 the server judges the client's certificate after the client's last word. Its alert may be
    waiting to be read while our request meets a closed door; the reason is in the alert, so reading must
    come to it.
    """

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def send(self, data: bytes) -> int:
        """Send, or drop what nobody reads any more."""
        try:
            return self._raw.send(data)
        except (BrokenPipeError, ConnectionResetError):
            return len(data)

    def sendall(self, data: bytes) -> None:
        """Send all, or drop what nobody reads any more."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._raw.sendall(data)


class KeyConnection(TLSConnection):  # type: ignore[misc] # tlslite has no types
    """A TLS connection to a site.

    Args:
        raw: A connected socket; closed by ``close``.
        server_name: The site: sent as SNI, and checked against the server's certificate.
        trust: Certificates of the authorities that may have signed the server's certificate.
        login: The client certificate; without one the gate gets none.

    Attributes:
        server_chain: What the server showed, its own certificate first; empty before that.
        trusted: Whether the server's certificate was found good for the site.
        authorities: The names in the server's request for a certificate; None when it did not ask. An empty
            list means that any authority will do.
    """

    def __init__(
        self,
        raw: socket.socket,
        server_name: str,
        trust: Sequence[x509.Certificate],
        login: Login | None = None,
    ) -> None:
        super().__init__(_PatientSocket(raw))
        self._recordLayer = FastRecordLayer(self.sock)
        self._raw = raw
        self._server_name = server_name
        self._trust = trust
        self._login = login
        self.server_chain: list[x509.Certificate] = []
        self.trusted = False
        self.authorities: list[x509.Name] | None = None

    def shake_hands(self, versions: Sequence[tuple[int, int]] = (TLS_1_2, TLS_1_3)) -> None:
        """Shake hands; the server's certificate is checked before ours is sent.

        Args:
            versions: Those that may be used.

        Raises:
            ServerCertificateError: The server is not who it should be.
            OtherAuthorityError: It would not take our certificate.
            AlertError: The gate refused the handshake.
            GateError: The other side does not speak TLS as it should, or broke off.
        """
        settings = HandshakeSettings()
        settings.minVersion, settings.maxVersion = min(versions), max(versions)
        settings.cipherNames = list(CIPHER_NAMES)
        settings.keyExchangeNames = ["ecdhe_ecdsa", "ecdhe_rsa"]
        # Go's server answers a compressed client certificate with "unexpected message".
        settings.certificate_compression_send = []
        # TLS 1.2's other RSA padding arrives already padded; PSS is what TLS 1.3 uses as well.
        settings.rsaSchemes = ["pss"]
        identity: dict[str, Any] = {}
        if self._login is not None:
            certificate = X509()
            certificate.parseBinary(bytearray(self._login.certificate.public_bytes(Encoding.DER)))
            identity = {"certChain": X509CertChain([certificate]), "privateKey": TlsliteKey(self._login)}
        try:
            self.handshakeClientCert(
                settings=settings,
                serverName=None if is_address(self._server_name) else self._server_name,
                alpn=[bytearray(b"http/1.1")],
                **identity,
            )
        except TLSRemoteAlert as alert:
            raise AlertError(alert) from alert
        except (TLSError, OSError) as error:
            if isinstance(error, TLSLocalAlert) and error.description == AlertDescription.protocol_version:
                raise no_common_version(self._server_name) from error
            raise GateError(
                f"The TLS handshake with {self._server_name} failed: {_words(error)}",
                "Look at the gate with `pivgate status`.",
            ) from error

    @property
    def cipher_suite(self) -> str:
        """The name of the cipher suite (RFC 8446, appendix B.4)."""
        return str(CipherSuite.ietfNames[self.session.cipherSuite])

    @property
    def waiting(self) -> bool:
        """Whether something has arrived that was not read; true as well when the other side has closed."""
        if self.sock._read_buffer:
            return True
        timeout = self._raw.gettimeout()
        try:
            self._raw.setblocking(False)
            self._raw.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            with suppress(OSError):
                self._raw.settimeout(timeout)
        return True

    def makefile(self, mode: str = "r", bufsize: int = -1) -> io.BufferedReader:
        """Return a file to read from, with a buffer: without one, reading nothing waits for something."""
        return io.BufferedReader(super().makefile(mode, bufsize))

    def cut(self) -> None:
        """End the connection at once; a thread that waits on it wakes up."""
        with suppress(OSError):
            self._raw.shutdown(socket.SHUT_RDWR)
        self._raw.close()

    def _getMsg(self, *expected: Any) -> Iterator[Any]:  # noqa: N802 - tlslite's name
        """Watch what the server says: tlslite-ng keeps neither its request nor asks about its certificate."""
        for message in super()._getMsg(*expected):
            if isinstance(message, CertificateRequest) and not self.server_chain:
                self.authorities = _named_authorities(message)  # TLS 1.3: the certificate follows
            elif isinstance(message, Certificate):
                self._judge_server(message)
                self._judge_authorities()
            elif isinstance(message, CertificateRequest):
                self.authorities = _named_authorities(message)  # TLS 1.2: the certificate came before
                self._judge_authorities()
            yield message

    def _judge_server(self, message: Any) -> None:
        shown = message.cert_chain.x509List if message.cert_chain else []
        try:
            self.server_chain = [x509.load_der_x509_certificate(bytes(item.bytes)) for item in shown]
        except ValueError as error:
            raise not_good(self._server_name, f"it cannot be read: {error}") from error
        check_server_certificate(self.server_chain, self._server_name, self._trust)
        self.trusted = True

    def _judge_authorities(self) -> None:
        if self._login is None or not self.authorities:
            return
        ours = self._login.certificate.issuer
        if ours not in self.authorities:
            wanted = "; ".join(name.rfc4514_string() for name in self.authorities)
            raise OtherAuthorityError(
                f"{self._server_name} asks for a certificate of {wanted}; the one on this key is from "
                f"{ours.rfc4514_string()}",
                "Use a key that was provisioned for that site, or ask whoever runs it.",
            )


def no_common_version(server_name: str) -> GateError:
    """Say that the two sides have no version of TLS, or no cipher, in common."""
    return GateError(
        f"{server_name} and this client have no TLS version or cipher in common",
        "Try again without --tls.",
    )


def open_connection(
    address: tuple[str, int], timeout: float = _TIMEOUT, hint: str = "Start the gate with `pivgate up`."
) -> socket.socket:
    """Open a TCP connection.

    Args:
        address: Host and port.
        timeout: Seconds, for this and for everything that is read or written on it.
        hint: What to do when nobody answers.

    Raises:
        GateError: The name does not resolve, or nobody answers.
    """
    host, port = address
    try:
        raw = socket.create_connection((host, port), timeout)
    except socket.gaierror as error:
        raise GateError(
            f"The name {host} does not resolve: {error.strerror}",
            "Check how it is spelt, and that DNS or /etc/hosts has it.",
        ) from error
    except OSError as error:
        raise GateError(f"Nobody answers at {host} port {port}: {error.strerror or error}", hint) from error
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return raw


def _named_authorities(request: CertificateRequest) -> list[x509.Name]:
    """Read the authorities in a CertificateRequest (RFC 5246, section 7.4.4; RFC 8446, section 4.2.4)."""
    if request.version <= TLS_1_2:
        encoded = [bytes(name) for name in request.certificate_authorities]
    else:
        extension = request.getExtension(_CERTIFICATE_AUTHORITIES)
        encoded = _split(bytes(extension.extData)) if extension else []
    names = []
    for each in encoded:
        with suppress(ValueError):  # a name that cannot be read is not the one of our authority
            names.append(x509.Name.from_bytes(each))
    return names


def _split(data: bytes) -> list[bytes]:
    found, rest = [], data[2:]
    while rest:
        length = int.from_bytes(rest[:2], "big")
        found.append(rest[2 : 2 + length])
        rest = rest[2 + length :]
    return found


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (
        str(error) or "the other side broke off"
        if not isinstance(error, TimeoutError)
        else "no answer in time"
    )
