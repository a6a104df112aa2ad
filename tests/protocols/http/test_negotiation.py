"""permessage-deflate: what is offered, and what both sides agree on (RFC 7692 section 7.1)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from reactor import Deflate
from reactor.exceptions import WebSocketHandshakeException
from reactor.protocols.deflate import Agreement
from reactor.protocols.http.negotiation import accept_offers, check_answer, make_offer
from tests.support.zlib_peer import agreements, parameters

NAME = "permessage-deflate"
BITS = range(8, 16)


def accept(server: Deflate, *offers: str) -> tuple[dict[str, str | None], Agreement]:
    answer, agreement = accept_offers(server, offers)
    assert answer is not None
    assert agreement is not None
    return parameters(answer), agreement


def declines(server: Deflate, *offers: str) -> bool:
    return accept_offers(server, offers) == (None, None)


def check(client: Deflate, *extensions: str) -> Agreement:
    agreement = check_answer(client, extensions)
    assert agreement is not None
    return agreement


NAMES = (
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
)


def wanting(*values: Any) -> Deflate:
    return Deflate(**dict(zip(NAMES, values, strict=True)))


class TestOffer:
    def test_by_default_it_is_that_of_browsers(self) -> None:
        assert make_offer(Deflate()) == "permessage-deflate; client_max_window_bits"

    @pytest.mark.parametrize(
        ("config", "expected"),
        [
            (Deflate(client_max_window_bits=None), {}),
            (Deflate(client_max_window_bits=9), {"client_max_window_bits": "9"}),
            (
                Deflate(client_max_window_bits=None, server_max_window_bits=8),
                {"server_max_window_bits": "8"},
            ),
            (
                Deflate(client_max_window_bits=None, server_no_context_takeover=True),
                {"server_no_context_takeover": None},
            ),
            (
                Deflate(client_max_window_bits=None, client_no_context_takeover=True),
                {"client_no_context_takeover": None},
            ),
            (
                wanting(True, True, 10, 11),
                {
                    "server_no_context_takeover": None,
                    "client_no_context_takeover": None,
                    "server_max_window_bits": "10",
                    "client_max_window_bits": "11",
                },
            ),
        ],
    )
    def test_each_parameter(self, config: Deflate, expected: dict[str, str | None]) -> None:
        assert parameters(make_offer(config)) == expected


#: Elements that no endpoint may send in an offer (section 7.1), and what is wrong with them.
FORBIDDEN_IN_OFFERS = {
    "an unknown parameter": "unknown",
    "an unknown parameter with a value": "unknown=1",
    "a value where there is none (server)": "server_no_context_takeover=1",
    "a value where there is none (client)": "client_no_context_takeover=true",
    "an empty quoted value where there is none": 'client_no_context_takeover=""',
    "no value where there must be one": "server_max_window_bits",
    "too few bits (server)": "server_max_window_bits=7",
    "too many bits (server)": "server_max_window_bits=16",
    "too few bits (client)": "client_max_window_bits=7",
    "too many bits (client)": "client_max_window_bits=16",
    "a leading zero (server)": "server_max_window_bits=08",
    "a leading zero (client)": "client_max_window_bits=010",
    "a sign": "server_max_window_bits=+9",
    "no number": "server_max_window_bits=ten",
    "no integer": "client_max_window_bits=10.0",
    "an underscore within the number": "client_max_window_bits=1_0",
    "digits of another script": "client_max_window_bits=\u0661\u0660",
    "superscript digits": "client_max_window_bits=\u00b9\u00b2",
    "an empty value": "server_max_window_bits=",
    "a quoted value with a space": 'server_max_window_bits=" 9"',
    "an open quotation mark": 'server_max_window_bits="9',
    "the same twice (flag)": "server_no_context_takeover; server_no_context_takeover",
    "the same twice (bits)": "server_max_window_bits=9; server_max_window_bits=9",
    "the same twice (one without value)": "client_max_window_bits; client_max_window_bits=9",
}

#: The same for answers; there, the client's window needs a value, too (section 7.1.2.2).
FORBIDDEN_IN_ANSWERS = FORBIDDEN_IN_OFFERS | {
    "no value for the client's window": "client_max_window_bits"
}


class TestServer:
    def test_without_offers_there_is_no_compression(self) -> None:
        assert declines(Deflate())

    @pytest.mark.parametrize(
        "other", ["permessage-bzip2", "x-webkit-deflate-frame", "permessage-deflate-2", "foo; a=1"]
    )
    def test_another_extension_is_passed_over(self, other: str) -> None:
        assert declines(Deflate(), other)
        accept(Deflate(), other, NAME)
        accept(Deflate(), NAME, other)

    def test_a_bare_offer_gets_a_bare_answer(self) -> None:
        answer, agreement = accept(Deflate(), NAME)
        assert answer == {}
        assert agreement.send_takeover
        assert agreement.receive_takeover
        assert agreement.receive_bits == 15

    @pytest.mark.parametrize("wrong", FORBIDDEN_IN_OFFERS.values(), ids=FORBIDDEN_IN_OFFERS)
    def test_a_forbidden_offer_is_declined(self, wrong: str) -> None:
        assert declines(Deflate(), f"{NAME}; {wrong}")

    @pytest.mark.parametrize("wrong", FORBIDDEN_IN_OFFERS.values(), ids=FORBIDDEN_IN_OFFERS)
    def test_the_next_offer_is_taken_instead(self, wrong: str) -> None:
        offers = [f"{NAME}; {wrong}", f"{NAME}; server_max_window_bits=10", NAME]
        answer, agreement = accept(Deflate(), *offers)
        assert answer == {"server_max_window_bits": "10"}
        assert agreement.send_bits <= 10

    def test_the_first_good_offer_is_taken(self) -> None:
        answer, _ = accept(Deflate(), f"{NAME}; server_no_context_takeover", NAME)
        assert answer == {"server_no_context_takeover": None}
        answer, agreement = accept(Deflate(), NAME, f"{NAME}; server_no_context_takeover")
        assert answer == {}
        assert agreement.send_takeover

    @pytest.mark.parametrize("bits", BITS)
    @pytest.mark.parametrize("spelling", ["{}={}", '{}="{}"', "{} = {}", '  {}="{}"  '])
    def test_the_servers_window(self, bits: int, spelling: str) -> None:
        offer = f"{NAME};" + spelling.format("server_max_window_bits", bits)
        answer, agreement = accept(Deflate(), offer)
        assert answer == {"server_max_window_bits": str(bits)}
        assert agreement.send_bits <= bits

    def test_a_quoted_value_may_have_backslashes(self) -> None:
        answer, _ = accept(Deflate(), rf'{NAME}; server_max_window_bits="1\0"')
        assert answer == {"server_max_window_bits": "10"}

    def test_without_spaces(self) -> None:
        answer, _ = accept(
            Deflate(), f"{NAME};server_no_context_takeover;server_max_window_bits=12"
        )
        assert answer == {"server_no_context_takeover": None, "server_max_window_bits": "12"}

    @pytest.mark.parametrize(("own", "offered"), [*itertools.product([8, 11, 15], BITS)])
    def test_the_smaller_of_two_windows_is_the_servers(self, own: int, offered: int) -> None:
        """Section 7.1.2.1: "with the same or smaller value"."""
        config = Deflate(server_max_window_bits=own)
        answer, agreement = accept(config, f"{NAME}; server_max_window_bits={offered}")
        told = answer["server_max_window_bits"]
        assert told is not None
        assert int(told) <= min(own, offered)
        assert agreement.send_bits <= min(own, offered)

    def test_a_demand_of_the_servers_own_needs_no_offer(self) -> None:
        _, agreement = accept(Deflate(server_max_window_bits=9), NAME)
        assert agreement.send_bits == 9
        answer, agreement = accept(Deflate(server_no_context_takeover=True), NAME)
        assert answer == {"server_no_context_takeover": None}
        assert not agreement.send_takeover
        answer, agreement = accept(Deflate(client_no_context_takeover=True), NAME)
        assert answer == {"client_no_context_takeover": None}
        assert not agreement.receive_takeover

    def test_a_client_that_forgoes_takeover_is_believed_only_if_it_is_told_so(self) -> None:
        """Section 7.1.1.2: the offer is a hint, which the server may use, or not."""
        answer, agreement = accept(Deflate(), f"{NAME}; client_no_context_takeover")
        assert agreement.receive_takeover is ("client_no_context_takeover" not in answer)

    def test_the_clients_window_can_be_limited_only_when_that_is_offered(self) -> None:
        """Section 7.1.2.2: the answer MUST NOT have it otherwise."""
        config = Deflate(client_max_window_bits=10)
        answer, agreement = accept(config, NAME)
        assert answer == {}
        assert agreement.receive_bits == 15
        answer, agreement = accept(config, f"{NAME}; client_max_window_bits")
        assert answer == {"client_max_window_bits": "10"}
        assert agreement.receive_bits >= 10

    @pytest.mark.parametrize(("own", "offered"), [*itertools.product([8, 11, 15], BITS)])
    def test_the_smaller_of_two_windows_is_the_clients(self, own: int, offered: int) -> None:
        config = Deflate(client_max_window_bits=own)
        answer, agreement = accept(config, f"{NAME}; client_max_window_bits={offered}")
        told = answer.get("client_max_window_bits")
        assert told is None or int(told) <= own
        # A client that has said so uses no more than it has offered.
        assert agreement.receive_bits >= min(own, offered)
        assert told is not None or offered <= own

    def test_a_server_without_demand_does_not_limit_the_client(self) -> None:
        for config in (Deflate(), Deflate(client_max_window_bits=None)):
            _, agreement = accept(config, f"{NAME}; client_max_window_bits")
            assert agreement.receive_bits == 15


class TestClient:
    def test_no_answer_means_no_compression(self) -> None:
        assert check_answer(Deflate(), []) is None

    def test_another_extension_is_passed_over(self) -> None:
        assert check_answer(Deflate(), ["permessage-bzip2"]) is None
        assert check(Deflate(), "permessage-bzip2", NAME).receive_bits == 15

    def test_a_bare_answer(self) -> None:
        agreement = check(Deflate(), NAME)
        assert agreement.send_takeover
        assert agreement.receive_takeover
        assert agreement.receive_bits == 15

    def test_the_same_extension_twice(self) -> None:
        with pytest.raises(WebSocketHandshakeException):
            check_answer(Deflate(), [NAME, NAME])

    @pytest.mark.parametrize("wrong", FORBIDDEN_IN_ANSWERS.values(), ids=FORBIDDEN_IN_ANSWERS)
    def test_a_forbidden_answer(self, wrong: str) -> None:
        for config in (Deflate(), wanting(True, True, 15, 15)):
            with pytest.raises(WebSocketHandshakeException):
                check_answer(config, [f"{NAME}; {wrong}"])

    @pytest.mark.parametrize("bits", BITS)
    @pytest.mark.parametrize("spelling", ["{}={}", '{}="{}"', "{} = {}"])
    def test_the_servers_window(self, bits: int, spelling: str) -> None:
        """With or without our asking for it."""
        answer = f"{NAME}; " + spelling.format("server_max_window_bits", bits)
        assert check(Deflate(), answer).receive_bits >= bits
        assert check(Deflate(server_max_window_bits=bits), answer).receive_bits >= bits

    @pytest.mark.parametrize(("asked", "told"), [*itertools.product(BITS, BITS)])
    def test_the_servers_window_is_not_larger_than_asked(self, asked: int, told: int) -> None:
        config = Deflate(server_max_window_bits=asked)
        answer = [f"{NAME}; server_max_window_bits={told}"]
        if told <= asked:
            assert check(config, *answer).receive_bits >= told
        else:
            with pytest.raises(WebSocketHandshakeException, match="server_max_window_bits"):
                check_answer(config, answer)

    def test_a_demand_that_is_passed_over_is_as_if_nothing_had_been_demanded(self) -> None:
        agreement = check(Deflate(server_max_window_bits=9), NAME)
        assert agreement.receive_bits == 15
        agreement = check(Deflate(server_no_context_takeover=True), NAME)
        assert agreement.receive_takeover

    def test_the_server_keeps_no_context(self) -> None:
        for config in (Deflate(), Deflate(server_no_context_takeover=True)):
            assert not check(config, f"{NAME}; server_no_context_takeover").receive_takeover

    def test_the_client_keeps_no_context(self) -> None:
        answer = f"{NAME}; client_no_context_takeover"
        assert not check(Deflate(), answer).send_takeover
        assert not check(Deflate(client_no_context_takeover=True), answer).send_takeover

    def test_a_client_that_has_forgone_takeover_does_so_whatever_the_answer(self) -> None:
        """Section 7.1.1.2: "even if" the answer does not have the parameter."""
        assert not check(Deflate(client_no_context_takeover=True), NAME).send_takeover

    @pytest.mark.parametrize("bits", BITS)
    def test_the_clients_window(self, bits: int) -> None:
        agreement = check(Deflate(), f"{NAME}; client_max_window_bits={bits}")
        assert agreement.send_bits <= bits

    def test_the_clients_window_is_not_limited_where_that_was_not_offered(self) -> None:
        with pytest.raises(WebSocketHandshakeException, match="client_max_window_bits"):
            check_answer(
                Deflate(client_max_window_bits=None), [f"{NAME}; client_max_window_bits=10"]
            )

    @pytest.mark.parametrize(("offered", "told"), [*itertools.product(BITS, [None, *BITS])])
    def test_the_client_keeps_to_its_offer(self, offered: int, told: int | None) -> None:
        """Section 7.1.2.2: also when the answer has a greater value, or none."""
        answer = NAME if told is None else f"{NAME}; client_max_window_bits={told}"
        agreement = check(Deflate(client_max_window_bits=offered), answer)
        assert agreement.send_bits <= min(offered, told or offered)


def test_our_own_window_is_as_large_as_is_said() -> None:
    """In place of the 12 bits that are used where nothing is said."""
    client, server = agreements()
    assert (client.send_bits, server.send_bits) == (12, 12)
    wide = Deflate(client_max_window_bits=15, server_max_window_bits=15)
    client, server = agreements(wide, wide)
    assert (client.send_bits, server.send_bits) == (15, 15)


def test_all_that_two_sides_may_want() -> None:
    """What is agreed obeys both of them, and each can inflate what the other may send."""
    flags = (False, True)
    sides = [
        wanting(*want)
        for want in itertools.product(flags, flags, (None, 8, 11, 15), (None, True, 8, 11, 15))
    ]
    for client, server in itertools.product(sides, sides):
        offer = make_offer(client)
        answer, theirs = accept_offers(server, [offer])
        assert answer is not None
        assert theirs is not None
        offered, told = parameters(offer), parameters(answer)
        ours = check_answer(client, [answer])
        assert ours is not None
        for name in ("server_no_context_takeover", "server_max_window_bits"):
            assert name not in offered or name in told
        assert "client_max_window_bits" in offered or "client_max_window_bits" not in told
        assert told.get("client_max_window_bits", "") is not None
        # Who sends never does more than the other one can follow.
        assert ours.send_bits <= theirs.receive_bits
        assert theirs.send_bits <= ours.receive_bits
        assert ours.send_takeover <= theirs.receive_takeover
        assert theirs.send_takeover <= ours.receive_takeover
        # Both get what they wanted.
        if client.server_no_context_takeover or server.server_no_context_takeover:
            assert not theirs.send_takeover
            assert not ours.receive_takeover
        else:
            assert theirs.send_takeover
        if client.client_no_context_takeover or server.client_no_context_takeover:
            assert not ours.send_takeover
        else:
            assert ours.send_takeover
        assert theirs.send_bits <= smallest(
            client.server_max_window_bits, server.server_max_window_bits
        )
        if client.client_max_window_bits is not None:
            assert ours.send_bits <= smallest(
                client.client_max_window_bits, server.client_max_window_bits
            )


def smallest(*bits: int | bool | None) -> int:
    return min([15, *(one for one in bits if one not in (None, True))])
