"""What a recorded server has said, event by event, and which connection a client is given."""

from __future__ import annotations

import pytest

from reactor.exceptions import WebSocketRecordingException
from reactor.monitor.recording.packets import Endpoint
from reactor.monitor.recording.playing import Playlist, agreement_of, server_events
from reactor.monitor.recording.reading import End, Recorded, Said
from reactor.protocols.events import Close, Ping
from reactor.protocols.http.answers import build_response
from reactor.protocols.http.handshake import build_request

from ...support.websocket_frames import CLOSE, CONT, KEY, PING, TEXT, build_frame, close_payload

SAMPLE = "dGhlIHNhbXBsZSBub25jZQ=="


def recorded(*pieces: bytes | str, target: str = "/", extensions: str | None = None) -> Recorded:
    """Return a connection: what the server has said; of the client, if it is a str; b"": an end."""
    nobody = Endpoint(b"", 0)
    found = Recorded("a.pcapng", 24, [], nobody, nobody)
    found.request = build_request("host", target, SAMPLE)
    found.response = build_response(SAMPLE, extensions=extensions)
    for time, piece in enumerate(pieces, 1):
        by_client = isinstance(piece, str)
        if not piece:
            found.ends.append(End(time, by_client, False))
            continue
        data = build_frame(TEXT, piece.encode(), key=KEY) if isinstance(piece, str) else piece
        found.said.append(Said(time, by_client, data, 100 + time, False))
    return found


def heard(*pieces: bytes | str) -> list[tuple[int, int, object]]:
    return [tuple(cue) for cue in server_events(recorded(*pieces))]  # type: ignore[misc]


def test_each_event_with_its_time_and_what_the_client_had_said_before() -> None:
    assert heard(
        build_frame(TEXT, b"a"),
        "one",
        "two",
        build_frame(PING, b"?") + build_frame(TEXT, b"b", fin=False),
        build_frame(CONT, b"c"),
        build_frame(CLOSE, close_payload(1001, b"bye")),
        build_frame(TEXT, b"said too late"),
    ) == [(1, 0, "a"), (4, 2, Ping(b"?")), (5, 2, "bc"), (6, 2, Close(1001, "bye"))]


def test_ends_without_a_close_frame() -> None:
    assert heard(build_frame(TEXT, b"a"), b"") == [(1, 0, "a"), (2, 0, None)]
    assert heard(build_frame(TEXT, b"a"), "") == [(1, 0, "a")]


def test_what_follows_on_the_clients_close_frame_is_left_out() -> None:
    said = recorded(build_frame(TEXT, b"a"))
    frame = build_frame(CLOSE, close_payload(1000), key=KEY)
    for part in (frame[:1], frame[1:4], frame[4:]):
        said.said.append(Said(2, True, part, 0, False))
    said.said.append(Said(3, False, build_frame(CLOSE, close_payload(1000)), 0, False))
    assert [cue.event for cue in server_events(said)] == ["a"]


def test_many_small_messages_in_one_piece() -> None:
    assert len(heard(build_frame(TEXT, b"x") * 5000)) == 5000


def test_where_the_server_broke_the_protocol() -> None:
    with pytest.raises(WebSocketRecordingException, match=r"^a\.pcapng, offset 101: the server"):
        heard(build_frame(TEXT, b"x", rsv=4))


def test_an_agreement_that_makes_no_sense() -> None:
    said = recorded(extensions="permessage-deflate; server_max_window_bits=99")
    with pytest.raises(WebSocketRecordingException, match="server_max_window_bits"):
        agreement_of(said)


def test_a_playlist_looks_at_the_path_and_then_at_the_order() -> None:
    every = [recorded(target=target) for target in ("/a?x=1", "/b", "/a")]
    playlist = Playlist(every)
    given = [playlist.take(target) for target in ("/a?y=2", "/c", "/b", "/a")]
    assert given == [every[0], every[1], every[2], None]
    playlist.begin_again()
    assert playlist.take("/b") is every[1]
