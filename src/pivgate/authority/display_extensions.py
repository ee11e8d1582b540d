# SPDX-License-Identifier: Apache-2.0
"""The extensions of a certificate in words, as OpenSSL prints them."""

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

_USAGES = {
    "digital_signature": "Digital Signature",
    "content_commitment": "Non Repudiation",
    "key_encipherment": "Key Encipherment",
    "data_encipherment": "Data Encipherment",
    "key_agreement": "Key Agreement",
    "key_cert_sign": "Certificate Sign",
    "crl_sign": "CRL Sign",
}
_PURPOSES = {
    ExtendedKeyUsageOID.CLIENT_AUTH: "TLS Web Client Authentication",
    ExtendedKeyUsageOID.SERVER_AUTH: "TLS Web Server Authentication",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "E-mail Protection",
}
_NAMES: dict[type[x509.GeneralName], str] = {
    x509.RFC822Name: "email",
    x509.DNSName: "DNS",
    x509.UniformResourceIdentifier: "URI",
}


def lines(extensions: x509.Extensions) -> list[str]:
    """Return the lines of all extensions with their heading; none when there is no extension."""
    found = [line for extension in extensions for line in _extension(extension)]
    return ["        X509v3 extensions:", *found] if found else []


def _extension(extension: x509.Extension[x509.ExtensionType]) -> list[str]:
    title, text = _words(extension.value)
    critical = "critical" if extension.critical else ""
    return [f"            {title}: {critical}", f"                {text}"]


def _words(value: x509.ExtensionType) -> tuple[str, str]:
    match value:
        case x509.BasicConstraints():
            length = "" if value.path_length is None else f", pathlen:{value.path_length}"
            return "X509v3 Basic Constraints", f"CA:{'TRUE' if value.ca else 'FALSE'}{length}"
        case x509.KeyUsage():
            usages = [text for attribute, text in _USAGES.items() if getattr(value, attribute)]
            return "X509v3 Key Usage", ", ".join(usages)
        case x509.ExtendedKeyUsage():
            purposes = [_PURPOSES.get(oid, oid.dotted_string) for oid in value]
            return "X509v3 Extended Key Usage", ", ".join(purposes)
        case x509.SubjectKeyIdentifier():
            return "X509v3 Subject Key Identifier", _octets(value.digest)
        case x509.AuthorityKeyIdentifier(key_identifier=bytes(identifier)):
            return "X509v3 Authority Key Identifier", _octets(identifier)
        case x509.SubjectAlternativeName():
            names = [f"{_NAMES.get(type(name), 'other')}:{name.value}" for name in value]
            return "X509v3 Subject Alternative Name", ", ".join(names)
        case _:
            return value.oid.dotted_string, _octets(value.public_bytes())


def _octets(value: bytes) -> str:
    return value.hex(":").upper()
