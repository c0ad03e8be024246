"""What is wrong with the settings of publishing, before a night depends on them."""

from __future__ import annotations

from urllib.parse import urlsplit

from engine.models.problem import Problem
from engine.models.settings import Settings
from engine.wording import Locate

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def publish_problems(settings: Settings, at: Locate) -> list[Problem]:
    """Errors: each would leave everything unpublished."""
    found: list[Problem] = []
    project = settings.project
    if settings.merge.land_via == "pull_request" and project.publish not in ("remote", "both"):
        what = f'pull requests need a remote, and publish is "{project.publish}"'
        do = 'write publish = "remote" or "both" under [project], or land_via = "push"'
        found.append(Problem(where=at(("merge", "land_via")), what=what, do=do))
    if project.forge_url and (what := url_problem(project.forge_url)):
        do = "write the https address that the forge's own documentation names for its API"
        found.append(Problem(where=at(("project", "forge_url")), what=f"forge_url {what}", do=do))
    if project.forge_url and not project.forge:
        do = 'write forge = "github", "gitlab" or "gitea" beside it'
        found.append(
            Problem(where=at(("project", "forge_url")), what="forge_url does not say which forge it is", do=do)
        )
    return found


def url_problem(url: str) -> str:
    """Why a token may not be sent to this address, or "". Plain http only on this machine."""
    try:
        parts = urlsplit(url)
        host, secret, _ = parts.hostname, parts.password or parts.username, parts.port
    except ValueError:
        return "cannot be read"
    if not host or parts.scheme not in ("https", "http") or not url.isprintable():
        return "is no web address"
    if parts.scheme == "http" and host not in LOOPBACK:
        return "is plain http, where anybody on the way can read the token"
    if secret:
        return "contains a login"
    return ""
