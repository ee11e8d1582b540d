# SPDX-License-Identifier: Apache-2.0
"""The curls of other machines; that of this machine is run in tests/cli/test_curl_args.py."""

from pathlib import Path

import pytest

from pivgate.client.curl import CurlBuild, Machine, Module, curl_command, parse_version
from pivgate.client.curl_found import find_machine
from pivgate.errors import InputError

OPENSC = Module(Path("/lib/opensc-pkcs11.so"), registered=True)
OWN = Module(Path("/opt/opensc-pkcs11.so"))
YKCS11 = Module(Path("/lib/libykcs11.so.2"), is_yubicos=True)
URL = "https://mysite.com/"

DEBIAN_12 = "curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1 OpenSSL/3.0.19 zlib/1.2.13 nghttp2/1.52.0\nmore"
DEBIAN_13 = "curl 8.14.1 (x86_64-pc-linux-gnu) libcurl/8.14.1 OpenSSL/3.5.4 zlib/1.3.1 OpenLDAP/2.6.10"
UBUNTU_20 = "curl 7.68.0 (x86_64-pc-linux-gnu) libcurl/7.68.0 OpenSSL/1.1.1f zlib/1.2.11"
GNUTLS = "curl 8.5.0 (x86_64-pc-linux-gnu) libcurl/8.5.0 GnuTLS/3.8.3 zlib/1.3"
MACOS = "curl 8.7.1 (x86_64-apple-darwin24.0) libcurl/8.7.1 (SecureTransport) LibreSSL/3.3.6 zlib/1.2.12"
WINDOWS = "curl 8.9.1 (Windows) libcurl/8.9.1 Schannel zlib/1.3 WinIDN"
ALPINE_LIKE = "curl 8.6.0 (x86_64) libcurl/8.6.0 mbedTLS/3.5.2 zlib/1.3"


@pytest.mark.parametrize(
    ("text", "build"),
    [
        (DEBIAN_12, CurlBuild((7, 88, 1), "openssl", "3.0.19")),
        (DEBIAN_13, CurlBuild((8, 14, 1), "openssl", "3.5.4")),
        (UBUNTU_20, CurlBuild((7, 68, 0), "openssl", "1.1.1f")),
        (GNUTLS, CurlBuild((8, 5, 0), "gnutls", "3.8.3")),
        (MACOS, CurlBuild((8, 7, 1), "libressl", "3.3.6")),
        (WINDOWS, CurlBuild((8, 9, 1), "schannel", "")),
        (ALPINE_LIKE, CurlBuild((8, 6, 0), "mbedtls", "3.5.2")),
        ("curl 8.1.2 libcurl/8.1.2 (OpenSSL/3.1.0) Schannel zlib/1", CurlBuild((8, 1, 2), "schannel", "")),
    ],
)
def test_what_curl_says_of_itself(text: str, build: CurlBuild) -> None:
    assert parse_version(text) == build


@pytest.mark.parametrize("text", ["", "wget 1.21", "curl 8.0.0 libcurl/8.0.0 zlib/1", "curl 8 OpenSSL/3"])
def test_what_is_not_curl(text: str) -> None:
    with pytest.raises(InputError, match="TLS"):
        parse_version(text)


def flags(text: str, machine: Machine, **more: object) -> str:
    return " ".join(curl_command(parse_version(text), machine, URL, **more).flags)  # type: ignore[arg-type]


CERT, KEY = "pkcs11:manufacturer=piv_II;id=%01;type=cert", "pkcs11:manufacturer=piv_II;id=%01;type=private"


def test_openssl_with_its_engine() -> None:
    machine = Machine(OPENSC, engine=True, provider=False)
    for text in (DEBIAN_12, UBUNTU_20):
        assert flags(text, machine) == (
            f"--engine pkcs11 --cert-type ENG --key-type ENG --cert {CERT} --key {KEY} {URL}"
        )
    command = curl_command(parse_version(DEBIAN_12), machine, URL)
    assert (command.module_path, command.needs_variable) == (OPENSC.path, False)
    assert command.notes == ("curl asks for the PIN in the terminal.",)
    own = curl_command(parse_version(DEBIAN_12), Machine(OWN, engine=True, provider=False), URL)
    assert own.needs_variable
    assert "/opt/opensc-pkcs11.so" in own.notes[1]


