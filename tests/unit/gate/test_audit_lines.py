# SPDX-License-Identifier: Apache-2.0
"""Which line of a Caddyfile a finding is said to come from."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.gate.audit_finding import AuditError, Finding, Kind
from pivgate.gate.audit_lines import Source, asking_addresses, locate

TEXT = """\
{
	admin localhost:2019
	servers {
		protocols h1 h2 h3
	}
}

app.example.com {
	handle /public/* {
		reverse_proxy 10.0.0.1:8000
	}
	handle {
		reverse_proxy 10.0.0.1:8000
	}
	handle_errors {
		reverse_proxy 10.0.0.1:8000
	}
}

app.example.com:8443 {
	tls {
		client_auth {
			mode request
		}
	}
	reverse_proxy 10.0.0.1:8000
}

http:// {
	respond "hello"
}
"""


def route(*handlers: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"handle": list(handlers), **others}


def subroute(*routes: dict[str, Any]) -> dict[str, Any]:
    return {"handler": "subroute", "routes": list(routes)}


PROXY = {"handler": "reverse_proxy", "upstreams": [{"dial": "10.0.0.1:8000"}]}
APP = [{"host": ["app.example.com"]}]
CONFIG: dict[str, Any] = {
    "apps": {
        "http": {
            "servers": {
                "srv0": {
                    "listen": [":443"],
                    "routes": [
                        route(
                            subroute(
                                route(subroute(route(PROXY)), match=[{"path": ["/public/*"]}]),
                                route(subroute(route(PROXY))),
                            ),
                            match=APP,
                        )
                    ],
                    "errors": {"routes": [route(subroute(route(PROXY)), match=APP)]},
                },
                "srv1": {"listen": [":8443"], "routes": [route(subroute(route(PROXY)), match=APP)]},
                "srv2": {"listen": [":80"], "routes": [route({"handler": "static_response"})]},
            }
        }
    }
}
SERVERS = "apps.http.servers"
INNER = "handle[0].routes[0].handle[0]"


def finding(where: str, kind: Kind = Kind.ANSWERS_FIRST, host: str = "app.example.com") -> Finding:
    return Finding(kind, "what", where, "risk", "remedy", host)


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (finding("admin.listen", Kind.ADMIN_EXPOSED), "\tadmin localhost:2019"),
        (finding(f"{SERVERS}.srv0.protocols", Kind.PROTOCOLS), "\t\tprotocols h1 h2 h3"),
        # What is missing is missing in the global options.
        (finding(f"{SERVERS}.srv0.strict_sni_host", Kind.STRICT_SNI_OFF), "{"),
        (finding(f"{SERVERS}.srv0.routes[0].handle[0].routes[0].{INNER}"), "\thandle /public/* {+1"),
        (finding(f"{SERVERS}.srv0.routes[0].handle[0].routes[1].{INNER}"), "\thandle {+1"),
        (finding(f"{SERVERS}.srv0.errors.routes[0].{INNER}"), "\thandle_errors {+1"),
        (finding(f"{SERVERS}.srv1.routes[0].{INNER}"), "app.example.com:8443 {+6"),
        (finding(f"{SERVERS}.srv0.routes[0]", Kind.FALLS_THROUGH), "app.example.com {"),
        (finding(f"{SERVERS}.srv2.routes[0].handle[0]", host=""), '\trespond "hello"'),
        (finding(f"{SERVERS}.srv1.listen", Kind.PLAIN_HTTP), "app.example.com:8443 {"),
        (finding(f"{SERVERS}.srv1.listen", Kind.PLAIN_HTTP, ""), "app.example.com:8443 {"),
        (finding(f"{SERVERS}.srv1.tls_connection_policies[0]", Kind.CLIENT_AUTH_MODE), "\t\tclient_auth {"),
        (finding(f"{SERVERS}.srv0.listen", Kind.UNIX_LISTENER, "other.example.com"), ""),
    ],
)
def test_a_finding_has_its_line(found: Finding, line: str) -> None:
    text, _, more = line.partition("+")
    wanted = TEXT.splitlines().index(text) + 1 + int(more or 0) if line else 0
    (located,) = locate([found], CONFIG, [Source("Caddyfile", TEXT)])
    assert located.line == wanted
    assert located.file == ("Caddyfile" if line else "")
    assert ("Caddyfile:" in str(located)) is bool(line)
    assert str(located) in AuditError((located,)).message


def test_a_site_in_an_imported_file_is_named_with_that_file() -> None:
    main, sites = TEXT[: TEXT.index("app.example.com {")], TEXT[TEXT.index("app.example.com {") :]
    where = f"{SERVERS}.srv0.routes[0].handle[0].routes[1].{INNER}"
    (located,) = locate([finding(where)], CONFIG, [Source("Caddyfile", main), Source("sites/app", sites)])
    assert (located.file, located.line) == ("sites/app", 6)


def test_what_cannot_be_read_has_no_line() -> None:
    found = finding(f"{SERVERS}.srv0.routes[0]")
    assert locate([found], CONFIG, [Source("Caddyfile", "a {\n")]) == [found]
    assert locate([found], CONFIG, []) == [found]
    options = finding("admin.listen", Kind.ADMIN_EXPOSED)
    assert locate([options], CONFIG, [Source("Caddyfile", "a.test {\n}\n")]) == [options]


@given(st.text("abc.[]0123456789 _", max_size=60), st.sampled_from(Kind), st.sampled_from(["", "a.test"]))
def test_no_place_is_too_strange(where: str, kind: Kind, host: str) -> None:
    source = Source("Caddyfile", TEXT)
    for config in (CONFIG, {}, {"apps": []}):
        assert len(locate([finding(where, kind, host)], config, [source])) == 1
        for path in (f"{SERVERS}.srv0.routes{where}", f"{SERVERS}.srv9.named_routes.{where}"):
            assert len(locate([finding(path, kind, host)], config, [source])) == 1


def test_sites_that_ask_for_certificates_are_known_from_the_text() -> None:
    assert asking_addresses(TEXT) == ["app.example.com:8443"]
