"""The remote: fast-forwards arrive, everything else waits with a sentence, and nobody is ever asked."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.errors import UserError
from engine.git.hub import Hub
from engine.git.remote import Patience, Remote, RemoteFault
from engine.git.remote_login import address_of, environment, login_settings, parse_address, unattended
from tests.engine.git.remote_servers import (
    LOGIN,
    bare_repository,
    free_port,
    git_daemon,
    http_server,
    ref,
    refuse_pushes,
    silent_server,
)

MAIN = "refs/heads/main"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="the servers are POSIX programs")


def remote_at(hub: Hub, user: Any, url: str, **patience: float) -> Remote:
    user("config", "remote.origin.url", url)
    address = address_of(user.root, "origin", never_below=hub.state)
    return Remote(hub, address, environment(login_settings(user.root, address)), Patience(**patience))


def gives(remote: Remote, new: str, expected: str | None, why: str, words: str, name: str = MAIN) -> str:
    with pytest.raises(RemoteFault) as told:
        remote.advance(name, new, expected)
    said = str(told.value)
    assert told.value.why == why, said
    assert words in said
    assert said.startswith("origin (")
    assert said.endswith(".")
    assert "\n" not in said
    return said


@pytest.fixture
def server(tmp_path: Path, user: Any) -> Path:
    (tmp_path / "served").mkdir()
    return bare_repository(tmp_path / "served" / "project.git", user.root)


# ---- what arrives --------------------------------------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize("transport", ["file", "git", "http", "path"])
def test_a_fast_forward_arrives_over_every_transport(
    transport: str, hub: Hub, user: Any, land: Any, server: Path
) -> None:
    old, new = hub.main().commit, land({"a.txt": "A\n"})
    root = server.parent
    with http_server(root) as (http, _), git_daemon(root) as daemon:
        url = {
            "file": f"file://{server}",
            "path": os.path.relpath(server, user.root),
            "git": f"{daemon}/project.git",
            "http": f"{http}/project.git",
        }[transport]
        remote = remote_at(hub, user, url)
        assert remote.look(MAIN) == {MAIN: old}
        remote.advance(MAIN, new, old)
        assert remote.look(MAIN, "refs/heads/other") == {MAIN: new}
    assert ref(server, MAIN) == new


@POSIX
def test_a_large_push_arrives_over_http(hub: Hub, user: Any, land: Any, server: Path) -> None:
    import random

    noise = random.Random(1)
    old = hub.main().commit
    new = land({"large.txt": "".join(f"{noise.getrandbits(64):x}\n" for _ in range(200_000))})
    with http_server(server.parent) as (http, asked):
        remote_at(hub, user, f"{http}/project.git").advance(MAIN, new, old)
        assert any(line.startswith("POST") for line in asked)
    assert ref(server, MAIN) == new


def test_an_empty_remote_gets_its_branch(hub: Hub, user: Any, tmp_path: Path) -> None:
    empty = bare_repository(tmp_path / "empty.git")
    remote = remote_at(hub, user, str(empty))
    assert remote.look(MAIN) == {}
    remote.advance(MAIN, hub.main().commit, None)
    assert ref(empty, MAIN) == hub.main().commit


def test_pushing_again_what_is_there_does_nothing(hub: Hub, user: Any, land: Any, server: Path) -> None:
    old, new = hub.main().commit, land({"a.txt": "A\n"})
    remote = remote_at(hub, user, str(server))
    remote.advance(MAIN, new, old)
    remote.advance(MAIN, new, remote.look(MAIN)[MAIN])
    assert ref(server, MAIN) == new


# ---- what does not -------------------------------------------------------------------------------------------------


def test_a_remote_that_has_moved_on_is_left_alone_and_can_be_fetched(
    hub: Hub, user: Any, land: Any, server: Path
) -> None:
    new = land({"a.txt": "A\n"})
    theirs = user.commit("theirs", {"c.txt": "c\n"})
    user("push", "-q", str(server), "main")
    remote = remote_at(hub, user, str(server))
    seen = remote.look(MAIN)[MAIN]
    assert seen == theirs
    gives(remote, new, seen, "moved", "does not have yet")
    assert remote.fetch("main") == theirs
    assert hub.has(theirs)
    gives(remote, new, seen, "moved", "does not have yet")  # they are in the hub now, but not in main's history
    assert ref(server, MAIN) == theirs


def test_a_remote_that_moves_between_the_look_and_the_push_keeps_what_it_got(
    hub: Hub, user: Any, land: Any, server: Path
) -> None:
    remote = remote_at(hub, user, str(server))
    seen, new = remote.look(MAIN)[MAIN], land({"a.txt": "A\n"})
    theirs = user.commit("theirs", {"c.txt": "c\n"})
    user("push", "-q", str(server), "main")
    gives(remote, new, seen, "moved", "moved while")
    assert ref(server, MAIN) == theirs


def test_a_branch_that_went_back_is_no_license_to_overwrite_it(hub: Hub, user: Any, land: Any, server: Path) -> None:
    first, second = land({"a.txt": "1\n"}), land({"a.txt": "2\n"})
    remote = remote_at(hub, user, str(server))
    remote.advance(MAIN, second, remote.look(MAIN)[MAIN])
    gives(remote, first, second, "moved", "does not have yet")
    assert ref(server, MAIN) == second


@POSIX
def test_a_server_that_refuses_says_why(hub: Hub, user: Any, land: Any, server: Path) -> None:
    refuse_pushes(server, "main is protected\x1b[31m")
    old, new = hub.main().commit, land({"a.txt": "A\n"})
    with http_server(server.parent) as (http, _):
        said = gives(remote_at(hub, user, f"{http}/project.git"), new, old, "refused", "main is protected")
    assert "pre-receive hook declined" in said
    assert "\x1b" not in said
    assert ref(server, MAIN) == old


@POSIX
def test_a_login_is_never_asked_for(hub: Hub, user: Any, server: Path) -> None:
    with http_server(server.parent, LOGIN) as (http, _):
        remote = remote_at(hub, user, f"{http}/project.git")
        with pytest.raises(RemoteFault, match="wants a login") as told:
            remote.look(MAIN)
        assert told.value.why == "login"


@POSIX
@pytest.mark.parametrize("scope", ["global", "local"])
def test_the_users_own_credential_helper_counts_and_the_repositorys_does_not(
    scope: str, hub: Hub, user: Any, server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, store = tmp_path / "gitconfig", tmp_path / "credentials"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    config.touch()
    with http_server(server.parent, LOGIN) as (http, _):
        store.write_text(http.replace("://", f"://{LOGIN[0]}:{LOGIN[1].replace(' ', '%20')}@") + "\n", encoding="utf-8")
        where = ["--global"] if scope == "global" else ["--local"]
        subprocess.run(
            ["git", "config", *where, "credential.helper", f"store --file={store}"], cwd=user.root, check=True
        )
        remote = remote_at(hub, user, f"{http}/project.git")
        if scope == "local":
            with pytest.raises(RemoteFault, match="wants a login"):
                remote.look(MAIN)
        else:
            assert remote.look(MAIN) == {MAIN: hub.main().commit}


@POSIX
def test_a_server_that_hangs_is_given_up(hub: Hub, user: Any) -> None:
    with silent_server() as url:
        remote = remote_at(hub, user, f"{url}/project.git", look_s=0.5)
        with pytest.raises(RemoteFault, match=r"no answer within 0\.5 s") as told:
            remote.look(MAIN)
    assert told.value.why == "timeout"


def test_a_server_that_is_down(hub: Hub, user: Any) -> None:
    remote = remote_at(hub, user, f"http://127.0.0.1:{free_port()}/project.git")
    with pytest.raises(RemoteFault, match="cannot be reached") as told:
        remote.look(MAIN)
    assert told.value.why == "unreachable"


def test_a_remote_that_is_not_there(hub: Hub, user: Any, tmp_path: Path) -> None:
    with pytest.raises(RemoteFault, match="is not there") as told:
        remote_at(hub, user, str(tmp_path / "nowhere.git")).look(MAIN)
    assert told.value.why == "missing"


# ---- whose settings count ------------------------------------------------------------------------------------------


@POSIX
def test_nothing_of_the_repositorys_own_config_runs_or_redirects(
    hub: Hub, user: Any, land: Any, server: Path, tmp_path: Path
) -> None:
    trap, tripped = tmp_path / "trap", tmp_path / "tripped"
    trap.write_text(f'#!/bin/sh\ntouch {tripped}\nexec "$@"\n', encoding="utf-8")
    trap.chmod(0o755)
    elsewhere = bare_repository(tmp_path / "elsewhere.git", user.root)
    old, new = hub.main().commit, land({"a.txt": "A\n"})
    user("config", f"url.{elsewhere}.insteadOf", str(server))
    user("config", f"url.{elsewhere}.pushInsteadOf", str(server))
    user("config", "remote.origin.receivepack", f"{trap} git-receive-pack")
    user("config", "remote.origin.uploadpack", f"{trap} git-upload-pack")
    user("config", "core.sshCommand", str(trap))
    user("config", "core.hooksPath", str(tmp_path / "hooks"))
    (tmp_path / "hooks").mkdir()
    shutil.copy(trap, tmp_path / "hooks" / "pre-push")
    (tmp_path / "hooks" / "pre-push").write_text(f"#!/bin/sh\ntouch {tripped}\n", encoding="utf-8")
    remote_at(hub, user, str(server)).advance(MAIN, new, old)
    assert ref(server, MAIN) == new
    assert ref(elsewhere, MAIN) == old
    assert not tripped.exists()
    user("push", "-q", "origin", f"{old}:refs/heads/x")  # the honest twin: plain git obeys all of it
    assert tripped.exists()
    assert ref(elsewhere, "refs/heads/x") == old


def test_the_users_global_redirect_counts(
    hub: Hub, user: Any, server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    config.write_text(f'[url "{server.parent}/"]\n\tinsteadOf = ssh://short.invalid/\n', encoding="utf-8")
    user("config", "remote.origin.url", "ssh://short.invalid/project.git")
    address = address_of(user.root, "origin")
    # The transport of the address is what is let; a redirect to a path is not.
    remote = Remote(hub, address, environment(login_settings(user.root, address)))
    with pytest.raises(RemoteFault, match="transport 'file' not allowed"):
        remote.look(MAIN)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ext::sh -c touch% /tmp/x", "none that the swarm publishes to"),
        ("fd::7", "none that the swarm publishes to"),
        ("https://ada:secret@example.org/x.git", "contains a password"),
        ("http://example.org/x.git", "plain http"),
        ("ftp://example.org/x.git", "none that the swarm publishes to"),
        ("ssh://-oProxyCommand=touch/x", "looks like an option"),
        ("-oProxyCommand=x:y", "none that the swarm publishes to"),
        ("https:///x", "none that the swarm publishes to"),
    ],
)
def test_an_address_that_is_not_published_to(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words) as told:
        parse_address("origin", url, tmp_path)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "scheme", "host", "path"),
    [
        ("https://github.com/ada/engine.git", "https", "github.com", "ada/engine"),
        ("git@github.com:ada/engine.git", "ssh", "github.com", "ada/engine"),
        ("github.com:ada/engine", "ssh", "github.com", "ada/engine"),
        ("ssh://git@gitlab.example.org:2222/group/sub/engine.git/", "ssh", "gitlab.example.org", "group/sub/engine"),
        ("https://ada@codeberg.org/ada/engine", "https", "codeberg.org", "ada/engine"),
        ("git://127.0.0.1:9418/engine.git", "git", "127.0.0.1", "engine"),
        ("git@[fe80::1]:ada/engine.git", "ssh", "fe80::1", "ada/engine"),
    ],
)
def test_what_an_address_says(url: str, scheme: str, host: str, path: str, tmp_path: Path) -> None:
    address = parse_address("origin", url, tmp_path)
    assert (address.scheme, address.host, address.path) == (scheme, host, path)


def test_a_remote_inside_the_state_folder_is_refused(hub: Hub, user: Any) -> None:
    user("config", "remote.origin.url", str(hub.state / "workspaces" / "x"))
    with pytest.raises(UserError, match="state folder"):
        address_of(user.root, "origin", never_below=hub.state)


def test_a_remote_that_nobody_added(user: Any) -> None:
    with pytest.raises(UserError, match="git remote add upstream"):
        address_of(user.root, "upstream")


def test_ssh_never_asks() -> None:
    assert "BatchMode=yes" in unattended("ssh -i ~/.ssh/deploy")
    assert "BatchMode=yes" in unattended('"C:\\Program Files\\Git\\ssh.exe" -v')
    assert unattended("plink.exe").endswith("-batch")
    env = environment([("core.sshcommand", "ssh -i key")], {"SSH_ASKPASS": "x", "GIT_ASKPASS": "y", "GIT_DIR": "z"})
    assert env["GIT_SSH_COMMAND"].startswith("ssh -i key -o BatchMode=yes")
    assert "SSH_ASKPASS" not in env
    assert "GIT_DIR" not in env
    assert env["GIT_ASKPASS"] == ""


@POSIX
def test_ssh_is_called_with_nobody_to_ask(hub: Hub, user: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = tmp_path / "argv"
    fake = tmp_path / "bin" / "ssh"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {said}\necho "Permission denied (publickey)." >&2\nexit 255\n')
    fake.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(fake))
    with pytest.raises(RemoteFault, match="wants a login"):
        remote_at(hub, user, "git@127.0.0.1:ada/engine.git").look(MAIN)
    assert "BatchMode=yes" in said.read_text()


# ---- force does not exist ------------------------------------------------------------------------------------------


def _pushes(tree: ast.AST) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and any(isinstance(arg, ast.Constant) and arg.value == "push" for arg in node.args)
    ]


def _strings(node: ast.AST) -> list[str]:
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def test_there_is_one_push_and_no_force() -> None:
    packages = Path(engine.__file__).parent.parent
    found: list[tuple[str, ast.Call]] = []
    for package in ("engine", "swarm_tui", "gates", "roles", "canary"):
        for file in (packages / package).rglob("*.py"):
            if file.parent.name == "approvals" or file.name == "never.py":  # dangerous commands, to tell them apart
                continue
            tree = ast.parse(file.read_text(encoding="utf-8"))
            found += [(file.name, call) for call in _pushes(tree)]
            if file.parent.name in ("git", "effects", "forge"):  # elsewhere they are named to be refused
                strings = [text for text in _strings(tree) if text.split("=")[0] in ("--force", "--mirror")]
                assert strings == [], f"{file}: {strings}"
    assert [name for name, _ in found] == ["remote.py"]
    words = _strings(found[0][1])
    assert not any(word in ("-f", "--force", "--mirror", "--delete", "--all", "--prune") for word in words)
    assert not any(word.startswith(("+", ":refs")) for word in words)
    method = next(
        node
        for node in ast.walk(ast.parse((packages / "engine/git/remote.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name == "advance"
    )
    asked = [n.lineno for n in ast.walk(method) if isinstance(n, ast.Attribute) and n.attr == "is_ancestor"]
    pushed = [call.lineno for call in _pushes(method)]
    assert len(asked) == len(pushed) == 1
    assert asked < pushed, "the ancestry is looked at before anything is pushed"
