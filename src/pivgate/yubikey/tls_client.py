# SPDX-License-Identifier: Apache-2.0
"""An HTTPS client that logs in with a private key it cannot read.

Python's ``ssl`` wants the client's private key as a file; a key made in a YubiKey has none. tlslite-ng
takes any object that signs, so the signature of the handshake is made on the key.
"""

import http.client
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from tlslite.constants import AlertDescription
from tlslite.errors import TLSError, TLSLocalAlert, TLSRemoteAlert
from tlslite.handshakesettings import HandshakeSettings
from tlslite.tlsconnection import TLSConnection
from tlslite.x509 import X509
from tlslite.x509certchain import X509CertChain

from pivgate.errors import GateError, RefusedError

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_TIMEOUT = 15.0

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


class HandshakeSigner(Protocol):
    """What makes the client's signature, on the key."""

    def sign(
        self,
        message: bytes,
        hash_algorithm: hashes.HashAlgorithm | Prehashed | None,
        rsa_padding: padding.AsymmetricPadding | None,
    ) -> bytes:
        """Return a signature over ``message``, in the form X.509 uses for this kind of key."""


@dataclass(frozen=True)
class Login:
    """The client certificate and the key that proves it."""

    certificate: x509.Certificate
    signer: HandshakeSigner


class _Curve:
    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self.baselen = (key.curve.key_size + 7) // 8


class _TlsliteKey:
    """The face that tlslite-ng expects of a private key."""

    def __init__(self, login: Login) -> None:
        public_key = login.certificate.public_key()
        self._signer = login.signer
        self._public_key = public_key
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            self.key_type = "ecdsa"
            self.curve_name = f"NIST{public_key.curve.key_size}p"
            self.private_key = self
            self.curve = _Curve(public_key)
        elif isinstance(public_key, rsa.RSAPublicKey):
            self.key_type = "rsa"
        else:
            self.key_type = "Ed25519"

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        # Only asked of RSA keys, to choose a hash that fits.
        return self._public_key.key_size if isinstance(self._public_key, rsa.RSAPublicKey) else 0

    def sign(self, digest: bytes, scheme: str | None, hash_name: str, salt_length: int | None) -> bytearray:
        """Sign a digest made by tlslite-ng."""
        algorithm = _HASHES[hash_name]()
        pss = padding.PSS(padding.MGF1(algorithm), salt_length or 0) if scheme == "pss" else None
        return bytearray(self._signer.sign(bytes(digest), Prehashed(algorithm), pss))

    def hashAndSign(self, message: bytes, *_ignored: object) -> bytearray:  # noqa: N802 - tlslite's name
        """Sign a whole message: Ed25519 hashes for itself."""
        return bytearray(self._signer.sign(bytes(message), None, None))

    def verify(self, *_ignored: object) -> bool:
        """Answer tlslite-ng's check of our own signature: the gate is the judge of that."""
        return True

    hashAndVerify = verify  # noqa: N815 - tlslite's name


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
        """Connect, shake hands and check the server's certificate; nothing has been asked for before that.

        Raises:
            GateError: Nobody answers, or the server is not who it should be.
            RefusedError: The gate refused the handshake.
        """
        try:
            raw = socket.create_connection((self.host, self.port), self.timeout)
        except OSError as error:
            raise GateError(
                f"Nobody answers at {self.host} port {self.port}: {error.strerror or error}",
                "Start the gate with `pivgate up`.",
            ) from error
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = TLSConnection(_PatientSocket(raw))
        try:
            self._shake_hands(tls)
            self._check_server(tls)
        except BaseException:
            raw.close()
            raise
        self.sock = tls

    def _shake_hands(self, tls: TLSConnection) -> None:
        settings = HandshakeSettings()
        settings.minVersion = (3, 3)
        # Go's server answers a compressed client certificate with "unexpected message".
        settings.certificate_compression_send = []
        # TLS 1.2's other RSA padding arrives already padded; PSS is what TLS 1.3 uses as well.
        settings.rsaSchemes = ["pss"]
        identity: dict[str, Any] = {}
        if self._login is not None:
            certificate = X509()
            certificate.parseBinary(bytearray(self._login.certificate.public_bytes(Encoding.DER)))
            identity = {
                "certChain": X509CertChain([certificate]),
                "privateKey": _TlsliteKey(self._login),
            }
        try:
            tls.handshakeClientCert(
                settings=settings, serverName=self._server_name, alpn=[bytearray(b"http/1.1")], **identity
            )
        except TLSRemoteAlert as alert:
            raise refused_by_alert(alert) from alert
        except (TLSLocalAlert, TLSError, OSError) as error:
            raise GateError(
                f"The TLS handshake with {self._server_name} failed: {error}",
                "Look at the gate with `pivgate status`.",
            ) from error

    def _check_server(self, tls: TLSConnection) -> None:
        chain = [
            x509.load_der_x509_certificate(bytes(item.bytes)) for item in tls.session.serverCertChain.x509List
        ]
        verifier = PolicyBuilder().store(Store(list(self._trust)))
        try:
            verifier.build_server_verifier(x509.DNSName(self._server_name)).verify(chain[0], chain[1:])
        except VerificationError as error:
            raise GateError(
                f"The server's certificate is not good for {self._server_name}: {error}",
                "Somebody else may be answering there. Check the address and the site's certificate.",
            ) from error

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
            raise refused_by_alert(alert) from alert
        except (TLSError, http.client.HTTPException, OSError) as error:
            raise GateError(
                f"The connection to {self._server_name} broke: {error}",
                "Look at the gate with `pivgate status`.",
            ) from error


def refused_by_alert(alert: TLSRemoteAlert) -> RefusedError:
    """Put a TLS alert (RFC 8446, section 6.2) into words."""
    reasons = {
        AlertDescription.certificate_required: "it wants a client certificate and got none",
        AlertDescription.bad_certificate: "it does not take this certificate, or wants one and got none",
        AlertDescription.unknown_ca: "the certificate is not from the gate's authority",
        AlertDescription.certificate_expired: "the certificate is outside its dates",
        AlertDescription.unsupported_certificate: "it cannot use this kind of certificate",
    }
    reason = reasons.get(alert.description, f"TLS alert {alert}")
    return RefusedError(
        f"The gate refused the handshake: {reason}",
        "Look at the key with `pivgate key list`, and at its certificate with `pivgate key show`.",
    )
