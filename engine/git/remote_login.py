"""Where the user's remote is, and what of his configuration counts for the few calls that speak with it.

A remote is the one place to which the engine's git must go as the user: with his credential helpers, his ssh, his
proxy. These calls still run on the hub and not in his repository, so that nothing that lies in a work tree or in
`.git/config` has a say. What counts, and nothing else:

- the address, read from `remote.<name>.pushurl` or `.url` of his repository (text: no other setting of it is obeyed);
- of his *global and system* files (as git reads them in his repository, so `includeIf` works) the keys below
  `credential.`, `http.`, `url.` and `ssh.`, and `core.sshCommand`; they are given by the environment, never by argv;
- his environment (HOME, the ssh agent, proxies), without variables that would ask a question or point git elsewhere.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from engine.errors import UserError
from engine.git.door import UserGit
from engine.git.names import decode_path
from engine.text.sanitise import sanitise_line

ALIAS = "swarm"
"""The name by which the hub's git knows the address, so that it stands in no argv."""

CONNECT_S = 20

_KEYS = re.compile(r"(?:credential|http|url|ssh)\..+|core\.sshcommand", re.IGNORECASE)
_SCOPES = ("system", "global")
_GIT_VARIABLES_KEPT = re.compile(r"GIT_(?:SSH|SSH_COMMAND|SSH_VARIANT|SSL_[A-Z_]+|PROXY_SSL_[A-Z_]+)")
_QUESTIONS = frozenset({"SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "GCM_GUI_PROMPT"})
_SCP_LIKE = re.compile(r"(?:[^/\\@:]+@)?(?:\[[0-9A-Fa-f:.]+\]|[^/\\:\[]{2,}):(?!//)(?P<path>.+)", re.DOTALL)
_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
"""`ext::sh -c …`: the name of a program, not of a place."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")


@dataclass(frozen=True)
class Address:
    """A remote. `url` is for git; `shown` for people; `scheme` is file, ssh, https, http or git."""

    name: str
    url: str = field(repr=False)
    scheme: str
    host: str
    path: str
    """What stands behind the host, without a leading slash and without `.git`: `owner/name` on most forges."""

    @property
    def shown(self) -> str:
        return f"{self.name} ({self.host or sanitise_line(self.url)[:120]})"


def address_of(user_repo: Path, name: str, *, never_below: Path | None = None) -> Address:
    """The address of a remote of the user's repository.

    never_below: a folder that no remote may lie in (the engine's state, where agents write). Raises UserError with what
    to do: no such remote, a transport that is not let, a password in the address.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f'project.remote is "{sanitise_line(name)[:60]}": name one that `git remote` lists.')
    git = UserGit(user_repo)
    found = ""
    for key in ("pushurl", "url"):
        done = git.run("config", "--local", "--get", f"remote.{name}.{key}", ok=(0, 1, 2))
        if done.returncode == 0 and done.line:
            found = done.line
            break
    if not found:
        raise UserError(f'The repository has no remote "{name}": add it with `git remote add {name} URL`.')
    return parse_address(name, found, user_repo, never_below=never_below)


def parse_address(name: str, url: str, user_repo: Path, *, never_below: Path | None = None) -> Address:
    """As `address_of`, of an address that is known."""
    shown = f'The address of the remote "{name}"'
    if not url.isprintable() or url.startswith("-") or _HELPER.match(url):
        raise UserError(f"{shown} is none that the swarm publishes to: use https, ssh, git or a path.")
    scp = _SCP_LIKE.fullmatch(url) if "://" not in url else None
    if scp is not None:
        host = url[: scp.start("path") - 1].rpartition("@")[2].strip("[]")
        _no_option(host, shown)
        return Address(name, url, "ssh", host.lower(), _trimmed(scp["path"]))
    if "://" in url and not url.startswith("file://"):
        return _of_url(name, url, shown)
    place = Path(urlsplit(url).path if url.startswith("file://") else url)
    if sys.platform == "win32" and url.startswith("file://"):
        place = Path(urlsplit(url).path.lstrip("/"))
    place = (user_repo / place).resolve()
    if never_below is not None and place.is_relative_to(never_below.resolve()):
        raise UserError(f"{shown} lies in the swarm's own state folder: name another.")
    return Address(name, str(place), "file", "", "")


def _of_url(name: str, url: str, shown: str) -> Address:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        secret = parts.password is not None
    except ValueError as error:
        raise UserError(f"{shown} cannot be read ({error}): see `git remote -v`.") from error
    scheme = {"git+ssh": "ssh", "ssh+git": "ssh"}.get(parts.scheme, parts.scheme)
    if scheme not in ("https", "http", "ssh", "git") or not host:
        raise UserError(f"{shown} is none that the swarm publishes to: use https, ssh, git or a path.")
    if scheme == "http" and host not in _LOOPBACK:
        raise UserError(f"{shown} is plain http, where anybody on the way can read the login: use https.")
    if secret:
        raise UserError(
            f"{shown} contains a password, which every process list shows: put it into a credential helper, and take "
            f"it out with `git remote set-url {name} URL`."
        )
    _no_option(host, shown)
    return Address(name, url, scheme, host, _trimmed(parts.path))


def _no_option(host: str, shown: str) -> None:
    if host.startswith("-"):
        raise UserError(f"{shown} has a host that looks like an option: see `git remote -v`.")


def _trimmed(path: str) -> str:
    return path.strip("/").removesuffix(".git").strip("/")


def login_settings(user_repo: Path, address: Address) -> list[tuple[str, str]]:
    """The (key, value) pairs that count for calls to this address, in the order in which git read them."""
    raw = UserGit(user_repo).run("config", "--list", "-z", "--show-scope", "--includes").stdout
    fields = [decode_path(part) for part in raw.split(b"\0")]
    found: list[tuple[str, str]] = []
    for scope, row in zip(fields[::2], fields[1::2], strict=False):
        key, _, value = row.partition("\n")
        if scope in _SCOPES and _KEYS.fullmatch(key):
            found.append((key, value))
    return [*found, (f"remote.{ALIAS}.url", address.url)]


def environment(pairs: list[tuple[str, str]], source: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a call: the user's, with the settings in it, and with nobody to ask."""
    source = os.environ if source is None else source
    env = {
        name: value
        for name, value in source.items()
        if name not in _QUESTIONS and (not name.startswith("GIT_") or _GIT_VARIABLES_KEPT.fullmatch(name))
    }
    env |= {"GIT_CONFIG_COUNT": str(len(pairs))}
    for nth, (key, value) in enumerate(pairs):
        env |= {f"GIT_CONFIG_KEY_{nth}": key, f"GIT_CONFIG_VALUE_{nth}": value}
    configured = [value for key, value in pairs if key.lower() == "core.sshcommand"]
    ssh = env.get("GIT_SSH_COMMAND") or (configured[-1] if configured else "") or env.get("GIT_SSH") or "ssh"
    quiet = {
        "LC_ALL": "C",
        "LANGUAGE": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",  # set and empty: neither a program nor SSH_ASKPASS is asked
        "SSH_ASKPASS_REQUIRE": "never",
        "GCM_INTERACTIVE": "never",
        "GIT_SSH_COMMAND": unattended(ssh),
    }
    return env | quiet


def unattended(ssh: str) -> str:
    """An ssh command that never asks: with its batch option, if it is a program that we know."""
    first = re.match(r'\s*(?:"([^"]+)"|(\S+))', ssh)
    program = re.split(r"[\\/]", (first[1] or first[2]) if first else "")[-1].lower().removesuffix(".exe")
    if program == "ssh":
        return f"{ssh} -o BatchMode=yes -o ConnectTimeout={CONNECT_S}"
    if program in ("plink", "tortoiseplink"):
        return f"{ssh} -batch"
    return ssh


def transports(address: Address) -> dict[str, str | None]:
    """The `-c` settings of a call: which transports are open, and that the user's credential helpers count.

    https and ssh always, since the user's `url.*.insteadOf` may turn one into the other; what is open or unproven (a
    path, git, http on this machine) only if the address itself says so.
    """
    opened = {"https", "ssh", address.scheme}
    return {
        "credential.helper": None,
        "credential.interactive": "false",
        **{f"protocol.{scheme}.allow": "always" for scheme in sorted(opened)},
    }
