"""nginx as a reverse proxy in front of a unix socket, on TCP with and without TLS.

Its ports are the system's choice: we bind the sockets, and nginx inherits them by the environment
variable NGINX, as it does from itself when it is upgraded while it runs.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.threads import PATIENCE

#: Milliseconds of silence after which nginx drops a connection below /impatient/. It sets its
#: timer anew only when that would move it by 300 ms; so this must be well above.
IMPATIENCE = 700

CONFIGURATION = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{secure} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        add_header X-Proxy nginx always;
        location / {{
            proxy_pass http://unix:{backend}:;
        }}
        location /impatient/ {{
            proxy_read_timeout {impatience}ms;
            proxy_pass http://unix:{backend}:;
        }}
    }}
}}
"""


def find_nginx() -> str | None:
    """Return the path of nginx, or None. Debian has it where only root's PATH leads."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class Nginx:
    """A running nginx.

    Parameters:
        program: its path.
        certificate, key: paths, for TLS.

    Attributes:
        backend: the path of the unix socket where it looks for the server, at every request.
        url, secure_url: where it listens.
    """

    def __init__(self, program: str, certificate: str, key: str) -> None:
        self._folder = TemporaryDirectory(prefix="nginx")
        folder = Path(self._folder.name)
        self.backend = f"{folder}/backend"
        sockets = [socket.create_server(("127.0.0.1", 0), backlog=511) for _ in range(2)]
        plain, secure = (sock.getsockname()[1] for sock in sockets)
        self.url, self.secure_url = f"ws://127.0.0.1:{plain}", f"wss://127.0.0.1:{secure}"
        (folder / "nginx.conf").write_text(
            CONFIGURATION.format(
                folder=folder,
                # The worker must get at our files; nobody but root may say who it is.
                user="user root root;" if os.geteuid() == 0 else "",
                plain=plain,
                secure=secure,
                certificate=certificate,
                key=key,
                backend=self.backend,
                impatience=IMPATIENCE,
            )
        )
        descriptors = [sock.fileno() for sock in sockets]
        self._process = subprocess.Popen(
            [program, "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
            env=os.environ | {"NGINX": "".join(f"{fd};" for fd in descriptors)},
        )
        for sock in sockets:  # nginx has them; who connects early waits in the backlog
            sock.close()

    def __enter__(self) -> Nginx:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End nginx and wait for it."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._folder.cleanup()
