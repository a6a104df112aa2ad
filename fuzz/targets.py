"""Fuzz targets: functions from arbitrary bytes to nothing, which raise what must not be.

What it is: for every parser, what must hold whatever the peer sends. Each target takes its
decisions from the first bytes of its input, and the rest is what the parser gets.

What it must not know: who makes the input (a fuzzer, or tests/test_fuzz.py with what was kept).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from reactor.client.url import parse_url
from reactor.exceptions import WebSocketException
from reactor.protocols import frames, receiving
from reactor.protocols.deflate import Compression, Deflate
from reactor.protocols.http.answers import RejectedUpgrade, check_request
from reactor.protocols.http.body import BodyParser
from reactor.protocols.http.handshake import check_response
from reactor.protocols.http.http11 import HeadError, HeadLimits, HeadParser
from reactor.protocols.http.negotiation import accept_offers, check_answer, make_offer
from reactor.protocols.messages import MessageLimits
from reactor.protocols.session import Close, Data, Failure, Role, State, WebSocketSession

__all__ = ["TARGETS", "load_pure_frames"]

LIMITS = MessageLimits(max_message_size=4096, max_fragments=64)
HEADS = HeadLimits(max_head_size=2048, max_header_count=16, max_body_size=512)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Choices:
    """Takes decisions from the beginning of the input."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def byte(self) -> int:
        """Return the next decision; 0 when there is none left."""
        first, self.rest = self.rest[:1], self.rest[1:]
        return first[0] if first else 0

    def pieces(self, seed: int) -> Iterator[bytes]:
        """Cut what is left into pieces, as a seed says."""
        data, at = self.rest, 0
        while at < len(data):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            size = 1 + (seed >> 16) % (7 if seed & 1 else 300)
            yield data[at : at + size]
            at += size


def other_frames() -> Any:
    """Return the twin of frames.py that is not in use; None when there is no compiled one."""
    if frames.compiled:
        return load_pure_frames()
    try:
        return importlib.import_module("reactor.compiled.frames")
    except ImportError:
        return None


