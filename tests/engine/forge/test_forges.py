"""Each forge keeps one contract: find, open, update, look, comment, close; and its troubles become clear sentences."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.errors import UserError
from engine.forge.choose import open_forge, place_of
from engine.forge.forge import Forge
from engine.forge.gitea import Gitea
from engine.forge.gitea import headers as gitea_headers
from engine.forge.github import GitHub
from engine.forge.github import headers as github_headers
from engine.forge.gitlab import GitLab
from engine.forge.gitlab import headers as gitlab_headers
from engine.forge.http import ForgeFault, Http
from engine.forge.token import VARIABLES, token_for
from engine.git.remote_login import parse_address
from engine.models.settings import Project
from engine.process.environment import allowed_environment
from engine.text.known import known_secrets
from tests.engine.forge.stand_in import NAME, OWNER, TOKEN, StandIn

KINDS = ("github", "gitlab", "gitea")
BRANCH = "agent/resize-path/0123456789ab"
Use = Callable[[Forge], Coroutine[Any, Any, Any]]


def with_forge(stand_in: StandIn, use: Use, *, waits: list[float] | None = None, token: str = TOKEN) -> Any:
    """Run `use` with the forge's client; what it waited is put into `waits`."""
    made = {"github": (GitHub, github_headers), "gitlab": (GitLab, gitlab_headers), "gitea": (Gitea, gitea_headers)}
    client, headers = made[stand_in.kind]
    waited = waits if waits is not None else []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async def main() -> Any:
        transport = httpx.ASGITransport(stand_in.application)
        http = Http("https://forge.invalid", headers(token), transport, sleep, lambda: 1_000.0)
        forge = client(http, f"{OWNER}/{NAME}", "main")
        try:
            return await use(forge)
        finally:
            await forge.end()

    return asyncio.run(main())


@pytest.fixture(params=KINDS)
def stand_in(request: pytest.FixtureRequest) -> StandIn:
    return StandIn(request.param)


def test_one_is_opened_found_looked_at_and_closed(stand_in: StandIn) -> None:
    async def use(forge: Forge) -> None:
        assert await forge.find(BRANCH) is None
        made = await forge.create(BRANCH, "Resize", "Why\n")
        assert (made.status, made.branch, made.number) == ("open", BRANCH, 1)
        assert made.url.startswith("https://forge.invalid/ada/engine/")
        assert await forge.find(BRANCH) == made
        await forge.comment(made.number, "Hello")
        assert (await forge.look(made.number)).title == "Resize"
        await forge.close(made.number)
        assert (await forge.look(made.number)).status == "closed"
        stand_in.pulls[0].merged = True
        assert (await forge.look(made.number)).status == "merged"
        found = await forge.find(BRANCH)
        assert found is not None
        assert found.status == "merged"

    with_forge(stand_in, use)
    (pull,) = stand_in.pulls
    assert (pull.base, pull.body, pull.comments) == ("main", "Why\n", ["Hello"])


@pytest.mark.parametrize("ci", ["", "pending", "green", "red"])
def test_checks_are_told(stand_in: StandIn, ci: str) -> None:
    stand_in.ci = ci

    async def use(forge: Forge) -> str:
        return (await forge.look((await forge.create(BRANCH, "t", "b")).number)).ci

    assert with_forge(stand_in, use) == ci


def test_opening_one_twice_gives_the_first(stand_in: StandIn) -> None:
    async def use(forge: Forge) -> None:
        first = await forge.create(BRANCH, "t", "b")
        assert await forge.create(BRANCH, "t", "b") == first

    with_forge(stand_in, use)
    assert len(stand_in.pulls) == 1


def test_an_answer_that_is_lost_opens_no_second_one(stand_in: StandIn) -> None:
    stand_in.lose_answers = True

    async def use(forge: Forge) -> None:
        assert (await forge.create(BRANCH, "t", "b")).number == 1

    waits: list[float] = []
    with_forge(stand_in, use, waits=waits)
    assert len(stand_in.pulls) == 1
    assert waits == [1.0]


def test_a_comment_is_not_repeated_when_its_answer_is_lost(stand_in: StandIn) -> None:
    async def use(forge: Forge) -> None:
        made = await forge.create(BRANCH, "t", "b")
        stand_in.lose_answers = True
        with pytest.raises(ForgeFault, match="trouble of its own"):
            await forge.comment(made.number, "Hello")

    with_forge(stand_in, use)
    assert stand_in.pulls[0].comments == ["Hello"]


def test_one_on_a_later_page_is_found(stand_in: StandIn) -> None:
    stand_in.page = 2

    async def use(forge: Forge) -> int:
        wanted = await forge.create(BRANCH, "t", "b")
        for nth in range(5):
            await forge.create(f"other/{nth}", "t", "b")
        found = await forge.find(BRANCH)
        assert found is not None
        assert found.number == wanted.number
        return found.number

    assert with_forge(stand_in, use) == 1
    pages = [target for method, target, _, _ in stand_in.seen if method == "GET" and "page=" in target]
    assert len(pages) == (3 if stand_in.kind == "gitea" else 1)


