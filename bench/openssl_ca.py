# SPDX-License-Identifier: Apache-2.0
"""``openssl ca``, with the authority of a home and the extensions that pivgate writes."""

from pathlib import Path

from bench.place import Place
from bench.rounds import run_quietly

_CONFIG = """\
[ca]
default_ca = here
[here]
dir = {folder}
database = $dir/index.txt
new_certs_dir = $dir/certificates
certificate = {certificate}
private_key = {key}
rand_serial = yes
default_md = default
default_days = 365
unique_subject = no
policy = subject
x509_extensions = client
[subject]
commonName = supplied
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class OpensslCa:
    """An authority as ``openssl ca`` keeps it, in a folder of its own."""

    def __init__(self, there: Place) -> None:
        self._folder = there.root / "openssl"
        (self._folder / "certificates").mkdir(parents=True)
        (self._folder / "index.txt").touch()
        self._config = self._folder / "openssl.cnf"
        self._config.write_text(
            _CONFIG.format(
                folder=self._folder,
                certificate=there.home.authority_certificate,
                key=there.home.authority_key,
            )
        )

    def write_requests(self, requests: list[bytes]) -> list[Path]:
        """Put requests where openssl can read them."""
        files = []
        for number, request in enumerate(requests):
            path = self._folder / f"{number}.csr"
            path.write_bytes(request)
            files.append(path)
        return files

    def issue(self, request: Path) -> None:
        """Issue and record one certificate."""
        run_quietly(
            [
                *("openssl", "ca", "-batch", "-notext", "-config", str(self._config)),
                *("-inform", "DER", "-in", str(request), "-out", str(request.with_suffix(".pem"))),
            ]
        )