def load_pure_frames() -> Any:
    """Return frames.py once more, with its own functions, whichever are in use."""
    with environment("REACTOR_PURE_PYTHON", "1"):
        spec = importlib.util.spec_from_file_location("reactor.protocols.pure", frames.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    assert not module.compiled
    return module


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for a moment."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


OTHER = other_frames()


def fuzz_frames(data: bytes) -> None:
    """The compiled functions do what those in Python do; what is serialized can be parsed."""
    choices = Choices(data)
    masked, rsv, opcode = bool(choices.byte() & 1), choices.byte() & 7, choices.byte() & 15
    limit = choices.byte() << 4
    mask = (choices.rest + bytes(4))[:4]
    payload = choices.rest
    results = []
    for module in (frames, OTHER or frames):
        taken: list[Any] = []
        end = module.parse_messages(payload, 0, taken, masked, limit, rsv << 4)
        controls: list[Any] = []
        behind = module.parse_pings(payload, 0, controls, masked, opcode)
        assert len(taken) <= rsv << 4
        assert len(controls) <= opcode
        header = module.parse_header(payload, 0)
        results.append((end, taken, behind, controls, header, module.apply_mask(payload, mask)))
        for key in (None, mask):
            frame = module.serialize(opcode, payload, key, masked, rsv)
            header = frames.parse_header(frame, 0)
            assert (header.opcode, header.rsv, header.fin) == (opcode, rsv, masked)
            assert (header.mask, header.length) == (key, len(payload))
            assert header.minimal
            body = frame[header.start :]
            assert module.apply_mask(body, mask) == payload if key else body == payload
            results[-1] += (frame,)
    assert results[0] == results[1]


def fuzz_session(data: bytes) -> None:
    """Whatever comes, in whatever pieces, means the same, and is never too much."""
    choices = Choices(data)
    flags, seed = choices.byte(), choices.byte()
    role = Role.SERVER if flags & 1 else Role.CLIENT
    agreement = None
    if flags & 2:
        config = Deflate(
            server_no_context_takeover=bool(flags & 4), client_no_context_takeover=bool(flags & 8)
        )
        agreement = check_answer(
            config, [make_offer(config).replace("; client_max_window_bits", "")]
        )

    def session() -> WebSocketSession:
        made = WebSocketSession(
            role,
            LIMITS,
            decode_text=not flags & 16,
            fragments=bool(flags & 32),
            agreement=agreement,
            new_mask=lambda: b"mask",
        )
        made.opened()
        return made

    whole, cut = session(), session()
    most = 5 if flags & 64 else 1000  # frames that one call takes, or bytes that it inflates
    expected = all_of(whole, choices.rest, most)
    seen = [event for piece in choices.pieces(seed) for event in all_of(cut, piece, most)]
    assert normal(expected) == normal(seen)
    assert whole.output == cut.output
    for event in expected:
        size = len(event.payload) if isinstance(event, Data) else len(event)
        assert size <= LIMITS.max_message_size
        assert not isinstance(event, (Close, Failure)) or event is expected[-1]
    if expected and isinstance(expected[-1], (Close, Failure)):
        whole.take_last_word(expected[-1])
        assert whole.state is State.CLOSING
        assert whole.receive(b"\x81\x00") == []


def all_of(session: WebSocketSession, data: bytes, most: int) -> list[Any]:
    """Receive all of what came, *most* frames, or about as many inflated bytes, at a time."""
    usual = receiving.MAX_FRAMES, receiving.MAX_INFLATED
    receiving.MAX_FRAMES = receiving.MAX_INFLATED = most
    try:
        events: list[Any] = session.receive(data)
        while session.unfinished:
            piece = session.receive(b"")
            assert len(piece) <= most
            events += piece
    finally:
        receiving.MAX_FRAMES, receiving.MAX_INFLATED = usual
    return events


def normal(events: list[Any]) -> list[Any]:
    """Events in a form that does not depend on how the input was cut."""
    return [
        (type(event.error), event.error.close_code) if isinstance(event, Failure) else event
        for event in events
    ]


def fuzz_http11(data: bytes) -> None:
    """A head ends in the same result however it comes, and every fault is a HeadError."""
    choices = Choices(data)
    kind, seed = ("request", "response")[choices.byte() & 1], choices.byte()
    results = [_read_head(kind, [choices.rest]), _read_head(kind, list(choices.pieces(seed)))]
    assert results[0] == results[1]


def _read_head(kind: Any, pieces: list[bytes]) -> Any:
    parser: HeadParser[Any] = HeadParser(kind, HEADS)
    head = None
    behind = b""
    try:
        for piece in pieces:
            if head is not None:
                behind += piece
                continue
            head = parser.feed(piece)
        if head is None:
            parser.feed_eof()
    except HeadError:
        return HeadError  # which of its faults is found first depends on the pieces
    assert head is not None
    if kind == "request":
        return head, parser.leftover + behind
    body = BodyParser(head, HEADS)
    done = body.done
    for piece in [parser.leftover, *([behind] if behind else [])]:
        done = done or body.feed(piece)
    assert len(body.body) <= HEADS.max_body_size
    return head, body.body


def fuzz_handshake(data: bytes) -> None:
    """Who judges a head raises members of the tree, or takes what can be answered."""
    choices = Choices(data)
    kind: Any = ("request", "response")[choices.byte() & 1]
    parser: HeadParser[Any] = HeadParser(kind, HEADS)
    try:
        head = parser.feed(choices.rest)
        if head is None:
            return
        if kind == "request":
            upgrade = check_request(head)
            accept_offers(Deflate(), upgrade.extensions)
        else:
            offer = make_offer(Deflate())
            accepted = check_response(head, KEY, ["chat", "v2"], offer)
            check_answer(Deflate(), accepted.extensions)
    except (WebSocketException, RejectedUpgrade):
        pass


def fuzz_deflate(data: bytes) -> None:
    """Negotiation ends in something both can use; no more comes out than there is room for."""
    choices = Choices(data)
    flags, bits, other = choices.byte(), 8 + choices.byte() % 8, 8 + choices.byte() % 8
    config = Deflate(
        server_no_context_takeover=bool(flags & 1),
        client_no_context_takeover=bool(flags & 2),
        server_max_window_bits=bits if flags & 4 else None,
        client_max_window_bits=other if flags & 8 else True if flags & 16 else None,
        threshold=0,
    )
    text = choices.rest[:200].decode("latin-1")
    accept_offers(config, text.split(","))
    try:
        check_answer(config, text.split(","))
    except WebSocketException:
        pass
    answer, served = accept_offers(config, [make_offer(config)])
    assert answer is not None
    assert served is not None
    ours = check_answer(config, [answer])
    assert ours is not None
    assert ours.send_bits <= served.receive_bits
    assert served.send_bits <= ours.receive_bits
    assert not ours.send_takeover or served.receive_takeover
    assert not served.send_takeover or ours.receive_takeover
    client, server = Compression(ours), Compression(served)
    for message in (choices.rest[:100], choices.rest, b"", choices.rest[::-1]):
        assert server.inflate(client.compress(message), True, 1 << 20, 1 << 20) == message
        assert client.inflate(server.compress(message), True, 1 << 20, 1 << 20) == message
    _inflate_anything(Compression(ours), choices)


def _inflate_anything(compression: Compression, choices: Choices) -> None:
    room = 512
    try:
        for piece in choices.pieces(7):
            room -= len(compression.inflate(piece, False, room, 512))
            assert room >= 0
    except WebSocketException:
        pass


def fuzz_url(data: bytes) -> None:
    """A URL is a ValueError, or can be written down and read again."""
    try:
        url = parse_url(data.decode("utf-8", "surrogateescape"))
    except ValueError:
        return
    assert url.host
    assert 0 < url.port < 65536


TARGETS: dict[str, Callable[[bytes], None]] = {
    "frames": fuzz_frames,
    "session": fuzz_session,
    "http11": fuzz_http11,
    "handshake": fuzz_handshake,
    "deflate": fuzz_deflate,
    "url": fuzz_url,
}
