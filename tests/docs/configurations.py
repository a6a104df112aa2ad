"""Whether a block of configuration is one that nginx, systemd or docker accepts.

nginx and systemd are asked where they are installed; elsewhere only the form is looked at.
"""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["check_dockerfile", "check_ini", "check_nginx"]

INSTRUCTIONS = [
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "RUN",
    "USER",
    "WORKDIR",
]


def check_nginx(code: str) -> None:
    """Check what stands within ``http { }``. The certificates need not be there."""
    if code.count("{") != code.count("}"):
        raise ValueError("the braces do not match")
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        return
    with TemporaryDirectory() as folder:
        code = re.sub(r"^ *ssl_certificate.*$", "", code, flags=re.MULTILINE)
        code = re.sub(r"^( *listen .*) ssl;$", r"\1;", code, flags=re.MULTILINE)
        paths = "".join(
            f"{name}_temp_path {folder}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        path = Path(folder, "nginx.conf")
        path.write_text(
            f"pid {folder}/pid;\nerror_log stderr;\nevents {{ }}\n"
            f"http {{\naccess_log off;\n{paths}{code}\n}}\n"
        )
        ask([nginx, "-t", "-q", "-e", "stderr", "-p", folder, "-c", str(path)])


def check_ini(code: str) -> None:
    """Check a file of sections and keys; a unit of systemd also for what its keys mean."""
    configparser.ConfigParser(strict=False, interpolation=None).read_string(code)
    systemd = shutil.which("systemd-analyze")
    if systemd is None or "[Service]" not in code:
        return
    with TemporaryDirectory() as folder:
        path = Path(folder, "page.service")
        path.write_text(re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", code, flags=re.MULTILINE))
        done = subprocess.run(
            [systemd, "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
        )
        said = [line for line in done.stderr.splitlines() if line.startswith(str(path))]
        if said:
            raise ValueError("\n".join(said))


def check_dockerfile(code: str) -> None:
    """Check that every line begins with an instruction, and that what looks like JSON is JSON."""
    for line in code.splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction not in INSTRUCTIONS:
            raise ValueError(f"{instruction!r} is no instruction")
        if array := re.search(r"\[.*", rest):
            json.loads(array[0])


def ask(command: list[str]) -> None:
    """Run a program that ends with another status than 0 if something is wrong."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
