"""Signing in a process of its own, so that the engine, which starts agents and gates, never holds the private key.

On POSIX only. Where the process cannot be started, the key is used in this process, and every report says so.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import weakref
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TimedOut
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from engine.errors import InfrastructureFault, UserError
from gates.sign import BadEnvelope, KeySigner, Signer, VerifyKey, open_keys
from gates.signer_main import receive, send

IN_PROCESS = "signer-in-process"
"""Flag of reports whose key was used in the engine's own process."""

ANSWER_S = 30.0
_BEGINNING = b"-----BEGIN PRIVATE KEY-----"
_INHERITED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def open_signer(folder: Path) -> Signer:
    """The signer with the keys in `folder`, made on first use. It starts in the background: what `open_keys` raises
    comes with the first signature, except for a file that is no key at all."""
    if sys.platform == "win32":
        return open_keys(folder, IN_PROCESS)
    secret = folder / "signing.key"
    try:
        with secret.open("rb", buffering=0) as file:
            begun = file.read(len(_BEGINNING))
    except FileNotFoundError:
        begun = _BEGINNING
    except OSError as error:
        raise UserError(f"the signing key {secret} cannot be read ({error.strerror}): mend its rights.") from error
    if begun != _BEGINNING:
        raise UserError(f"the signing key {secret} is damaged: move it away, and a new one is made.")
    return ProcessSigner(folder)


class _Gone(Exception):
    """The process ended without an answer."""


class _NotStarted(Exception):
    """The process could not be started, or says that it cannot serve."""


@dataclass
class _Job:
    kind: bytes
    payload: bytes
    answer: Future[bytes] = field(default_factory=lambda: Future[bytes]())


class _Keeper:
    """Keeps the process: started at once, and again for the next job after it ended. One thread, which lives as long as
    it: on Linux the process dies with the thread that started it."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.key: Future[VerifyKey] = Future()
        self.process: subprocess.Popen[bytes] | None = None
        self._argv = argv
        self.thread = threading.Thread(target=self._serve, name="signer", daemon=True)
        self.thread.start()

    def kill(self) -> None:
        """End a process that does not answer; the job that waits for it fails."""
        if (process := self.process) is not None:
            process.kill()

    def _serve(self) -> None:
        try:
            self.key.set_result(self._start())
        except _NotStarted as error:
            self.key.set_exception(error)
        while (job := self.jobs.get()) is not None:
            try:
                job.answer.set_result(self._answer(job.kind, job.payload))
            except Exception as error:
                job.answer.set_exception(error)
        self._end()

    def _answer(self, asked: bytes, payload: bytes) -> bytes:
        if self.process is None and self._start().keyid != self.key.result().keyid:
            raise InfrastructureFault("the signing key was replaced while the engine ran: stop it and start it again")
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            send(process.stdin, asked, payload)
            answered = receive(process.stdout)
        except OSError:
            answered = None
        if answered is None:
            self._end()
            raise _Gone
        kind, content = answered
        if kind != b"+":
            raise BadEnvelope(content.decode("utf-8", "replace"))
        return content

    def _start(self) -> VerifyKey:
        env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        try:
            self.process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=env,
                start_new_session=True,
            )
            assert self.process.stdout is not None
            hello = receive(self.process.stdout)
            if hello is not None and hello[0] == b"+":
                return VerifyKey.of_raw(hello[1])
        except (OSError, ValueError) as error:
            self._end()
            raise _NotStarted(str(error)) from error
        self._end()
        raise _NotStarted("it ended at once" if hello is None else hello[1].decode("utf-8", "replace"))

    def _end(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


class ProcessSigner:
    """Implements `gates.sign.Signer`. Thread-safe. `answer_s`: how long one answer may take, in seconds."""

    def __init__(self, folder: Path, *, answer_s: float = ANSWER_S) -> None:
        self._folder, self._answer_s = folder.resolve(), answer_s
        script = Path(__file__).with_name("signer_main.py")
        self._keeper = _Keeper((sys.executable, "-I", str(script), str(self._folder)))
        self._falling_back = threading.Lock()
        self._fallback: KeySigner | None = None
        self._finish = weakref.finalize(self, self._keeper.jobs.put, None)

    def close(self) -> None:
        """End the process. The signer cannot be used any more."""
        self._finish()
        self._keeper.thread.join(self._answer_s)

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        process = self._keeper.process
        return process.pid if process is not None else None

    @property
    def verify_key(self) -> VerifyKey:
        public = self._folder / "public.pem"
        if not self._keeper.key.done() and (self._folder / "signing.key").exists():
            with contextlib.suppress(UserError):  # absent or damaged: the process writes it anew
                return VerifyKey.load(public)
        local = self._in_process()
        return local.verify_key if local is not None else self._keeper.key.result()

    @property
    def flag(self) -> str:
        return IN_PROCESS if self._in_process() is not None else ""

    def envelope(self, payload: bytes) -> bytes:
        """The envelope of a statement. Raises BadEnvelope for anything else, InfrastructureFault when the process does
        not answer, and UserError for a key that cannot be used."""
        if (local := self._in_process()) is not None:
            return local.envelope(payload)
        envelope = self._asked(b"s", payload)
        if self.verify_key.open(envelope) != payload:
            raise InfrastructureFault("the signer signed something else than it was given: stop the engine")
        return envelope

    def sign(self, head: bytes) -> bytes:
        """The signature of a journal's head. Raises as `envelope` does."""
        if (local := self._in_process()) is not None:
            return local.sign(head)
        signature = self._asked(b"h", head)
        if not self.verify_key.signed_head(head, signature):
            raise InfrastructureFault("the signer signed something else than it was given: stop the engine")
        return signature

    def verify(self, head: bytes, signature: bytes) -> bool:
        """Whether this key signed this head of a journal: by the key that the process has, not by the public one that
        lies on the disk. Waits for its start."""
        local = self._in_process()
        key = local.verify_key if local is not None else self._keeper.key.result()
        return key.signed_head(head, signature)

    def _asked(self, kind: bytes, payload: bytes) -> bytes:
        for _ in range(2):  # one that died is started again, once
            job = _Job(kind, payload)
            self._keeper.jobs.put(job)
            try:
                return job.answer.result(self._answer_s)
            except TimedOut as error:
                self._keeper.kill()
                raise InfrastructureFault(
                    f"the signer did not answer within {self._answer_s:g} s and was ended: the next try has a new one"
                ) from error
            except _Gone:
                continue
            except _NotStarted as error:
                raise InfrastructureFault(
                    f"the signer could not be started again ({error}): see {self._folder}"
                ) from error
        raise InfrastructureFault("the signer ended twice without an answer: look for what kills it")

    def _in_process(self) -> KeySigner | None:
        """The key in this process, once it is clear that there will be no other. Waits for the start."""
        try:
            self._keeper.key.result(self._answer_s)
        except TimedOut:
            self._keeper.kill()
        except _NotStarted:
            pass
        else:
            return None
        with self._falling_back:
            if self._fallback is None:
                self._fallback = open_keys(self._folder, IN_PROCESS)
            return self._fallback