@pytest.mark.parametrize(
    ("reply", "why", "words"),
    [
        ((401, {}, {"message": "Bad credentials"}), "login", "does not know the token (Bad credentials)"),
        ((403, {}, {"message": "Resource not accessible"}), "forbidden", "give it write access"),
        ((404, {}, {"message": "Not Found"}), "missing", "no such repository"),
        ((422, {}, {"message": "Validation Failed", "errors": [{"message": "No commits between main and x"}]}),
         "invalid", "No commits between"),
        ((422, {}, {"message": {"base": ["is invalid"]}}), "invalid", "base is invalid"),
        ((301, {"Location": "https://elsewhere.invalid/"}, None), "moved", "has moved"),
        ((200, {}, b"<html>a login page</html>"), "failed", "something else"),
        ((200, {}, {"state": "open"}), "failed", "lacks"),
        ((418, {}, {"message": "\x1b[31mteapot\u202e"}), "failed", "418"),
    ],
)  # fmt: skip
def test_a_refusal_becomes_one_clean_sentence(
    stand_in: StandIn, reply: tuple[int, dict[str, str], Any], why: str, words: str
) -> None:
    stand_in.trouble = [reply]

    async def use(forge: Forge) -> None:
        with pytest.raises(ForgeFault) as told:
            await forge.look(1)
        said = str(told.value)
        assert told.value.why == why, said
        assert words in said
        assert said.endswith(".")
        assert TOKEN not in said
        assert "\x1b" not in said
        assert "\u202e" not in said

    waits: list[float] = []
    with_forge(stand_in, use, waits=waits)
    assert waits == []


def test_a_token_goes_nowhere_else(stand_in: StandIn) -> None:
    stand_in.trouble = [(302, {"Location": "https://evil.invalid/"}, None)]

    async def use(forge: Forge) -> None:
        with pytest.raises(ForgeFault, match="moved"):
            await forge.look(1)

    with_forge(stand_in, use)
    assert len(stand_in.seen) == 1
    assert all(TOKEN not in target for _, target, _, _ in stand_in.seen)


