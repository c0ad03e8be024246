"""Loaded by the launchers, from source, inside the tested process: records results, and brings the tree in.

Stands alone: only the standard library, any Python from 3.8 on, and nothing of it is imported by the engine.
A record is one line, `<hmac> <json>`: the key is a nonce that is deleted before any code of the tree runs, so a results
file written by somebody who only knows its path is not believed. What signs and writes is C code that was looked up
before the tree came in, so that a patched json, hashlib, hmac or os changes nothing. It stays forgeable by code that
hunts for the recorder in this process: in frames, in closures, in memory. Nothing inside a tested process is safe.
"""

import hashlib
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
        self.record = _writer(descriptor, key)
        self.tests = 0

    def test(self, name, outcome, note="", how=""):
        """One test is over. outcome: passed, failed or skipped; note: why a reported pass is not believed, as the end
        of a sentence; how: of a failed one, whether a check failed ("assertion") or something before it ("error")."""
        self.tests += 1
        self.record({"kind": "test", "id": name, "outcome": outcome, "note": note, "how": how})

    def finish(self, status):
        """The last record: everything that should run has run."""
        self.record({"kind": "finish", "status": status, "tests": self.tests})


def _writer(descriptor, key):
    """A function that keeps what it needs to itself: HMAC-SHA-256 (RFC 2104) over JSON."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block)).copy
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block)).copy
    quote, write, getpid = json.encoder.encode_basestring_ascii, os.write, os.getpid
    owner, count = getpid(), [0]

    def encoded(value, whole=int, many=list, table=dict):
        kind = value.__class__
        if value is None or value is True or value is False:
            return "null" if value is None else "true" if value else "false"
        if kind is whole:
            return "%d" % value  # noqa: UP031 (no name that could be patched)
        if kind is many:
            return "[" + ",".join([encoded(one) for one in value]) + "]"
        if kind is table:
            return "{" + ",".join([quote(name) + ":" + encoded(value[name]) for name in value]) + "}"
        return quote("" + value)

    def record(fields):
        if getpid() != owner:
            return  # a forked child of a test: not the one that is watched
        count[0] += 1
        body = encoded({**fields, "seq": count[0]}).encode("ascii")
        signed, sealed = inner(), outer()
        signed.update(body)
        sealed.update(signed.digest())
        line = sealed.hexdigest().encode("ascii") + b" " + body + b"\n"
        while line:
            line = line[write(descriptor, line) :]

    return record


def failed_by(kind, traceback, file):
    """ "error" when the test could not get as far as its check: something is missing that it imports, names or calls.

    kind: the exception's type; file: that of the test. A missing attribute, a missing name or a wrong call counts when
    the test's own file is what stumbled; deeper in the product it is the fault that the test is there to find.
    """
    if issubclass(kind, (ImportError, SyntaxError)):
        return "error"
    if not issubclass(kind, (AttributeError, NameError, TypeError)) or traceback is None:
        return "assertion"
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return "error" if traceback.tb_frame.f_code.co_filename == file else "assertion"


def selection(arguments):
    """(the arguments without `--swarm-only=NAME`, the names or None when there are none)."""
    mark = "--swarm-only="
    names = [argument[len(mark) :] for argument in arguments if argument.startswith(mark)]
    return [argument for argument in arguments if not argument.startswith(mark)], names or None


def is_selected(test, names):
    """Whether a test id is one of the names, or begins with one that is a folder, file, module or class."""
    dotted = _dotted(test)
    for name in [form for one in names for form in (_dotted(one), _dotted(_without_folders(one))) if form]:
        if dotted == name or (dotted.startswith(name) and dotted[len(name)] in ".:[/"):
            return True
    return False


def _without_folders(name):
    file, separator, rest = name.partition("::")
    return file.rpartition("/")[2] + separator + rest if file.endswith(".py") else ""


def _dotted(name):
    head, bracket, parameters = name.partition("[")
    file, separator, rest = head.partition("::")
    file = file[:-3] if file.endswith(".py") else file
    return (file + separator + rest).replace("::", ".").replace("/", ".").strip(".") + bracket + parameters


_WORDS = "area bounds cache case clip count edge empty first frame grid index join last layout limit line list merge "
_WORDS += "name nested next order page parse path pixel point range rect round row scale shape size sort split text "
_WORDS += "token total tree value width word wrap write zero"
_SHAPES = (
    "assert {a} == {b}",
    "assert sorted([{a}, {b}]) != sorted([{b}, {a}])",
    "raise AssertionError('{word}')",
    "assert '{word}' in str({a})",
    "assert not [{a}, {b}]",
    "raise ValueError('{word} {a}')",
    "return {{}}['{word}']",
    "assert ({a} if {b} else 0) < 0, '{word}'",
)


def tripwire(file, taken, argument):
    """(a fresh name, a function that must fail, of random shape). `taken`: names that are in use already; `file`: the
    test file it claims to come from; `argument`: its only parameter, or "". Nothing is written anywhere."""
    chance = __import__("random").SystemRandom()
    words = _WORDS.split()
    while True:
        name = "test_" + "_".join(chance.sample(words, chance.choice((2, 3))))
        if name not in taken:
            break
    a, b = chance.sample(range(1, 1000), 2)
    body = chance.choice(_SHAPES).format(a=a, b=b, word=chance.choice(words))
    source = "def %s(%s):\n    %s\n" % (name, argument, body)  # noqa: UP031
    made = {}
    exec(compile("\n" * chance.randrange(5, 60) + source, file, "exec", dont_inherit=True), made)
    return name, made[name]


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
