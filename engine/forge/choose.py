"""Which forge a remote lives on, and how to speak with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from engine.errors import UserError
from engine.forge import gitea, github, gitlab
from engine.forge.forge import Forge
from engine.forge.http import Http
from engine.forge.token import token_for
from engine.git.remote_login import Address
from engine.models.settings import Project

_HOSTS = {"github.com": "github", "gitlab.com": "gitlab", "codeberg.org": "gitea", "gitea.com": "gitea"}
_NAMES = {"github": "GitHub", "gitlab": "GitLab", "gitea": "Gitea or Forgejo"}


@dataclass(frozen=True)
class _Kind:
    api: str
    """Where the API is below the forge's own address."""
    headers: Callable[[str], dict[str, str]]
    make: Callable[[Http, str, str], Forge]


_KINDS = {
    "github": _Kind("/api/v3", github.headers, github.GitHub),
    "gitlab": _Kind("/api/v4", gitlab.headers, gitlab.GitLab),
    "gitea": _Kind("/api/v1", gitea.headers, gitea.Gitea),
}


@dataclass(frozen=True)
class Place:
    """A repository on a forge: `api` is the address of its API, `host` the one that the token is for."""

    forge: str
    api: str
    host: str
    repository: str


def place_of(project: Project, address: Address) -> Place:
    """Where the remote's pull requests are. Raises UserError when nobody has said it."""
    forge = project.forge or _HOSTS.get(_web(address.host), "")
    if not forge:
        known = ", ".join(sorted(_HOSTS))
        raise UserError(
            f"{address.shown} is none of {known}: say with forge (and forge_url) under [project] in swarm.toml which "
            "forge it is."
        )
    parts = [part for part in address.path.split("/") if part]
    if len(parts) < 2 or (forge != "gitlab" and len(parts) != 2):
        raise UserError(f"{address.shown} is no owner/name on {_NAMES[forge]}: see `git remote -v`.")
    host = _web(address.host)
    api = project.forge_url or (
        "https://api.github.com" if host == "github.com" else f"https://{host}{_KINDS[forge].api}"
    )
    if project.forge_url and (urlsplit(project.forge_url).hostname or "") not in ("api.github.com",):
        host = urlsplit(project.forge_url).hostname or host
    return Place(forge, api.rstrip("/"), host, "/".join(parts))


def open_forge(
    place: Place,
    base: str,
    *,
    source: Mapping[str, str] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Forge:
    """The forge, logged in. `base`: the branch that pull requests are to be merged into. Raises UserError without a
    token. Blocking: it may ask the forge's own tool for it."""
    kind = _KINDS[place.forge]
    token = token_for(place.forge, place.host, source)
    return kind.make(Http(place.api, kind.headers(token), transport), place.repository, base)


def _web(host: str) -> str:
    """The name that people know: ssh may go by another one."""
    return {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}.get(host, host)
