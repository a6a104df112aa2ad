"""The closing handshake: RFC 6455 sections 5.5.1 and 7, begun by us, by the peer, and by both."""

from __future__ import annotations

import pytest

from reactor.exceptions import WebSocketStateException
from reactor.protocols.session import Close, Role, State, WebSocketSession, check_close
from tests.support.peer_faults import BROKEN_TEXTS
from tests.support.session_end import End, failure_in
from tests.support.websocket_frames import BINARY, CLOSE, PING, TEXT, close_payload

#: Sections 7.4.1 and 7.4.2, with what the IANA registry has added since.
VALID_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


@pytest.fixture(params=list(Role), ids=["client", "server"])
def end(request) -> End:
    return End(request.param)


class TestCheckClose:
    def test_every_code(self):
        for code in [*range(-1, 5101), 65535, 65536, 10**9]:
            if code in VALID_CODES:
                assert check_close(code) == close_payload(code)
                assert check_close(code, "why") == close_payload(code, b"why")
            elif code == 1005:
                assert check_close(code) == b""
            else:
                with pytest.raises(ValueError, match=str(code)):
                    check_close(code)

    def test_no_code_means_no_reason_either(self):
        for reason in ("why", b"why"):
            with pytest.raises(ValueError):
                check_close(1005, reason)

    @pytest.mark.parametrize("reason", ["a" * 123, "€" * 41, "ö" * 61, b"a" * 123])
    def test_a_reason_of_up_to_123_bytes(self, reason):
        payload = reason.encode() if isinstance(reason, str) else reason
        assert check_close(1000, reason) == close_payload(1000, payload)

    @pytest.mark.parametrize("reason", ["a" * 124, "€" * 41 + "a", "ö" * 62, b"a" * 124])
    def test_a_longer_reason_is_refused(self, reason):
        with pytest.raises(ValueError, match="124"):
            check_close(1000, reason)

    @pytest.mark.parametrize("reason", ["\ud800", *BROKEN_TEXTS])
    def test_a_reason_that_is_not_utf8_is_refused(self, reason):
        with pytest.raises(ValueError):
            check_close(1000, reason)


