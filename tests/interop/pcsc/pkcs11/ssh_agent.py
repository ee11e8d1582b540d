# SPDX-License-Identifier: Apache-2.0
"""An ssh-agent of a test's own that holds keys by PKCS#11, and a judge of its signatures."""

import base64
import hashlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.card_table import PATIENCE, CardTable

NAMESPACE = "file"


class SshAgent:
    """An agent, and the programs that speak to it; the PIN is asked for by a program, as on a desktop."""

    def __init__(self, table: CardTable, folder: Path) -> None:
        self.table = table
        self.folder = folder

    def add(self, module: str, pin: str) -> "CompletedProcess[str]":
        """Give the agent all keys that a PKCS#11 module shows."""
        ask = self.folder / "ask"
        ask.write_text(f"#!/bin/sh\necho {pin}\n")
        ask.chmod(0o700)
        return self.table.run("ssh-add", "-s", module)

    def sign(self, public_key: Any, message: bytes) -> "tuple[CompletedProcess[str], str]":
        """Let the agent sign a message; return how it ended, and the armoured signature."""
        named, given = self.folder / "key.pub", self.folder / "message"
        named.write_bytes(public_key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
        given.write_bytes(message)
        made = given.with_suffix(".sig")
        made.unlink(missing_ok=True)
        done = self.table.run("ssh-keygen", "-Y", "sign", "-f", named, "-n", NAMESPACE, given)
        return done, made.read_text() if made.exists() else ""


@contextmanager
def ssh_agent(table: CardTable) -> Iterator[SshAgent]:
    """Run an agent beside a table; it ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="pgs"))
    path = folder / "agent"
    table.environment |= {
        "SSH_AUTH_SOCK": str(path),
        "SSH_ASKPASS": str(folder / "ask"),
        "SSH_ASKPASS_REQUIRE": "force",
    }
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", path, "-P", "/usr/lib/*"], env=table.environment, stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + PATIENCE
        # 1 says that it has no keys, 2 that it is not there.
        while table.run("ssh-add", "-l").returncode != 1:
            assert time.monotonic() < deadline, "ssh-agent does not start"
            time.sleep(0.01)
        yield SshAgent(table, folder)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def judge_ssh(public_key: Any, message: bytes, armoured: str) -> None:
    """Accept a signature in OpenSSH's form (its PROTOCOL.sshsig).

    Raises:
        InvalidSignature: It is none.
    """
    body = base64.b64decode("".join(armoured.splitlines()[1:-1]))
    assert body[:6] == b"SSHSIG"
    _, namespace, reserved, digest, signature = _strings(body[10:], 5)
    hashed = hashlib.new(digest.decode(), message).digest()
    signed = b"SSHSIG" + b"".join(
        len(part).to_bytes(4, "big") + part for part in (namespace, reserved, digest, hashed)
    )
    assert namespace.decode() == NAMESPACE
    kind, value = _strings(signature, 2)
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        r, s = (int.from_bytes(part, "big") for part in _strings(value, 2))
        hash_ = hashes.SHA384() if public_key.key_size == 384 else hashes.SHA256()
        public_key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hash_))
    else:
        assert kind == b"rsa-sha2-512"
        public_key.verify(value, signed, padding.PKCS1v15(), hashes.SHA512())


def _strings(data: bytes, number: int) -> list[bytes]:
    found = []
    for _ in range(number):
        length = int.from_bytes(data[:4], "big")
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found