def test_openssl_with_its_provider() -> None:
    both = Machine(OPENSC, engine=True, provider=True)
    assert "--cert-type PROV --key-type PROV" in flags(DEBIAN_13, both)
    assert curl_command(parse_version(DEBIAN_13), both, URL).module_path is None
    assert "pkcs11-module-path" in curl_command(parse_version(DEBIAN_13), both, URL).notes[1]
    # Before 8.12 curl knows engines only, and OpenSSL 1.1 has no providers.
    assert "ENG" in flags(DEBIAN_12, both)
    assert "ENG" in flags("curl 8.14.1 libcurl/8.14.1 OpenSSL/1.1.1w", both)


def test_gnutls_reads_the_pin_from_a_file() -> None:
    machine = Machine(OPENSC, engine=False, provider=False)
    assert flags(GNUTLS, machine, pin_file=Path("/p/i n")) == (
        f"--cert {CERT} --key {KEY}?pin-source=/p/i%20n {URL}"
    )
    with pytest.raises(InputError, match="no way to ask") as refusal:
        flags(GNUTLS, machine)
    assert "--pin-file" in refusal.value.hint
    with pytest.raises(InputError, match="p11-kit"):
        flags(GNUTLS, Machine(OWN, engine=False, provider=False), pin_file=Path("/pin"))


def test_one_of_several_keys_an_authority_and_a_pin() -> None:
    machine = Machine(OPENSC, engine=True, provider=False)
    told = flags(DEBIAN_12, machine, token_serial="0011", pin_file=Path("/pin"), authority=Path("/ca.pem"))
    uri = "pkcs11:manufacturer=piv_II;serial=0011;id=%01"
    assert f"--cert {uri};type=cert --key {uri};type=private;pin-source=file:/pin --cacert /ca.pem" in told


def test_yubicos_module() -> None:
    told = flags(DEBIAN_12, Machine(YKCS11, engine=True, provider=False), token_serial="31000001")
    uri = "pkcs11:manufacturer=Yubico%20%28www.yubico.com%29;serial=31000001"
    assert f"{uri};object=X.509%20Certificate%20for%20PIV%20Authentication;id=%01;type=cert" in told
    assert f"--key {uri};id=%01;type=private " in told


@pytest.mark.parametrize(
    ("text", "machine", "message", "remedy"),
    [
        (DEBIAN_12, Machine(OPENSC, False, False), "openssl 3.0.19", "libengine-pkcs11-openssl"),
        (DEBIAN_12, Machine(OPENSC, False, True), "openssl 3.0.19", "libengine-pkcs11-openssl"),
        (DEBIAN_13, Machine(OPENSC, False, False), "openssl 3.5.4", "pkcs11-provider"),
        (DEBIAN_12, Machine(None, True, True), "no PKCS#11 module", "apt install opensc-pkcs11"),
        (MACOS, Machine(OPENSC, True, True), "libressl", "brew install curl"),
        (WINDOWS, Machine(None, False, False), "Windows", r"CurrentUser\MY"),
        (ALPINE_LIKE, Machine(OPENSC, True, True), "mbedtls", "pivgate connect"),
    ],
)
def test_what_cannot_do_it_is_told_what_to_install(
    text: str, machine: Machine, message: str, remedy: str
) -> None:
    with pytest.raises(InputError) as refusal:
        flags(text, machine)
    assert message in refusal.value.message
    assert remedy in refusal.value.hint


def touch(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_what_a_machine_has(tmp_path: Path) -> None:
    library = tmp_path / "usr/lib/x86_64-linux-gnu"
    assert find_machine("3.0.19", tmp_path) == Machine(None, engine=False, provider=False)
    touch(library / "libykcs11.so.2")
    assert find_machine("3.0.19", tmp_path).module == Module(library / "libykcs11.so.2", is_yubicos=True)
    touch(library / "opensc-pkcs11.so")
    touch(library / "engines-1.1/pkcs11.so")
    assert find_machine("3.0.19", tmp_path) == Machine(
        Module(library / "opensc-pkcs11.so"), engine=False, provider=False
    )
    assert find_machine("1.1.1f", tmp_path).engine
    touch(library / "engines-3/pkcs11.la")
    assert not find_machine("3.0.19", tmp_path).engine
    touch(library / "engines-3/pkcs11.so")
    touch(library / "ossl-modules/pkcs11.so")
    touch(tmp_path / "usr/share/p11-kit/modules/x.module", "# opensc-pkcs11.so\nmodule : other.so\n")
    assert find_machine("3.0.19", tmp_path) == Machine(
        Module(library / "opensc-pkcs11.so"), engine=True, provider=True
    )
    touch(tmp_path / "etc/pkcs11/modules/y.module", "critical: no\nmodule: opensc-pkcs11.so\n")
    found = find_machine("3.0.19", tmp_path).module
    assert found is not None
    assert found.registered
