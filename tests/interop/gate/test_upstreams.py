# SPDX-License-Identifier: Apache-2.0
"""Where gated sites send their requests, read from what Caddy made of the Caddyfile."""

from pathlib import Path

import pytest
from tests.interop.gate.adapting import HEAD, SNIPPET, adapt

from pivgate.errors import GateError
from pivgate.gate.upstreams import serving_ports, upstreams

pytestmark = pytest.mark.interop

SITES = """
one.test {
	import pivgate everyone internal {
		reverse_proxy /api/* 10.0.0.1:8000 10.0.0.2:8000
		handle_path /files/* {
			reverse_proxy {
				to 10.0.0.3:8000-8001
				transport http {
					tls
				}
			}
		}
		forward_auth 127.0.0.1:9091 {
			uri /verify
		}
		invoke shared
		php_fastcgi unix//run/php.sock
		reverse_proxy https://app.internal
	}
}
&(shared) {
	reverse_proxy /shared/* 10.0.0.4:8000
}
two.test {
	import pivgate-tls everyone {
		tls {
			issuer internal
		}
		site {
			reverse_proxy {
				dynamic srv _app._tcp.test
			}
			reverse_proxy {$NOWHERE:10.0.0.5:8000}
			reverse_proxy {http.request.host}:80
		}
	}
}
open.test {
	tls internal
	reverse_proxy 10.9.9.9:8000
}
other.test:9443 {
	tls internal
	respond hello
}
"""


def test_every_upstream_of_every_gated_site_and_of_no_other(tmp_path: Path) -> None:
    config = adapt(HEAD + SITES, tmp_path)
    assert sorted(upstreams(config, SNIPPET.authority_pem, SNIPPET.access)) == sorted(
        [
            *(f"10.0.0.{host}:8000" for host in (1, 2, 3, 4, 5)),
            "10.0.0.3:8001",
            "127.0.0.1:9091",
            "unix//run/php.sock",
            "app.internal:443",
            "srv:_app._tcp.test",
            "{http.request.host}:80",
        ]
    )


def test_the_ports_that_are_served(tmp_path: Path) -> None:
    inner = "http://in.test:9080 {\n\tbind 127.0.0.1 ::1 localhost\n\trespond hello\n}\n"
    ports = serving_ports(adapt(HEAD + SITES + inner, tmp_path))
    assert ports >= {9443}
    assert 9080 not in ports
    assert serving_ports({}) == frozenset()


def test_named_routes_that_lead_in_circles_end() -> None:
    lookup = {"file": {"root": str(SNIPPET.access / "everyone"), "try_files": ["x"]}}
    server = {
        "routes": [
            {"match": [{"host": ["a.test"], **lookup}], "handle": [{"handler": "invoke", "name": "a"}]}
        ],
        "named_routes": {
            "a": {"handle": [{"handler": "invoke", "name": "b"}]},
            "b": {
                "handle": [
                    {"handler": "invoke", "name": "a"},
                    {"handler": "reverse_proxy", "upstreams": [{"dial": "10.0.0.1:80"}]},
                ]
            },
        },
    }
    config = {"apps": {"http": {"servers": {"s": server}}}}
    assert upstreams(config, SNIPPET.authority_pem, SNIPPET.access) == ["10.0.0.1:80"]


def test_what_caddy_cannot_have_made_is_refused() -> None:
    with pytest.raises(GateError):
        upstreams({"apps": {"http": {"servers": []}}}, SNIPPET.authority_pem, SNIPPET.access)