class TestClosing:
    def test_we_begin(self, end):
        assert end.session.close(1001, "bye €") is True
        assert end.session.state is State.CLOSING
        assert end.session.sent_close == Close(1001, "bye €")
        assert end.said() == [(CLOSE, close_payload(1001, "bye €".encode()))]
        assert not end.session.ended

        events = end.take(end.frame(CLOSE, close_payload(1001, b"bye")))
        assert events == [Close(1001, "bye")]
        assert end.session.ended
        end.session.take_last_word(events[0])
        assert end.session.received_close == Close(1001, "bye")
        assert end.session.sent_close == Close(1001, "bye €")
        assert not end.session.closed_by_peer
        assert end.said() == []
        assert end.session.state is State.CLOSING
        end.session.lost()
        assert end.session.state is State.CLOSED

    def test_by_default_with_1000_and_no_reason(self, end):
        end.session.close()
        assert end.said() == [(CLOSE, close_payload(1000))]
        assert end.session.sent_close == Close(1000, "")

    def test_without_a_code(self, end):
        end.session.close(1005)
        assert end.said() == [(CLOSE, b"")]
        assert end.session.sent_close == Close(1005, "")

    def test_with_a_reason_in_bytes(self, end):
        end.session.close(1000, "€".encode())
        assert end.said() == [(CLOSE, close_payload(1000, "€".encode()))]
        assert end.session.sent_close == Close(1000, "€")

    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            (1004, ""),
            (1005, "why"),
            (1006, ""),
            (1015, ""),
            (999, ""),
            (2999, ""),
            (5000, ""),
            (1000, "a" * 124),
            (1000, "\ud800"),
            (1000, b"\xff"),
            pytest.param(1000, b"\xff" * 100, id="1000-many bytes that are not UTF-8"),
        ],
    )
    def test_what_may_not_be_sent_is_refused_without_effect(self, end, code, reason):
        with pytest.raises(ValueError):
            end.session.close(code, reason)
        assert end.session.state is State.OPEN
        assert end.session.sent_close is None
        assert end.said() == []
        assert end.session.close() is True

    def test_a_second_time_does_nothing(self, end):
        end.session.close(1000)
        end.said()
        assert end.session.close(1001) is False
        assert end.said() == []
        assert end.session.sent_close == Close(1000, "")

    def test_before_the_connection_is_open(self, end):
        session = WebSocketSession(end.role)
        with pytest.raises(WebSocketStateException):
            session.close()
        assert session.state is State.CONNECTING
        assert session.output == []

    def test_of_a_closed_connection_does_nothing(self, end):
        end.session.lost()
        assert end.session.close() is False
        assert end.session.state is State.CLOSED
        assert end.said() == []

    @pytest.mark.parametrize(
        ("payload", "close"),
        [
            (b"", Close(1005, "")),
            (close_payload(1000), Close(1000, "")),
            (close_payload(1001, "€ and so on".encode()), Close(1001, "€ and so on")),
            (close_payload(4999, b"a" * 123), Close(4999, "a" * 123)),
        ],
    )
    @pytest.mark.parametrize("whole", [True, False], ids=["one read", "octets"])
    def test_the_peer_begins(self, end, payload, close, whole):
        take = end.take if whole else end.take_octets
        assert take(end.frame(TEXT, b"last"), end.frame(CLOSE, payload)) == ["last", close]
        # No effect yet: handlers of what came before may answer it.
        assert end.session.state is State.OPEN
        assert end.session.ended
        assert end.session.received_close is None
        end.session.send("answer to the last")
        assert end.said() == [(TEXT, b"answer to the last")]

        end.session.take_last_word(close)
        assert end.session.state is State.CLOSING
        assert end.session.received_close == end.session.sent_close == close
        assert end.session.closed_by_peer
        assert end.said() == [(CLOSE, payload)]
        end.session.lost()
        assert end.session.state is State.CLOSED

    def test_every_code_that_a_peer_may_send_is_taken_and_answered(self, end):
        for code in sorted(VALID_CODES):
            fresh = End(end.role)
            (close,) = fresh.take(fresh.frame(CLOSE, close_payload(code)))
            assert close == Close(code, "")
            fresh.session.take_last_word(close)
            assert fresh.said() == [(CLOSE, close_payload(code))]

    def test_no_other_code_is_taken(self, end):
        for code in {*range(5100), 2**15, 2**16 - 1} - VALID_CODES:
            fresh = End(end.role)
            assert (
                failure_in(fresh.take(fresh.frame(CLOSE, close_payload(code)))).close_code == 1002
            )

    def test_we_close_after_the_peers_close_came_but_before_it_is_accepted(self, end):
        (close,) = end.take(end.frame(CLOSE, close_payload(1001)))
        assert end.session.close(3000, "mine") is True
        end.session.take_last_word(close)
        assert end.said() == [(CLOSE, close_payload(3000, b"mine"))]
        assert end.session.sent_close == Close(3000, "mine")
        assert end.session.received_close == Close(1001, "")

    def test_messages_that_cross_our_close_are_still_received(self, end):
        end.session.close()
        frames = [end.frame(TEXT, b"crossing"), *end.fragments(BINARY, b"a", b"b")]
        assert end.take(*frames, end.frame(CLOSE)) == ["crossing", b"ab", Close(1005, "")]

    def test_nothing_is_heard_after_the_peers_close(self, end):
        after = [end.frame(TEXT, b"late"), end.frame(PING), end.frame(CLOSE), end.frame(3)]
        assert end.take(end.frame(CLOSE), *after) == [Close(1005, "")]
        assert end.take(*after) == []
        end.session.take_last_word(Close(1005, ""))
        assert end.take(*after) == []
        assert end.said() == [(CLOSE, b"")]

    def test_a_close_frame_may_come_between_fragments(self, end):
        first, _ = end.fragments(TEXT, b"never", b"ended")
        assert end.take(first, end.frame(CLOSE, close_payload(1001))) == [Close(1001, "")]

    def test_a_close_frame_that_is_not_whole_is_not_there(self, end):
        frame = end.frame(CLOSE, close_payload(1000, b"why"))
        assert end.take(frame[:-1]) == []
        assert not end.session.ended
        assert end.take(frame[-1:]) == [Close(1000, "why")]

    def test_a_loss_without_a_close_frame(self, end):
        end.session.lost()
        assert end.session.state is State.CLOSED
        assert (end.session.sent_close, end.session.received_close) == (None, None)
        assert not end.session.closed_by_peer
        assert end.said() == []

    def test_both_begin_at_the_same_time(self):
        client, server = WebSocketSession(Role.CLIENT), WebSocketSession(Role.SERVER)
        for session, code in ((client, 3001), (server, 3002)):
            session.opened()
            session.close(code)
        to_server, to_client = client.output.copy(), server.output.copy()
        for session, frames in ((client, to_client), (server, to_server)):
            session.output.clear()
            (close,) = session.receive(b"".join(frames))
            session.take_last_word(close)
            assert session.output == []
            assert session.state is State.CLOSING
            assert not session.closed_by_peer
        assert client.sent_close == server.received_close == Close(3001, "")
        assert server.sent_close == client.received_close == Close(3002, "")
