# SPDX-License-Identifier: Apache-2.0
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.unit.client.conftest import Authority

from pivgate.client.trust import caddy_root, is_private_name, load_trust
from pivgate.errors import InputError, StorageError
from pivgate.settings import Home


def pem(authority: Authority) -> bytes:
    return authority.certificate.public_bytes(Encoding.PEM)


def test_a_named_file_is_all_that_is_trusted(tmp_path: Path) -> None:
    one, two = Authority("one"), Authority("two")
    file = tmp_path / "ca.pem"
    file.write_bytes(
        b"words\n" + pem(one) + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + pem(two)
    )
    assert load_trust(file, Home(tmp_path)) == [one.certificate, two.certificate]
    file.write_bytes(b"nothing")
    with pytest.raises(InputError, match="no certificate"):
        load_trust(file, Home(tmp_path))
    with pytest.raises(StorageError):
        load_trust(tmp_path / "missing", Home(tmp_path))


def test_else_the_systems_and_that_of_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, other, internal = Authority("system"), Authority("other"), Authority("internal")
    bundle, folder, home = tmp_path / "bundle.pem", tmp_path / "certs", Home(tmp_path / "home")
    bundle.write_bytes(pem(system))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert load_trust(None, home) == [system.certificate]
    root = home.caddy_storage / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    root.parent.mkdir(parents=True)
    root.write_bytes(pem(internal))
    assert caddy_root(home) == root
    assert load_trust(None, home) == [system.certificate, internal.certificate]
    folder.mkdir()
    (folder / "12345678.0").write_bytes(pem(other))
    (folder / "other.pem").write_bytes(pem(other))
    monkeypatch.setattr(
        ssl,
        "get_default_verify_paths",
        lambda: ssl.DefaultVerifyPaths(None, str(folder), "", "", "", ""),  # type: ignore[attr-defined]
    )
    assert load_trust(None, home) == [other.certificate, internal.certificate]


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("a.internal", True),
        ("a.home.arpa", True),
        ("a.com", False),
    ],
)
def test_names_that_no_public_authority_certifies(host: str, private: bool) -> None:
    assert is_private_name(host) is private
