# SPDX-License-Identifier: Apache-2.0
"""openssl says of an emulated chain what it says of a real one of that firmware, refusals too."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pivgate.emulator.attestation import Attested, factory_identity, issue_statement
from pivgate.emulator.firmware import FIRMWARE

pytestmark = pytest.mark.interop

VECTORS = Path(__file__).parents[1] / "vectors" / "attestation"
REAL = {
    "4.3.7": "fw-4.3.7-9a-p256-u2f-root.pem",
    "5.2.7": "fw-5.2.7-9a-rsa2048.pem",
    "5.4.3": "fw-5.4.3-9a-p256.pem",
    "5.7.4": "fw-5.7.4-9a-p384.pem",
}
EXPECTED = {
    # No basicConstraints in f9, and a root that allows no authority below it.
    "4.3.7": ["error 79 at 1 depth", "error 25 at 2 depth"],
    "5.2.7": [],
    "5.4.3": [],
    "5.7.4": [],
}


def certificates(name: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((VECTORS / name).read_bytes())


def verdict(
    folder: Path,
    roots: Sequence[x509.Certificate],
    between: Sequence[x509.Certificate],
    statement: x509.Certificate,
) -> list[str]:
    """Return the faults that openssl finds."""
    for name, chain in (("roots", roots), ("between", between), ("statement", [statement])):
        (folder / name).write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))
    run = subprocess.run(
        ["openssl", "verify", "-CAfile", "roots", "-untrusted", "between", "statement"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    faults = re.findall(r"error \d+ at \d+ depth", run.stdout + run.stderr)
    assert (run.returncode == 0) == (not faults), run.stderr
    return faults


@pytest.mark.parametrize("version", FIRMWARE)
def test_openssl_finds_the_same_faults_in_both(version: str, tmp_path: Path) -> None:
    statement, device = certificates(REAL[version])
    theirs = verdict(
        tmp_path,
        certificates("yubico-roots.pem"),
        [device, *certificates("yubico-intermediates.pem")],
        statement,
    )
    identity = factory_identity(FIRMWARE[version])
    emulated = issue_statement(
        Attested(0x9A, ec.generate_private_key(ec.SECP256R1()).public_key(), 2, 1),
        FIRMWARE[version],
        15890263,
        issuer_key=identity.key,
        issuer_name=identity.certificate.subject,
        randomness=os.urandom,
    )
    ours = verdict(
        tmp_path,
        [identity.root],
        [identity.certificate, *identity.chain[:-1]],
        x509.load_der_x509_certificate(emulated),
    )
    assert ours == theirs == EXPECTED[version]


@pytest.mark.parametrize("version", FIRMWARE)
def test_nobody_who_trusts_yubico_trusts_the_emulator(version: str, tmp_path: Path) -> None:
    identity = factory_identity(FIRMWARE[version])
    faults = verdict(
        tmp_path,
        certificates("yubico-roots.pem"),
        [*identity.chain, *certificates("yubico-intermediates.pem")],
        identity.certificate,
    )
    assert faults, "refused"
