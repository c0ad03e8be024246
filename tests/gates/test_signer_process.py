"""The signer in its own process: it alone holds the key, signs statements only, and never outlives its engine."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.errors import InfrastructureFault, UserError
from gates import sign, signer_process
from gates.sign import BadEnvelope, VerifyKey, open_keys
from gates.signer_process import IN_PROCESS, ProcessSigner, open_signer
from gates.statement import REPORT_TYPE, TEST_RESULT_TYPE, VERDICT_TYPE, read_statement, statement_bytes

if sys.platform == "win32":
    pytest.skip("Windows signs in the engine's process", allow_module_level=True)

TREE = "a" * 40
SAID = statement_bytes(TREE, REPORT_TYPE, {"a": 1})


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # a zombie that nobody has waited for yet is dead
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return sys.platform != "linux"


def gone(pid: int, within_s: float = 20.0) -> bool:
    ends = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < ends:
        time.sleep(0.01)
    return not alive(pid)


def test_it_signs_what_the_key_in_this_process_would_sign(tmp_path: Path) -> None:
    signer = open_signer(tmp_path / "keys")
    envelope = signer.envelope(SAID)
    assert signer.flag == ""
    assert signer.verify_key.open(envelope) == SAID
    assert envelope == open_keys(tmp_path / "keys").envelope(SAID)
    assert signer.verify_key.keyid == VerifyKey.load(tmp_path / "keys" / "public.pem").keyid


def test_this_process_never_reads_the_private_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the private key was read here")

    monkeypatch.setattr(sign, "load_pem_private_key", never)
    signer = open_signer(tmp_path / "keys")
    assert signer.verify_key.open(signer.envelope(SAID)) == SAID
    with pytest.raises(AssertionError):
        open_keys(tmp_path / "keys")


@pytest.mark.parametrize("kind", [REPORT_TYPE, TEST_RESULT_TYPE, VERDICT_TYPE])
def test_it_signs_the_statements_that_we_make(tmp_path: Path, kind: str) -> None:
    payload = statement_bytes("b" * 64, kind, {})
    assert read_statement(open_signer(tmp_path / "keys").envelope(payload) and payload).kind == kind


@pytest.mark.parametrize(
    "payload",
    [
        b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n",
        b"{}",
        SAID + b"\n",
        SAID.replace(b'"a":1', b'"a":1,"a":1'),
        SAID.replace(b'"a":1', b'"a":NaN'),
        SAID.replace(b"verification-report", b"promise"),
        SAID.replace(b"Statement/v1", b"Statement/v2"),
        SAID.replace(TREE.encode(), b"HEAD"),
        SAID.replace(b"gitTree", b"sha256"),
        SAID.replace(b'"predicate":{"a":1}', b'"predicate":[]'),
    ],
)
def test_it_signs_nothing_else(tmp_path: Path, payload: bytes) -> None:
    signer = open_signer(tmp_path / "keys")
    with pytest.raises(BadEnvelope):
        signer.envelope(payload)
    assert signer.verify_key.open(signer.envelope(SAID)) == SAID  # and goes on


def test_many_threads_sign_at_once(tmp_path: Path) -> None:
    signer = open_signer(tmp_path / "keys")
    payloads = [statement_bytes(TREE, REPORT_TYPE, {"nth": nth}) for nth in range(24)]
    seen: dict[int, bytes] = {}
    threads = [
        threading.Thread(target=lambda nth=nth: seen.update({nth: signer.envelope(payloads[nth])})) for nth in range(24)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [signer.verify_key.open(seen[nth]) for nth in range(24)] == payloads


def test_a_dead_signer_is_started_again(tmp_path: Path) -> None:
    assert sys.platform != "win32"
    signer = ProcessSigner(tmp_path / "keys")
    first = signer.envelope(SAID)
    pid = signer.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert signer.envelope(SAID) == first
    assert signer.pid not in (None, pid)


def test_a_wedged_signer_is_a_fault_and_the_next_try_has_a_new_one(tmp_path: Path) -> None:
    assert sys.platform != "win32"
    signer = ProcessSigner(tmp_path / "keys", answer_s=2.0)
    first = signer.envelope(SAID)
    pid = signer.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(InfrastructureFault, match="did not answer within 2 s"):
        signer.envelope(SAID)
    assert gone(pid)
    assert signer.envelope(SAID) == first


def test_a_key_that_was_replaced_meanwhile_is_a_fault(tmp_path: Path) -> None:
    assert sys.platform != "win32"
    signer = ProcessSigner(tmp_path / "keys")
    signer.envelope(SAID)
    (tmp_path / "keys" / "signing.key").unlink()
    pid = signer.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(InfrastructureFault, match="replaced"):
        signer.envelope(SAID)


def test_it_ends_when_it_is_closed_or_forgotten(tmp_path: Path) -> None:
    for end in ("close", "forget"):
        signer = ProcessSigner(tmp_path / "keys")
        signer.envelope(SAID)
        pid = signer.pid
        assert pid is not None
        assert alive(pid)
        if end == "close":
            signer.close()
        del signer
        assert gone(pid), end


def test_it_ends_with_its_engine_however_that_ends(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom gates.signer_process import ProcessSigner\n"
        f"s = ProcessSigner(Path({str(tmp_path / 'keys')!r}))\ns.flag\nprint(s.pid, flush=True)\ntime.sleep(600)\n"
    )
    root = str(Path(signer_process.__file__).parent.parent)
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=root) as engine:
        assert engine.stdout is not None
        pid = int(engine.stdout.readline())
        assert alive(pid)
        engine.kill()
        assert gone(pid)


READ = """\
import subprocess, sys
from pathlib import Path
from gates.signer_process import ProcessSigner
signer = ProcessSigner(Path(sys.argv[1]))
assert signer.flag == ""
with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as plain:
    for pid in (plain.pid, signer.pid):
        try:
            Path(f"/proc/{pid}/mem").open("rb").close()
            print("read")
        except PermissionError:
            print("refused")
"""


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("setpriv") is None, reason="needs Linux and setpriv, for a root with less"
)
def test_no_process_of_the_same_user_reads_its_memory(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", READ, str(tmp_path / "keys")]
    if sys.platform != "win32" and os.geteuid() == 0:  # root may read all memory, unless it gives that right up
        argv = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", *argv]
    root = str(Path(signer_process.__file__).parent.parent)
    said = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=True).stdout.split()
    assert said == ["read", "refused"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has /proc")
def test_it_inherits_nothing_and_leads_its_own_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sys.platform != "win32"
    monkeypatch.setenv("SWARM_TEST_SECRET", "told to nobody")
    signer = ProcessSigner(tmp_path / "keys")
    signer.envelope(SAID)
    pid = signer.pid
    assert pid is not None
    assert os.getsid(pid) == pid
    if os.geteuid() == 0:
        assert b"SECRET" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_where_it_cannot_start_the_key_is_used_here_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    signer = open_signer(tmp_path / "keys")
    assert signer.flag == IN_PROCESS
    assert signer.verify_key.open(signer.envelope(SAID)) == SAID


def test_a_damaged_key_is_a_user_error(tmp_path: Path) -> None:
    open_keys(tmp_path / "keys")
    secret = tmp_path / "keys" / "signing.key"
    good = secret.read_bytes()
    secret.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="damaged"):
        open_signer(tmp_path / "keys")
    secret.write_bytes(good[:60])
    with pytest.raises(UserError, match="cannot be used"):
        open_signer(tmp_path / "keys").envelope(SAID)
    secret.write_bytes(good)
    assert open_signer(tmp_path / "keys").envelope(SAID)