@pytest.mark.parametrize(
    ("headers", "status", "said", "waited"),
    [
        ({"Retry-After": "7"}, 429, "Retry later", 7.0),
        ({"Retry-After": "5"}, 403, "You have exceeded a secondary rate limit", 5.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1009"}, 403, "API rate limit exceeded", 9.0),
        ({"Retry-After": formatdate(1_012, usegmt=True)}, 429, "", 12.0),
        ({"Retry-After": "3"}, 503, "maintenance", 3.0),
    ],
)
def test_a_pause_that_is_asked_for_is_made(
    stand_in: StandIn, headers: dict[str, str], status: int, said: str, waited: float
) -> None:
    async def use(forge: Forge) -> None:
        made = await forge.create(BRANCH, "t", "b")
        stand_in.trouble = [(status, headers, {"message": said})]
        assert (await forge.look(made.number)).status == "open"

    waits: list[float] = []
    with_forge(stand_in, use, waits=waits)
    assert waits == [waited]


@pytest.mark.parametrize("headers", [{"Retry-After": "3600"}, {}])
def test_a_long_pause_is_left_to_a_later_round(stand_in: StandIn, headers: dict[str, str]) -> None:
    stand_in.trouble = [(429, headers, {"message": "slow down"})]

    async def use(forge: Forge) -> float:
        with pytest.raises(ForgeFault, match="asks for a pause") as told:
            await forge.look(1)
        return told.value.after_s

    assert with_forge(stand_in, use) == (3600.0 if headers else 60.0)
    assert len(stand_in.seen) == 1


def test_a_server_in_trouble_is_tried_three_times(stand_in: StandIn) -> None:
    stand_in.trouble = [(502, {}, None), (500, {}, {"message": "oops"}), (503, {}, None)]

    async def use(forge: Forge) -> None:
        with pytest.raises(ForgeFault, match="trouble of its own") as told:
            await forge.look(1)
        assert told.value.why == "unreachable"

    waits: list[float] = []
    with_forge(stand_in, use, waits=waits)
    assert (len(stand_in.seen), waits) == (3, [1.0, 2.0])


def test_a_server_that_is_down_is_said_without_the_token() -> None:
    class Down(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError(f"no way, {request.headers}")

    async def sleep(_: float) -> None:
        pass

    async def main() -> str:
        http = Http("https://forge.invalid", github_headers(TOKEN), Down(), sleep)
        with pytest.raises(ForgeFault, match="cannot be reached") as told:
            await http.call("GET", "/x")
        assert TOKEN not in repr(http)
        return str(told.value)

    assert TOKEN not in asyncio.run(main())


# ---- which forge, and whose token ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "project", "forge", "api", "host", "repository"),
    [
        ("git@github.com:ada/engine.git", {}, "github", "https://api.github.com", "github.com", "ada/engine"),
        ("https://gitlab.com/group/sub/engine", {}, "gitlab", "https://gitlab.com/api/v4", "gitlab.com",
         "group/sub/engine"),
        ("https://codeberg.org/ada/engine", {}, "gitea", "https://codeberg.org/api/v1", "codeberg.org", "ada/engine"),
        ("https://git.example.org/ada/engine", {"forge": "github"}, "github", "https://git.example.org/api/v3",
         "git.example.org", "ada/engine"),
        ("ssh://git@git.example.org:2222/ada/engine", {"forge": "gitea", "forge_url": "https://code.example.org/api/v1/"},
         "gitea", "https://code.example.org/api/v1", "code.example.org", "ada/engine"),
        ("ssh://git@ssh.github.com:443/ada/engine.git", {}, "github", "https://api.github.com", "github.com",
         "ada/engine"),
    ],
)  # fmt: skip
def test_the_remotes_address_says_which_forge_it_is(
    url: str, project: dict[str, str], forge: str, api: str, host: str, repository: str, tmp_path: Path
) -> None:
    place = place_of(Project.model_validate(project), parse_address("origin", url, tmp_path))
    assert (place.forge, place.api, place.host, place.repository) == (forge, api, host, repository)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://git.example.org/ada/engine", "which forge it is"),
        ("https://github.com/engine", "no owner/name"),
        ("https://github.com/a/b/c", "no owner/name"),
        ("https://github.com.evil.example/ada/engine", "which forge it is"),
    ],
)
def test_a_forge_that_nobody_named_gets_no_token(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        place_of(Project(), parse_address("origin", url, tmp_path))


def test_tokens_come_from_the_environment_and_are_for_their_host() -> None:
    env = {"GITHUB_TOKEN": "for-github", "GITLAB_TOKEN": "for-gitlab", "FORGEJO_TOKEN": "for-forgejo", "PATH": ""}
    assert token_for("github", "github.com", {**env, "GH_TOKEN": "first"}) == "first"
    assert token_for("github", "github.com", env) == "for-github"
    assert token_for("gitlab", "gitlab.com", env) == "for-gitlab"
    assert token_for("gitea", "codeberg.org", env) == "for-forgejo"
    with pytest.raises(UserError, match="GH_ENTERPRISE_TOKEN"):
        token_for("github", "git.example.org", env)
    with pytest.raises(UserError, match="GITEA_TOKEN"):
        token_for("gitea", "codeberg.org", {"PATH": ""})
    with pytest.raises(UserError, match="not one word") as told:
        token_for("gitlab", "gitlab.com", {"GITLAB_TOKEN": "a\nHost: evil"})
    assert "evil" not in str(told.value)


@pytest.mark.skipif("os.name == 'nt'")
def test_the_forges_own_tool_is_asked_for_its_token(tmp_path: Path) -> None:
    said = tmp_path / "argv"
    for name in ("gh", "glab"):
        tool = tmp_path / name
        tool.write_text(f'#!/bin/sh\necho "{name} $@" >> {said}\necho token-of-{name}\n', encoding="utf-8")
        tool.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert token_for("github", "github.com", env) == "token-of-gh"
    assert token_for("gitlab", "git.example.org", env) == "token-of-glab"
    asked = said.read_text(encoding="utf-8").splitlines()
    assert asked == ["gh auth token --hostname github.com", "glab config get token --host git.example.org"]
    (tmp_path / "gh").write_text("#!/bin/sh\nexit 4\n", encoding="utf-8")
    with pytest.raises(UserError, match="gh auth login"):
        token_for("github", "github.com", env)


def test_tokens_are_hidden_everywhere_and_reach_no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    for nth, name in enumerate(VARIABLES):
        monkeypatch.setenv(name, f"secret-number-{nth}")
    values = {f"secret-number-{nth}" for nth in range(len(VARIABLES))}
    assert values <= set(known_secrets({}, os.environ).values())
    assert not any("secret-number" in value for value in allowed_environment({}).values.values())


@pytest.mark.parametrize(
    "url", ["http://git.example.org/api", "https://ada:pw@git.example.org", "file:///x", "gopher://x"]
)
def test_a_token_is_never_sent_in_the_clear(url: str) -> None:
    with pytest.raises(ForgeFault, match="forge_url"):
        Http(url, github_headers(TOKEN))


def test_a_forge_is_opened_with_its_token(tmp_path: Path) -> None:
    stand_in = StandIn("gitlab")
    place = place_of(Project(), parse_address("origin", f"git@gitlab.com:{OWNER}/{NAME}.git", tmp_path))

    async def main() -> None:
        class Shortened(httpx.ASGITransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                path = request.url.raw_path.decode().removeprefix("/api/v4")
                request.url = request.url.copy_with(raw_path=path.encode())
                return await super().handle_async_request(request)

        forge = open_forge(place, "main", source={"GITLAB_TOKEN": TOKEN}, transport=Shortened(stand_in.application))
        assert (await forge.create(BRANCH, "t", "b")).number == 1
        await forge.end()

    asyncio.run(main())
    assert stand_in.seen[0][1] == f"/projects/{OWNER}%2F{NAME}/merge_requests"
