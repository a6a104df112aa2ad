"""A certificate authority for tests, and the contexts of servers and clients that rely on it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import trustme


class Authority:
    """A CA that nobody but the tests trusts.

    Parameters:
        folder: where its certificate is written.

    Attributes:
        ca_file: the certificate, as a path for ``sslopt={"ca_certs": ...}``.
        sslopt: just that.
    """

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)
        self.sslopt = {"ca_certs": self.ca_file}
        self._context = self.issue("127.0.0.1", "localhost", "::1")

    @property
    def server_context(self) -> ssl.SSLContext:
        """The context of a server on loopback; shared, so not to be changed."""
        return self._context

    def issue(self, *names: str, **options: Any) -> ssl.SSLContext:
        """Return a server's context with a new certificate; *options* are trustme's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names, **options).configure_cert(context)
        return context

    def write(self, folder: Path) -> tuple[str, str]:
        """Write a certificate for 127.0.0.1 and its key, for servers that read files.

        Returns the two paths.
        """
        issued = self._ca.issue_cert("127.0.0.1")
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(str(certificate), append=number > 0)
        issued.private_key_pem.write_to_path(str(key))
        return str(certificate), str(key)

    def client_context(self, name: str | None = None) -> ssl.SSLContext:
        """Return the context of a client that trusts this CA; with *name*, which has a certificate.

        Parameters:
            name: whose certificate it is.
        """
        context = ssl.create_default_context(cafile=self.ca_file)
        if name is not None:
            self._ca.issue_cert(name).configure_cert(context)
        return context
