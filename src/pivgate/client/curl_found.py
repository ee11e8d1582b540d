# SPDX-License-Identifier: Apache-2.0
"""Finds out what curl, OpenSSL and PKCS#11 modules a machine has."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import OBJECT_ID, Chuid

from pivgate.client.curl import CurlBuild, Machine, Module, parse_version
from pivgate.errors import DeviceError, InputError
from pivgate.yubikey.find import Device
from pivgate.yubikey.session import open_piv, spoken_errors

_LIBRARIES = ("usr/lib/*-linux-gnu*", "usr/lib64", "usr/lib", "usr/local/lib", "opt/homebrew/lib")
_P11_KIT = ("usr/share/p11-kit/modules", "etc/pkcs11/modules")
_PATIENCE = 10.0


def find_curl() -> CurlBuild:
    """Return the build of the curl in ``PATH``.

    Raises:
        InputError: There is none.
    """
    program = shutil.which("curl")
    if program is None:
        raise InputError("There is no curl on this machine", "Install it: `apt install curl`.")
    done = subprocess.run(  # noqa: S603 - the program that the person would start
        [program, "--version"], capture_output=True, text=True, check=False, timeout=_PATIENCE
    )
    return parse_version(done.stdout)


def find_machine(openssl: str, root: Path = Path("/")) -> Machine:
    """Look for modules, engines and providers.

    Args:
        openssl: The version of OpenSSL that curl uses, such as ``3.0.19``.
        root: Where the file system begins.
    """
    series = "1.1" if openssl.startswith("1.1") else openssl.partition(".")[0]
    return Machine(
        module=_module(root),
        engine=_has(root, f"engines-{series}/pkcs11.*"),
        provider=_has(root, "ossl-modules/pkcs11*.*"),
    )


def token_serial(device: Device, module: Module) -> str:
    """Return the serial number that a module gives a key.

    Yubico's takes that of the YubiKey; OpenSC takes the end of the GUID in the CHUID.

    Raises:
        DeviceError: The key has none, or cannot be read.
    """
    if module.is_yubicos:
        return str(device.serial)
    with spoken_errors(), device.open() as connection:
        try:
            guid = Chuid.from_bytes(open_piv(connection).get_object(OBJECT_ID.CHUID)).guid
        except (ApduError, ValueError, KeyError, IndexError) as error:
            if isinstance(error, ApduError) and error.sw != SW.FILE_NOT_FOUND:
                raise
            raise DeviceError(
                f"YubiKey {device.serial} has no number by which OpenSC tells keys apart",
                "Pull the other keys out and leave --serial away, or provision this one again.",
            ) from error
    return guid[-8:].hex()


def _module(root: Path) -> Module | None:
    for pattern, is_yubicos in (("opensc-pkcs11", False), ("libykcs11", True)):
        for folder in _LIBRARIES:
            for place in (folder, f"{folder}/pkcs11"):
                for suffix in ("so", "so.2", "dylib"):
                    for path in sorted(root.glob(f"{place}/{pattern}.{suffix}")):
                        return Module(path, is_yubicos, _is_registered(root, path))
    return None


def _is_registered(root: Path, module: Path) -> bool:
    """Look whether p11-kit loads a module (pkcs11.conf(5))."""
    for folder in _P11_KIT:
        for path in sorted(root.glob(f"{folder}/*.module")):
            with suppress(OSError):
                for line in path.read_text(errors="replace").splitlines():
                    name, _, value = line.partition(":")
                    if name.strip() == "module" and Path(value.strip()).name == module.name:
                        return True
    return False


def _has(root: Path, pattern: str) -> bool:
    return any(
        path.suffix in (".so", ".dylib") for folder in _LIBRARIES for path in root.glob(f"{folder}/{pattern}")
    )
