# SPDX-License-Identifier: Apache-2.0
"""Servers with certificates made by openssl, as an operator with an authority of their own makes them."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from pivgate.yubikey.server_certificate import ServerCertificateError, check_server_certificate, is_address

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def authority(folder: Path, name: str, *extensions: str) -> x509.Certificate:
    openssl(
        *("req", "-x509", *_CURVE, "-subj", f"/CN={name}", "-days", "30"),
        *("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")),
        *(word for extension in extensions for word in ("-addext", extension)),
    )
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())


def server(folder: Path, issuer: str, *extensions: str, days: int = 20) -> x509.Certificate:
    request, extfile, out = folder / "server.csr", folder / "extensions", folder / "server.pem"
    openssl("req", *_CURVE, "-subj", "/CN=site.test", "-keyout", str(folder / "k"), "-out", str(request))
    extfile.write_text("".join(f"{extension}\n" for extension in extensions))
    openssl(
        *("x509", "-req", "-in", str(request), "-CA", str(folder / f"{issuer}.pem"), "-CAcreateserial"),
        *("-CAkey", str(folder / f"{issuer}.key"), "-extfile", str(extfile), "-days", str(days)),
        *("-out", str(out)),
    )
    return x509.load_pem_x509_certificate(out.read_bytes())


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("host", "extensions"),
    [
        ("site.test", ["subjectAltName=DNS:site.test"]),
        ("SITE.test", ["subjectAltName=DNS:*.test,DNS:site.test"]),
        ("127.0.0.1", ["subjectAltName=IP:127.0.0.1", "extendedKeyUsage=serverAuth"]),
        ("::1", ["subjectAltName=IP:::1", "authorityKeyIdentifier=none"]),
    ],
)
def test_a_good_certificate(tmp_path: Path, host: str, extensions: list[str]) -> None:
    own = authority(tmp_path, "own")
    check_server_certificate([server(tmp_path, "own", *extensions)], host, [own])


@pytest.mark.parametrize(
    ("host", "extensions", "days"),
    [
        ("site.test", ["subjectAltName=DNS:other.test"], 20),
        ("a.site.test", ["subjectAltName=DNS:site.test"], 20),
        ("site.test", ["basicConstraints=CA:FALSE"], 20),
        ("site.test", ["subjectAltName=DNS:site.test", "extendedKeyUsage=clientAuth"], 20),
        ("site.test", ["subjectAltName=DNS:site.test"], -1),
        ("127.0.0.1", ["subjectAltName=DNS:127.0.0.1"], 20),
    ],
)
def test_one_that_is_not_for_this_site_now(
    tmp_path: Path, host: str, extensions: list[str], days: int
) -> None:
    own = authority(tmp_path, "own")
    with pytest.raises(ServerCertificateError, match=f"not good for {host}"):
        check_server_certificate([server(tmp_path, "own", *extensions, days=days)], host, [own])


def test_one_of_an_authority_that_is_not_trusted(tmp_path: Path) -> None:
    authority(tmp_path, "own")
    other = authority(tmp_path, "other")
    leaf = server(tmp_path, "own", "subjectAltName=DNS:site.test")
    for trust in ([other], []):
        with pytest.raises(ServerCertificateError):
            check_server_certificate([leaf], "site.test", trust)
    with pytest.raises(ServerCertificateError, match="showed none"):
        check_server_certificate([], "site.test", [other])


def test_one_that_is_trusted_by_itself(tmp_path: Path) -> None:
    """A site's own certificate may be named with --ca; it must be for the site all the same."""
    own = authority(tmp_path, "own", "subjectAltName=DNS:site.test")
    check_server_certificate([own], "site.test", [own])
    with pytest.raises(ServerCertificateError):
        check_server_certificate([own], "other.test", [own])


@pytest.mark.parametrize(
    "extension", ["keyUsage=critical,digitalSignature", "basicConstraints=critical,CA:FALSE"]
)
def test_one_of_what_is_no_authority(tmp_path: Path, extension: str) -> None:
    weak = authority(tmp_path, "weak", extension)
    leaf = server(tmp_path, "weak", "subjectAltName=DNS:site.test")
    with pytest.raises(ServerCertificateError):
        check_server_certificate([leaf], "site.test", [weak])


def test_what_is_an_address() -> None:
    assert is_address("10.0.0.1")
    assert is_address("::1")
    assert not is_address("10.0.0.example")
