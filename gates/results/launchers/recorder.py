"""Loaded by the launchers, from source, inside the tested process: records results, and brings the tree in.

Stands alone: only the standard library, any Python from 3.8 on, and nothing of it is imported by the engine.
A record is one line, `<hmac> <json>`: the key is a nonce that is deleted before any code of the tree runs, so a results
file written by somebody who only knows its path is not believed. Product code that hunts for this object in memory can
still forge: nothing inside a tested process is unforgeable.
"""

import hmac
import json
import os
import site
import sys
import sysconfig
from pathlib import Path

CANNOT_START = 70


class Recorder:
    """Appends numbered, authenticated records to `results.jsonl` in the exchange folder."""

    def __init__(self, exchange):
        nonce = Path(exchange) / "nonce"
        key = bytes.fromhex(nonce.read_text(encoding="ascii"))
        nonce.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
        descriptor = os.open(Path(exchange) / "results.jsonl", flags, 0o600)
        self.record = _writer(descriptor, hmac.new(key, digestmod="sha256"))
        self.tests = 0

    def test(self, name, outcome, note=""):
        """One test is over. outcome: passed, failed or skipped; note: why the tree's own word is not believed."""
        self.tests += 1
        self.record({"kind": "test", "id": name, "outcome": outcome, "note": note})

    def finish(self, status):
        """The last record: everything that should run has run."""
        self.record({"kind": "finish", "status": status, "tests": self.tests})


def _writer(descriptor, mac):
    """A function that keeps what it needs to itself, so that a patched json, hmac or os changes nothing."""
    encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
    copy, write, getpid = mac.copy, os.write, os.getpid
    owner, count = getpid(), [0]

    def record(fields):
        if getpid() != owner:
            return  # a forked child of a test: not the one that is watched
        count[0] += 1
        body = encode(dict(fields, seq=count[0])).encode("ascii")
        signature = copy()
        signature.update(body)
        write(descriptor, signature.hexdigest().encode("ascii") + b" " + body + b"\n")

    return record


def add_site_packages():
    """What `site` would do for this interpreter, without running code of `.pth` files (we were started with -S)."""
    prefixes = [sys.base_prefix]
    home = Path(sys.executable).parent.parent
    settings = home / "pyvenv.cfg"
    if settings.is_file():
        sys.prefix = sys.exec_prefix = str(home)
        text = settings.read_text(encoding="utf-8").lower().replace(" ", "")
        prefixes = [str(home), *([sys.base_prefix] if "include-system-site-packages=true" in text else [])]
    folders = []
    for prefix in prefixes:
        scheme = "nt" if os.name == "nt" else "posix_prefix"
        paths = sysconfig.get_paths(scheme, vars={"base": prefix, "platbase": prefix})
        folders += [*site.getsitepackages([prefix]), paths["purelib"], paths["platlib"]]
    for folder in dict.fromkeys(folders):
        if Path(folder).is_dir() and folder not in sys.path:
            sys.path.append(folder)
            _add_path_files(Path(folder))
    site.setquit()
    site.sethelper()


def _add_path_files(folder):
    for file in sorted(folder.glob("*.pth")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            is_path = line.strip() and not line.startswith(("#", "import ", "import\t"))
            path = str(folder / line.strip())
            if is_path and path not in sys.path and Path(path).exists():
                sys.path.append(path)


def let_in(tree):
    """From here on code of the tree can be imported: `python -m` puts the working folder first, then PYTHONPATH."""
    sys.pycache_prefix = os.environ.get("PYTHONPYCACHEPREFIX") or None
    declared = [str(Path(part).absolute()) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:0] = [tree, *declared]
