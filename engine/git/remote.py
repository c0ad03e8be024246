"""The user's remote: looked at, fetched from, pushed to. Never with force, never with a question, never without an end.

Pushing is a compare-and-swap: the branch is looked at first, its commit must be in the history of what is pushed, and
the lease names exactly that commit. So a push either fast-forwards the branch or does nothing; after a crash it is
looked at again, and repeated only if it did nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.errors import GitError, SwarmError
from engine.git.door import TIMED_OUT, Completed
from engine.git.hub import Hub
from engine.git.names import check_branch, check_id, is_id
from engine.git.remote_login import ALIAS, Address, transports
from engine.text.sanitise import sanitise_line

Why = Literal["moved", "refused", "login", "timeout", "unreachable", "missing", "failed"]

_SLOW = {"http.lowSpeedLimit": "500", "http.lowSpeedTime": "60"}
_LOGIN = re.compile(
    r"terminal prompts disabled|could not read (?:Username|Password)|Authentication failed|Permission denied"
    r"|Invalid username or (?:password|token)|HTTP Basic: Access denied|returned error: 40[13]|support for password",
    re.IGNORECASE,
)
_HOST_KEY = re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED")
_UNREACHABLE = re.compile(
    r"Could not resolve host|Connection (?:refused|reset|timed out|closed)|Failed to connect|unable to connect"
    r"|Network is unreachable|No route to host|early EOF|unexpected disconnect|Operation (?:timed out|too slow)"
    r"|hung up unexpectedly|returned error: 5\d\d|Empty reply|SSL|certificate",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"[Rr]epository .*not found|does not appear to be a git repository|returned error: 404|no such file or directory"
    r"|not exported|service not enabled|access denied or repository",
    re.IGNORECASE,
)


class RemoteFault(SwarmError):
    """The remote did not do it. `str()` is one sentence for a person; `why` tells the kinds apart."""

    def __init__(self, why: Why, said: str) -> None:
        super().__init__(sanitise_line(said))
        self.why: Why = why


@dataclass(frozen=True)
class Patience:
    """How long each kind of call may take, in seconds."""

    look_s: float = 60.0
    fetch_s: float = 600.0
    push_s: float = 600.0


class Remote:
    """One remote, spoken to from the hub. Every method blocks, may be called from any thread, and raises RemoteFault.

    env: from `remote_login.environment`, and the marker by which a process of a dead engine is found.
    """

    def __init__(self, hub: Hub, address: Address, env: Mapping[str, str], patience: Patience | None = None) -> None:
        self.hub, self.address, self._env = hub, address, dict(env)
        self.patience = patience or Patience()

    def look(self, *refs: str) -> dict[str, str]:
        """The commits of these full ref names; what is not there is left out."""
        done = self._run("ls-remote", "--quiet", ALIAS, *refs, timeout_s=self.patience.look_s)
        rows = (line.split("\t", 1) for line in done.line.splitlines())
        return {row[1]: row[0] for row in rows if len(row) == 2 and row[1] in refs and is_id(row[0])}

    def fetch(self, branch: str) -> str:
        """Bring a branch of the remote into the hub as `refs/swarm/remote/<branch>`; its commit."""
        ref = f"refs/swarm/remote/{check_branch(branch)}"
        self._run(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance",
            "--no-recurse-submodules", "--no-prune", "--refmap=", ALIAS, f"+refs/heads/{branch}:{ref}",
            timeout_s=self.patience.fetch_s,
        )  # fmt: skip
        return self.hub.resolve(ref)

    def advance(self, ref: str, new: str, expected: str | None) -> None:
        """Fast-forward a ref from `expected` (None: it is not there) to `new`, or do nothing.

        Raises RemoteFault "moved" when it would be no fast-forward, or the ref is not at `expected` any more.
        """
        if not ref.startswith(("refs/heads/", "refs/notes/")):
            raise SwarmError(f"{sanitise_line(ref)} is no ref that is published")
        if expected is not None and not self.hub.is_ancestor(check_id(expected), check_id(new)):
            raise self._fault("moved", "has commits that the swarm does not have yet, and they are taken in first")
        # With the commit that was looked at in its history, a push that finds it unchanged is a fast-forward.
        lease = f"--force-with-lease={ref}:{expected or ''}"
        done = self._run(
            "push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", lease, ALIAS,
            f"{check_id(new)}:{ref}", ok=(0, 1), timeout_s=self.patience.push_s,
        )  # fmt: skip
        if done.returncode != 0:
            raise self._rejected(ref, done)

    def _rejected(self, ref: str, done: Completed) -> RemoteFault:
        rows = [line.split("\t") for line in done.stdout.decode("utf-8", "replace").splitlines()]
        summary = next((row[2] for row in rows if len(row) > 2 and row[0] == "!" and row[1].endswith(ref)), "")
        if summary.startswith("[rejected]"):
            return self._fault("moved", "moved while the swarm was pushing, and is looked at again")
        said = [line.removeprefix("remote:").strip() for line in done.stderr.splitlines() if line.startswith("remote:")]
        words = " ".join(line for line in said if line)[:200]
        what = summary.removeprefix("[remote rejected]").strip(" ()") or "no reason was given"
        told = f"{what}; {words}" if words else what
        return self._fault(
            "refused",
            f"refuses {ref.removeprefix('refs/')} ({told[:300]}): see to its rules, and the swarm tries again",
        )

    def _run(self, *args: str, timeout_s: float, ok: tuple[int, ...] = (0,)) -> Completed:
        try:
            done = self.hub.git.run(
                *args,
                timeout_s=timeout_s,
                ok=(0, 1, 128),
                settings={**transports(self.address), **_SLOW},
                env=self._env,
            )
        except GitError as error:
            if error.returncode == TIMED_OUT:
                raise self._fault(
                    "timeout", f"gave no answer within {timeout_s:g} s: see whether it is up; the swarm tries again"
                ) from error
            raise self._fault("failed", f"could not be spoken with ({error.stderr.strip()[:200]})") from error
        if done.returncode not in ok:
            raise self._explained(done.stderr)
        return done

    def _explained(self, stderr: str) -> RemoteFault:
        words = [line.strip() for line in stderr.splitlines() if line.strip()]
        told = next(
            (line for line in words if line.startswith(("fatal:", "error:"))), words[0] if words else "no reason"
        )
        said = f"({told.removeprefix('fatal:').removeprefix('error:').strip()[:200]})"
        if _HOST_KEY.search(stderr):
            host = self.address.host
            return self._fault(
                "login", f"has a host key that ssh does not know {said}: run `ssh {host}` once and look at it"
            )
        if _LOGIN.search(stderr):
            return self._fault(
                "login", f"wants a login {said}: log in once with `git push` there, so that git remembers it"
            )
        if _UNREACHABLE.search(stderr):
            return self._fault("unreachable", f"cannot be reached {said}: the swarm tries again")
        if _MISSING.search(stderr):
            return self._fault("missing", f"is not there {said}: see `git remote -v`")
        return self._fault("failed", f"did not answer as a remote does {said}: see `git ls-remote {self.address.name}`")

    def _fault(self, why: Why, said: str) -> RemoteFault:
        return RemoteFault(why, f"{self.address.shown} {said}.")
