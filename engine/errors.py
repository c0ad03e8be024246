"""The hierarchy of errors. A user error is one sentence that says what to do; everything else is a bug or a fault."""

from __future__ import annotations


class SwarmError(Exception):
    """Base of every error that this product raises on purpose."""


class UserError(SwarmError):
    """Bad input or a precondition that a person can mend. The message is one sentence with what to do; exit code 2."""

    exit_code = 2


class EngineBusyError(UserError):
    """Another engine runs this repository. Exit code 3."""

    exit_code = 3


class InfrastructureFault(SwarmError):
    """The machine failed (full disk, missing tool, lost process). Retried on the same input, never blamed on a
    change."""


class JournalBroken(SwarmError):
    """The journal is not what was signed: nothing runs on it any more. `event`: the seq of the first one that cannot
    be believed; 0 when it is none in particular."""

    def __init__(self, sentence: str, event: int = 0) -> None:
        super().__init__(sentence)
        self.event = event


class Unanswered(SwarmError):
    """A command lies in the engine's inbox, and there was no answer in time. It will be taken, so it is not sent
    again."""


class GitError(InfrastructureFault):
    """git failed in a way that the caller did not expect. Carries the argv and git's own words."""

    def __init__(self, argv: list[str], returncode: int, stderr: str) -> None:
        super().__init__(f"git {' '.join(argv[:3])} failed with {returncode}: {stderr.strip()[:500]}")
        self.argv, self.returncode, self.stderr = argv, returncode, stderr


class MergeConflict(SwarmError):
    """Two trees do not merge. `paths` are the files in conflict; nothing is ever resolved by dropping text."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        super().__init__(f"conflict in {', '.join(paths[:10])}")
        self.paths = paths
