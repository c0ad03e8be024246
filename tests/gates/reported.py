"""A small real repository with its hub, an artifact store, keys, and signed reports about trees of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.artifacts import ArtifactStore
from engine.git.hub import Hub
from engine.models.report import GateResult, GuardResult, VerificationReport
from engine.ports import SignedReport
from gates.report import Reports
from gates.sign import KeySigner, open_keys
from gates.verify import recipe

OUTCOMES = {"t.T.test_a": "passed", "t.T.test_b": "passed", "t.T.test_c": "skipped"}
POLICY = f"sha256:{'5' * 64}"


class Reported:
    """`base` is the only commit of the user's main, and of the hub's."""

    def __init__(self, folder: Path, *, object_format: str = "sha1") -> None:
        self.folder, self.repo, self.state = folder, folder / "repo", folder / "state"
        self.repo.mkdir()
        self.git("init", "-q", "-b", "main", f"--object-format={object_format}")
        self.base = self.commit({"README.md": "a start\n"})
        self.hub = Hub.create_or_open(self.state, self.repo, "main")
        self.store = ArtifactStore(self.state / "artifacts")
        self.keys = self.state / "keys"
        self.public_key = self.keys / "public.pem"
        self.signer: KeySigner = open_keys(self.keys)

    def git(self, *argv: str) -> str:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        who = ("-c", "user.name=p", "-c", "user.email=p@p")
        done = subprocess.run(["git", *who, *argv], cwd=self.repo, env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        for name, text in files.items():
            path = self.repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a step")
        return self.git("rev-parse", "HEAD")

    def tree(self, files: Mapping[str, str]) -> str:
        """The tree of base with these files, in the hub; the user's main stays where it was."""
        tree = self.hub.tree_of(self.hub.fetch_objects(self.repo, self.commit(files)))
        self.git("reset", "-q", "--hard", self.base)
        return tree

    @property
    def base_tree(self) -> str:
        return self.hub.tree_of(self.base)

    def gate(self, name: str = "unit", **fields: Any) -> GateResult:
        outcomes: Mapping[str, str] = fields.pop("outcomes", OUTCOMES)
        said = list(outcomes.values())
        known: dict[str, Any] = {
            "name": name,
            "result": "red" if "failed" in said else "green",
            "executed": said.count("passed") + said.count("failed"),
            "passed": said.count("passed"),
            "failed": said.count("failed"),
            "skipped": said.count("skipped"),
            "log": self.store.put(b"what it said\n"),
            "tests": self.store.put_json(dict(outcomes)) if outcomes else "",
            "definition": f"sha256:{'d' * 64}",
        }
        return GateResult.model_validate({**known, **fields})

    def report(self, tree: str, **fields: Any) -> VerificationReport:
        main = self.hub.main()
        known: dict[str, Any] = {
            "kind": "land",
            "result": "green",
            "tree": tree,
            "base": main.tree,
            "base_commit": main.commit,
            "repository": self.base,
            "policy": POLICY,
            "gates": fields["gates"] if "gates" in fields else [self.gate()],
            "guards": [GuardResult(rule="paths", ok=True)],
            "finished_at": "2026-01-02T03:04:05.678Z",
        }
        return VerificationReport.model_validate({**known, **fields})

    def sign(self, tree: str, **fields: Any) -> SignedReport:
        return Reports(self.store, self.signer).sign(self.report(tree, **fields))

    def envelope(self, **fields: Any) -> bytes:
        """The envelope of a report on the base's own tree."""
        return self.store.get(self.sign(self.base_tree, **fields).digest)

    def land(self, tree: str, **fields: Any) -> str:
        """Land a tree as the engine does; the commit."""
        main, signed = self.hub.main(), self.sign(tree, **fields)
        commit = self.hub.commit(tree, [main.commit], f"Land it\n\nWork-Order: wo\nReport: {signed.digest}\n", 0.0)
        assert self.hub.move_main(commit, main.commit)
        return commit

    def digest_of(self, commit: str) -> str:
        """The digest that a landed commit names."""
        return self.hub.commits_between(f"{self.base}", commit)[-1].trailers["Report"][0]


def run_recipe(envelope: Path, key: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The printed lines, as they are, in a shell."""
    script = "set -e\n" + "\n".join(recipe(envelope, key, **options))
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


def resigned(reported: Reported, change: Callable[[str], str]) -> bytes:
    """The report's statement, changed as text and signed again with the right key."""
    payload = reported.signer.verify_key.open(reported.envelope()).decode("ascii")
    changed = change(payload)
    assert changed != payload
    return reported.signer.envelope(changed.encode("utf-8"))
