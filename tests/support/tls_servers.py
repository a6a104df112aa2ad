"""TLS with certificates in files, and servers on a thread that speak it."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from reactor.loop.tasks import run_blocking
from reactor.transports.tls.handshake import start_tls

HOST = "example.org"


class Files:
    """A certificate authority, and what it has signed, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self.authority.cert_pem.write_to_path(self.ca)
        self.cert, self.key = self.issue("good", HOST)

    def issue(self, name: str, host: str, **options: Any) -> tuple[str, str]:
        leaf = self.authority.issue_cert(host, **options)
        cert, key = str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")
        leaf.private_key_pem.write_to_path(key)
        Path(cert).write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return cert, key

    def crl(self) -> str:
        """Return the path to a list of the authority with nothing revoked."""
        now = datetime.datetime.now(datetime.timezone.utc)
        authority = x509.load_pem_x509_certificate(self.authority.cert_pem.bytes())
        key = load_pem_private_key(self.authority.private_key_pem.bytes(), None)
        builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
        builder = builder.last_update(now).next_update(now + datetime.timedelta(days=1))
        path = self.folder / "crl.pem"
        crl = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
        path.write_bytes(crl.public_bytes(Encoding.PEM))
        return str(path)

    def other_ca(self) -> str:
        """Return the path to the certificate of an authority that has signed nothing here."""
        path = str(self.folder / "other.pem")
        trustme.CA().cert_pem.write_to_path(path)
        return path


class Server:
    """One thread that serves one connection after the other, on loopback.

    Parameters:
        serve: called with each connection.
    """

    def __init__(self, serve: Callable[[socket.socket], object]) -> None:
        self._serve = serve
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(30)
        self._stopping = False
        self.address = self._listening.getsockname()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            sock, _ = self._listening.accept()
            with sock:
                if self._stopping:
                    return
                sock.settimeout(30)
                try:
                    self._serve(sock)
                except OSError:
                    pass  # the client went away, or did not like us

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping = True
        self.connect().close()
        self._thread.join()
        self._listening.close()


def greeter(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    """Serves TLS: says hello, then waits for the client to leave."""

    def serve(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as wrapped:
            wrapped.sendall(b"hello")
            wrapped.recv(1)

    return serve


def shake(
    server: Server,
    context: ssl.SSLContext,
    host: str | None = HOST,
    session: Any = None,
) -> ssl.SSLSocket:
    return run_blocking(start_tls(server.connect(), context, host, None, session))


def hello(sock: ssl.SSLSocket) -> bytes:
    sock.settimeout(30)
    return sock.recv(5)
