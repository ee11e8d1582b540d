# SPDX-License-Identifier: Apache-2.0
"""A profile takes what belongs in it, leaves what does not, and misses what is needed."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pivgate.authority.profiles import AUTHORITY, CLIENT, Contents, Profile, extensions

PUBLIC_KEY = ec.generate_private_key(ec.SECP384R1()).public_key()
EVERYTHING = Contents(
    PUBLIC_KEY, x509.AuthorityKeyIdentifier(b"0123456789abcdef0123", None, None), "alice@example.com"
)

ALWAYS = ["basicConstraints", "keyUsage"]
IN_ORDER = {
    AUTHORITY: [*ALWAYS, "subjectKeyIdentifier"],
    CLIENT: [
        *ALWAYS,
        "extendedKeyUsage",
        "subjectKeyIdentifier",
        "authorityKeyIdentifier",
        "subjectAltName",
    ],
}


@pytest.mark.parametrize("profile", IN_ORDER, ids=lambda profile: profile.name)
def test_what_a_profile_takes_of_everything(profile: Profile) -> None:
    found = extensions(profile, EVERYTHING)
    assert [extension.oid._name for extension in found] == IN_ORDER[profile]
    assert [extension.critical for extension in found] == [
        extension.oid._name in ALWAYS for extension in found
    ]


def test_a_client_names_its_issuers_key() -> None:
    with pytest.raises(ValueError, match="names its issuer's key"):
        extensions(CLIENT, Contents(PUBLIC_KEY))
    extensions(AUTHORITY, Contents(PUBLIC_KEY))
