# SPDX-License-Identifier: Apache-2.0
"""Whether the answers on the verdict socket come from the same tree, looked up in the same way."""

from pathlib import Path
from typing import Final

from pivgate.gate.addresses import Unix, parse_listen
from pivgate.gate.audit_admin import is_private_socket
from pivgate.gate.audit_finding import Finding, Kind
from pivgate.gate.audit_match import Match, route_match
from pivgate.gate.audit_node import Node
from pivgate.gate.audit_routes import is_refusal
from pivgate.gate.snippet import GROUP_PATTERN, VERDICT_HOST

_PATH: Final = f"^/{GROUP_PATTERN}/[0-9a-f]{{64}}$"
_REMEDY: Final = (
    "Import the file that pivgate writes, `import pivgate.caddy`, and bind nothing else to its socket."
)


def is_verdict_server(server: Node, socket: Path) -> bool:
    """Say whether a server listens on the verdict socket."""
    return any(
        Unix(socket) in parse_listen(text) for text in server["listen"].texts() if text.startswith("unix/")
    )


def verdict_findings(servers: list[Node], socket: Path, access: Path) -> list[Finding]:
    """Check that the verdict socket is there, once, and tells the truth."""
    ours = [server for server in servers if is_verdict_server(server, socket)]
    if len(ours) == 1 and _tells_the_truth(ours[0], socket, access):
        return []
    return [
        Finding(
            Kind.VERDICT,
            "The running gate could not be asked for its verdict"
            if not ours
            else "Something else than the gate's verdict can be served on its socket",
            ours[0].path if ours else f"apps.http.servers, {socket}",
            "`pivgate key revoke` could not see whether a revoked key is really refused.",
            _REMEDY,
        )
    ]


def _tells_the_truth(server: Node, socket: Path, access: Path) -> bool:
    listen = server["listen"].texts()
    if len(listen) != 1 or not is_private_socket(listen[0], socket):
        return False
    concerned = [
        route for route in server["routes"].items() if route_match(route, VERDICT_HOST) is not Match.NO
    ]
    if not concerned or route_match(concerned[0], VERDICT_HOST) is not Match.YES:
        return False
    steps = _flattened(concerned[0])
    return len(steps) == 2 and _admits_by_tree(steps[0], access) and _refuses_the_rest(steps[1])


def _flattened(route: Node) -> list[Node]:
    """Unwrap subroutes that stand alone and match everything."""
    handlers = route["handle"].items()
    if len(handlers) == 1:
        inner = handlers[0]["routes"].items()
        if len(inner) == 1 and not inner[0]["match"].items():
            return _flattened(inner[0])
        return inner
    return [route]


def _admits_by_tree(step: Node, access: Path) -> bool:
    matcher = step["match"].value
    wanted = [
        {
            "file": {"root": str(access), "try_files": ["{http.request.uri.path}"]},
            "path_regexp": {"name": "admitted", "pattern": _PATH},
        }
    ]
    # A verdict that says "refused" for everybody would let a revocation pass for done.
    answers = [
        (handler["handler"].value, str(handler["status_code"].value)) for handler in step["handle"].items()
    ]
    return matcher == wanted and answers == [("static_response", "200")]


def _refuses_the_rest(step: Node) -> bool:
    handlers = step["handle"].items()
    return (
        not step["match"].items()
        and len(handlers) == 1
        and handlers[0]["handler"].text() == "static_response"
        and is_refusal(handlers[0])
    )
