"""Whether a block of nginx's configuration is one that nginx accepts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["check_nginx"]


def check_nginx(code: str) -> None:
    """Have nginx check what stands within ``http { }``; without nginx, count the braces."""
    if code.count("{") != code.count("}"):
        raise ValueError("the braces do not match")
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        return
    with TemporaryDirectory() as folder:
        code = re.sub(r"^ *(listen .* )?ssl(_certificate\S*)?\b.*$", "", code, flags=re.MULTILINE)
        paths = "".join(
            f"{name}_temp_path {folder}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        path = Path(folder, "nginx.conf")
        path.write_text(
            f"pid {folder}/pid;\nerror_log stderr;\nevents {{ }}\n"
            f"http {{\naccess_log off;\n{paths}{code}\n}}\n"
        )
        done = subprocess.run(
            [nginx, "-t", "-q", "-e", "stderr", "-p", folder, "-c", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise ValueError(done.stderr)
