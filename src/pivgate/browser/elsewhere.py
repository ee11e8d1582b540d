# SPDX-License-Identifier: Apache-2.0
"""macOS and Windows: their browsers reach the key through the system, so there are steps, not files."""

from dataclasses import dataclass

AS_OF = "November 2026"


@dataclass(frozen=True)
class Advice:
    """What to do for one browser.

    Attributes:
        browser: Which.
        steps: What to do, in order.
        source: Where this is from.
    """

    browser: str
    steps: tuple[str, ...]
    source: str


_APPLE = "https://developer.apple.com/documentation/cryptotokenkit; man sc_auth, man security"
_WINDOWS = (
    "https://docs.yubico.com/software/yubikey/tools/minidriver/, "
    "https://chromeenterprise.google/policies/#AutoSelectCertificateForUrls"
)
_MOZILLA = (
    "https://blog.mozilla.org/security/2020/04/14/expanding-client-certificates-in-firefox-75/, "
    "https://support.mozilla.org/kb/automatically-trust-third-party-certificates"
)

_MAC_TRUST = (
    "A site of an internal authority: open its certificate in Keychain Access, and set "
    "Secure Sockets Layer to Always Trust."
)
_MAC_MODULE = (
    "If the certificate does not appear: `brew install opensc`, then Settings, Privacy & Security, "
    "Security Devices, Load: /Library/OpenSC/lib/opensc-pkcs11.so or /opt/homebrew/lib/opensc-pkcs11.so."
)
_MINIDRIVER = (
    "Windows' own driver for PIV cards takes an RSA key; for P-256 and P-384 install the "
    "YubiKey Smart Card Minidriver."
)
_REGISTRY = (
    "To have the certificate chosen: the policy AutoSelectCertificateForUrls, in the registry in "
    "HKCU\\Software\\Policies\\Microsoft\\Edge or HKCU\\Software\\Policies\\Google\\Chrome."
)
_SYSTEM_CERTIFICATES = (
    "In about:config, security.osclientcerts.autoload is to be true, as it is since Firefox 90: "
    "Firefox then reads the certificates that the system offers."
)
_SYSTEM_ROOTS = (
    "A site of an internal authority: what the system trusts is trusted, while "
    "security.enterprise_roots.enabled is true, as it is since Firefox 120."
)

_ADVICE = {
    "darwin": (
        Advice(
            "Safari, Chrome, Edge, Brave",
            (
                "Nothing has to be installed: macOS reads PIV cards itself (CryptoTokenKit, since 10.12).",
                "See that `sc_auth identities` lists the key; `security list-smartcards` names its token.",
                "Do not have OpenSC's own token driver beside it: two would offer the certificate twice.",
                _MAC_TRUST,
            ),
            _APPLE,
        ),
        Advice("Firefox", (_SYSTEM_CERTIFICATES, _MAC_MODULE, _SYSTEM_ROOTS), _MOZILLA),
    ),
    "win32": (
        Advice(
            "Edge, Chrome, Brave",
            (
                _MINIDRIVER,
                "See that `certutil -scinfo` shows the certificate, and `certutil -user -store My` lists it.",
                "A site of an internal authority: `certutil -user -addstore Root authority.pem`.",
                _REGISTRY,
            ),
            _WINDOWS,
        ),
        Advice("Firefox", (_SYSTEM_CERTIFICATES, _SYSTEM_ROOTS), _MOZILLA),
    ),
}


def advice(platform: str) -> tuple[Advice, ...]:
    """Return what to do on a platform, as ``sys.platform`` names it; nothing for Linux."""
    return _ADVICE.get(platform, ())
