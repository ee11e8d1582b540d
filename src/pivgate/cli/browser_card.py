# SPDX-License-Identifier: Apache-2.0
"""The first half of ``pivgate browser check``: PC/SC service, reader, key, and the certificate on it."""

from pathlib import Path
from typing import TYPE_CHECKING

from pivgate.cli.browser_line import Line
from pivgate.cli.workplace import current_home, now
from pivgate.errors import HomeError, PivgateError
from pivgate.settings import Home, load_settings

if TYPE_CHECKING:
    from cryptography import x509

_WHAT = "certificate"


def check_reader() -> tuple[Line, Line]:
    """Look for the PC/SC service and a card reader."""
    from smartcard import System
    from smartcard.pcsc.PCSCExceptions import EstablishContextException, ListReadersException

    try:
        readers = [str(reader) for reader in System.readers()]
    except (EstablishContextException, ListReadersException) as error:
        return (
            Line(
                "PC/SC service",
                False,
                f"it does not answer: {error}",
                "Start it: `sudo systemctl start pcscd.socket`; if it is missing, `sudo apt install pcscd`.",
            ),
            Line("card reader", None, "without the service none can be seen"),
        )
    service = Line("PC/SC service", True, "it answers")
    if not readers:
        return service, Line(
            "card reader",
            False,
            "there is none",
            "Plug the YubiKey in; if it is, its smart card side is off: `ykman config usb --enable PIV`.",
        )
    return service, Line("card reader", True, ", ".join(readers))


def check_key() -> "tuple[Line, x509.Certificate | None]":
    """Look for one YubiKey, and read the certificate on it."""
    from pivgate.yubikey import find
    from pivgate.yubikey.report import read_report

    try:
        device = find.select(find.pcsc_devices())
        piv = read_report(device).piv
    except PivgateError as error:
        return Line.bad("key", error), None
    if piv is None or piv.slot.certificate is None:
        return (
            Line(
                "key",
                False,
                f"{device.description}, {device.serial}: there is no certificate in slot 9a",
                "Have it provisioned: `pivgate key provision`.",
            ),
            None,
        )
    return Line("key", True, f"{device.description}, {device.serial}"), piv.slot.certificate


def check_certificate(certificate: "x509.Certificate", authority_files: tuple[Path, ...]) -> Line:
    """Judge the certificate on the key: by the registry of this machine's home, else by dates and issuer."""
    home = current_home()
    try:
        load_settings(home)
    except HomeError:
        return _by_issuer(certificate, authority_files)
    try:
        return _by_registry(certificate, home)
    except PivgateError as error:
        return Line.bad(_WHAT, error)


def _by_registry(certificate: "x509.Certificate", home: Home) -> Line:
    from cryptography.hazmat.primitives import hashes

    from pivgate.authority.verify import verify_client
    from pivgate.enrolment.authority import load_certificate
    from pivgate.registry.store import Registry

    with Registry.open(home.registry, home.audit_head) as registry:
        fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
        known = registry.certificate(fingerprint)
        admitted = any(each == fingerprint for _, each in registry.access(now()))
    verify_client(certificate, load_certificate(home), now())
    if not admitted:
        return Line(
            _WHAT,
            False,
            f"of {known.user}, {known.state_at(now())}: the gate does not let it in",
            f"`pivgate key show {known.key_serial}` and `pivgate user show {known.user}` tell why.",
        )
    return Line(_WHAT, True, f"of {known.user}, in force until {known.not_after:%Y-%m-%d}")


def _by_issuer(certificate: "x509.Certificate", authority_files: tuple[Path, ...]) -> Line:
    from pivgate.cli.browser_authority import certificates
    from pivgate.yubikey.chain import check_issued

    subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    until = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    try:
        issuers = [
            each
            for file in authority_files
            for each in certificates(file)
            if each.subject == certificate.issuer
        ]
        if issuers:
            check_issued(certificate, issuers[0], now())
            return Line(_WHAT, True, f"of {subject}, from {issuer}, in force until {until}")
    except PivgateError as error:
        return Line.bad(_WHAT, error)
    if not certificate.not_valid_before_utc <= now() <= certificate.not_valid_after_utc:
        return Line(
            _WHAT,
            False,
            f"of {subject}: in force only from {certificate.not_valid_before_utc:%Y-%m-%d} to {until}",
            "Have it renewed; if these dates are right, set the clock of this machine.",
        )
    return Line(
        _WHAT, True, f"of {subject}, until {until}; its issuer, {issuer}, was not checked (--authority)"
    )
