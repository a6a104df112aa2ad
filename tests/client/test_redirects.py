"""What goes along when a redirect leads to another origin. How it is followed: test_connect.py."""

from __future__ import annotations

import pytest

from reactor.client.options import ClientOptions
from reactor.client.redirects import headers_for_another_origin, options_for_another_origin


@pytest.mark.parametrize(
    "name",
    [
        "chat",
        "v1",
        "mqtt",
        "graphql-ws",
        "graphql-transport-ws",
        "wamp.2.json",
        "v12.stomp",
        "ocpp1.6",
        "ocpp2.0.1",
        "opcua+uacp",
        "XMPP",
        "soap",
    ],
)
def test_a_subprotocol_that_somebody_has_thought_up_goes_along(name: str) -> None:
    options = options_for_another_origin(ClientOptions(subprotocols=[name]))
    assert options.subprotocols == [name]
    header = [("Sec-WebSocket-Protocol", name)]
    assert headers_for_another_origin(header) == header


@pytest.mark.parametrize(
    "name",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "base64url.bearer.authorization.k8s.io.aGVsbG8",
        "9f86d081884c7d659a2feaa0c55ad015",
        "123e4567-e89b-12d3-a456-426614174000",
        "access_token",
        "Bearer",
        "openai-insecure-api-key.sk-abc",
        "hunter2",
        "s3cr3t",
        "AKIAIOSFODNN7EXAMPLE",
        "qzmvkdhwpclrxtbnsjfg",
        "xJkQzWmP",
        "12345678901234567890",
        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v",
    ],
)
def test_a_subprotocol_that_may_be_a_token_stays_behind(name: str) -> None:
    options = options_for_another_origin(ClientOptions(subprotocols=["chat", name, "v1"]))
    assert options.subprotocols == ["chat", "v1"]
    header = [("X-Client", "1"), ("SEC-WebSocket-Protocol", f"chat, {name}")]
    assert headers_for_another_origin(header) == header[:1]


def test_what_tls_verifies_goes_along_and_who_we_are_does_not() -> None:
    ours = {"certfile": "c", "keyfile": "k", "password": "p", "cert_chain": ("c", "k", "p")}
    options = ClientOptions(sslopt={"ca_certs": "ca", **ours, "server_hostname": "h"}, host="h")
    options = options_for_another_origin(options)
    assert options.sslopt == {"ca_certs": "ca"}
    assert options.host is None
