"""What `swarm check` says about publishing: is there a remote, a forge, a token. Nothing is sent anywhere."""

from __future__ import annotations

from engine.errors import UserError
from engine.forge.choose import place_of
from engine.forge.token import token_for
from engine.git.remote_login import address_of
from engine.models.problem import Problem
from engine.models.settings import Settings
from swarm_tui.place import Place


def remote_problems(settings: Settings, place: Place) -> list[Problem]:
    """Errors: with any of them the night's work would stay where it is."""
    project = settings.project
    if project.publish not in ("remote", "both"):
        return []
    try:
        address = address_of(place.repository.root, project.remote, never_below=place.folders.root)
        if settings.merge.land_via == "pull_request":
            forge = place_of(project, address)
            token_for(forge.forge, forge.host)
    except UserError as error:
        what, _, do = str(error).rstrip(".").rpartition(": ")
        return [Problem(where=f"remote {project.remote}", what=what or do, do=do)]
    return []
