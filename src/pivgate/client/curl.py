# SPDX-License-Identifier: Apache-2.0
"""Which flags make a given build of curl log in with the key, and what it lacks if it cannot. Pure.

What each build can do is in curl's documentation of ``--cert``; the URI is that of RFC 7512.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pivgate.errors import InputError

# Backends that take a private key only from a file, or from a store that is not PKCS#11.
_ALONE = "libressl", "boringssl", "aws-lc", "wolfssl", "mbedtls", "rustls-ffi", "rustls", "bearssl", "nss"
_BACKENDS = "openssl", "quictls", "gnutls", "schannel", "securetransport", *_ALONE
_OPENSSL = "openssl", "quictls"
# Since then curl takes keys from an OpenSSL provider; before, from an engine only.
_PROVIDERS = (8, 12, 0)

_ID = "%01"
"""Slot 9a, in OpenSC's numbering and in Yubico's."""

_CONNECT = "Or let pivgate log in for it: `pivgate connect URL`."


@dataclass(frozen=True)
class CurlBuild:
    """A build of curl.

    Attributes:
        version: Of libcurl.
        backend: The TLS library in use, in small letters, such as ``openssl``.
        backend_version: Its version.
    """

    version: tuple[int, ...]
    backend: str
    backend_version: str


@dataclass(frozen=True)
class Module:
    """A PKCS#11 module that knows YubiKeys.

    Attributes:
        path: Its file.
        is_yubicos: It is Yubico's ykcs11; else OpenSC's.
        registered: p11-kit loads it for every program.
    """

    path: Path
    is_yubicos: bool = False
    registered: bool = False


@dataclass(frozen=True)
class Machine:
    """What a machine has besides curl.

    Attributes:
        module: The module to use.
        engine: OpenSSL's engine for PKCS#11 is installed.
        provider: OpenSSL's provider for PKCS#11 is installed.
    """

    module: Module | None
    engine: bool
    provider: bool


@dataclass(frozen=True)
class CurlCommand:
    """What to start curl with.

    Attributes:
        flags: Its arguments, the URL last.
        module_path: To be set as ``PKCS11_MODULE_PATH``; None where it is not used.
        needs_variable: It does not work without that.
        notes: What a person should know.
    """

    flags: tuple[str, ...]
    module_path: Path | None
    needs_variable: bool
    notes: tuple[str, ...]


def parse_version(text: str) -> CurlBuild:
    """Read the first line of ``curl --version``.

    Raises:
        InputError: It is not curl's, or names no TLS library.
    """
    line = text.partition("\n")[0]
    version = re.search(r"\blibcurl/(\d+)\.(\d+)\.(\d+)", line)
    # A build with several names those that are not in use in parentheses.
    for name in re.sub(r"\([^)]*\)", " ", line).split():
        backend, _, backend_version = name.partition("/")
        if version and backend.lower() in _BACKENDS:
            return CurlBuild(tuple(map(int, version.groups())), backend.lower(), backend_version)
    raise InputError(
        f"This curl does not say that it can do TLS: {line[:120]!a}", "Install curl: `apt install curl`."
    )


def curl_command(
    build: CurlBuild,
    machine: Machine,
    url: str,
    *,
    authority: Path | None = None,
    pin_file: Path | None = None,
    token_serial: str | None = None,
) -> CurlCommand:
    """Choose the flags.

    Args:
        build: The curl.
        machine: What there is for it.
        url: What to ask for.
        authority: The only authority that may vouch for the server; None for those that curl trusts.
        pin_file: An absolute path of a file with the PIN; None to have it asked for.
        token_serial: The serial number that the module gives the token, to choose one of several.

    Raises:
        InputError: This curl cannot do it; what to install is named.
    """
    kind = _kind(build, machine)
    if machine.module is None:
        raise InputError(
            "There is no PKCS#11 module on this machine, through which curl reaches the key",
            "Install OpenSC: `apt install opensc-pkcs11 pcscd` (Debian, Ubuntu), `dnf install opensc` "
            "(Fedora), `brew install opensc` (macOS).",
        )
    module = machine.module
    # GnuTLS 3.7 takes "file:" for part of the name; OpenSSL's engine wants it.
    pin = (
        f"{'?pin-source=' if kind == 'gnutls' else ';pin-source=file:'}{quote(str(pin_file))}"
        if pin_file
        else ""
    )
    if kind == "gnutls" and not pin:
        raise InputError(
            "This curl uses GnuTLS and has no way to ask for a PIN",
            f"Give a file with --pin-file, or install a curl with OpenSSL. {_CONNECT}",
        )
    if kind == "gnutls" and not module.registered:
        raise InputError(
            f"This curl uses GnuTLS, which only knows the modules of p11-kit; {module.path} is not one",
            f"Write a file `pivgate.module` with the line `module: {module.path}` into /etc/pkcs11/modules.",
        )
    types = {"engine": ("ENG",), "provider": ("PROV",), "gnutls": ()}[kind]
    flags = [*(f for t in types for f in ("--engine", "pkcs11", "--cert-type", t, "--key-type", t))]
    flags += [
        "--cert",
        _uri(module, token_serial, "cert"),
        "--key",
        _uri(module, token_serial, "private") + pin,
    ]
    if authority is not None:
        flags += ["--cacert", str(authority)]
    return CurlCommand(
        (*flags, url),
        module.path if kind == "engine" else None,
        kind == "engine" and not module.registered,
        tuple(_notes(build, kind, module, has_pin=bool(pin))),
    )


def _kind(build: CurlBuild, machine: Machine) -> str:
    if build.backend == "gnutls":
        return "gnutls"
    if build.backend in _OPENSSL:
        if machine.provider and build.version >= _PROVIDERS and not build.backend_version.startswith("1."):
            return "provider"
        if machine.engine:
            return "engine"
        raise InputError(
            f"This curl uses {build.backend} {build.backend_version}, which reaches no PKCS#11 module here",
            "Install its engine: `apt install libengine-pkcs11-openssl` (Debian, Ubuntu), `dnf install "
            "openssl-pkcs11` (Fedora), `brew install libp11` (macOS). curl 8.12 and later also takes the "
            f"package pkcs11-provider. {_CONNECT}",
        )
    if build.backend == "schannel":
        raise InputError(
            "This curl uses the certificate store of Windows",
            r"Put the key in, and use: curl --cert CurrentUser\MY\THUMBPRINT, with the thumbprint that "
            "certmgr.msc shows of the certificate.",
        )
    raise InputError(
        f"This curl uses {build.backend}, which takes no key from a PKCS#11 module",
        "Install a curl with OpenSSL: `apt install curl`; on macOS `brew install curl libp11 opensc`. "
        f"{_CONNECT}",
    )


def _uri(module: Module, token_serial: str | None, kind: str) -> str:
    """Write the URI of the certificate in slot 9a, or of its key (RFC 7512, section 2.3)."""
    attributes = {"manufacturer": "Yubico (www.yubico.com)" if module.is_yubicos else "piv_II"}
    if token_serial is not None:
        attributes["serial"] = token_serial
    if module.is_yubicos and kind == "cert":
        # It gives the same id to the statement of attestation.
        attributes["object"] = "X.509 Certificate for PIV Authentication"
    written = ";".join(f"{name}={quote(value)}" for name, value in attributes.items())
    return f"pkcs11:{written};id={_ID};type={kind}"


def _notes(build: CurlBuild, kind: str, module: Module, *, has_pin: bool) -> list[str]:
    notes = ["The PIN is read from the file." if has_pin else "curl asks for the PIN in the terminal."]
    if kind == "engine" and not module.registered:
        notes.append(f"p11-kit does not load {module.path}, so the environment variable is needed.")
    if kind == "provider":
        notes.append("OpenSSL's provider must know the module: see provider-pkcs11(7), `pkcs11-module-path`.")
    if kind == "engine" and build.version >= (8, 14, 0):
        notes.append("Some builds of curl 8.14 look for a provider only: then install pkcs11-provider.")
    return notes
