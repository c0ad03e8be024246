"""Dependencies: nothing new comes in through lock files or manifests, in any of their formats."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.guards.dependencies import DependenciesGuard
from gates.guards.locks.package import Unreadable
from gates.guards.locks.table import kind_of, read_listing
from tests.gates.guards.changes import Files, Link, judge

CRATES = "registry+https://github.com/rust-lang/crates.io-index"


def deps(files: Files, base: Any = None, allow: list[str] | None = None, **fields: Any):
    return judge(DependenciesGuard(), files, base, dependencies={"allow": allow or []}, **fields)


def cargo(*rows: tuple[str, str, str, str]) -> str:
    text = "version = 3\n"
    for name, version, source, checksum in rows:
        text += f'\n[[package]]\nname = "{name}"\nversion = "{version}"\n'
        text += f'source = "{source}"\n' if source else ""
        text += f'checksum = "{checksum}"\n' if checksum else ""
    return text


def uv(name: str, version: str, registry: str = "https://pypi.org/simple", sha: str = "a", host: str = "") -> str:
    url = f"{host or 'https://files.pythonhosted.org'}/x/{name}-{version}.tar.gz"
    return (
        f'version = 1\n[[package]]\nname = "{name}"\nversion = "{version}"\n'
        f'source = {{ registry = "{registry}" }}\nsdist = {{ url = "{url}", hash = "sha256:{sha}" }}\n'
    )


def poetry(name: str, version: str, url: str = "", sha: str = "a") -> str:
    text = f'[[package]]\nname = "{name}"\nversion = "{version}"\nfiles = [{{file = "x", hash = "sha256:{sha}"}}]\n'
    return text + (f'[package.source]\ntype = "legacy"\nurl = "{url}"\nreference = "r"\n' if url else "")


def npm(name: str, version: str, host: str = "https://registry.npmjs.org", sha: str = "a", **more: Any) -> str:
    row = {"version": version, "resolved": f"{host}/{name}/-/{name}-{version}.tgz", "integrity": f"sha512-{sha}"}
    more = {"name" if key == "alias" else key: value for key, value in more.items()}
    packages = {"": {"name": "root"}, f"node_modules/{name}": {**row, **more}}
    return json.dumps({"lockfileVersion": 3, "packages": packages})


def old_npm(name: str, version: str, host: str = "https://registry.npmjs.org", sha: str = "a") -> str:
    row = {"version": version, "resolved": f"{host}/{name}/-/{name}-{version}.tgz", "integrity": f"sha512-{sha}"}
    return json.dumps(
        {"lockfileVersion": 1, "dependencies": {"outer": {"version": "1.0.0", "dependencies": {name: row}}}}
    )


def pip(name: str, version: str, place: str = "", sha: str = "a") -> str:
    wanted = f"{name} @ {place}" if place else f"{name} =={version}"
    return f"# made by hand\n{wanted} \\\n    --hash=sha256:{sha}\n"


def pipenv(name: str, version: str, place: str = "", sha: str = "a") -> str:
    row = {"version": f"=={version}", "hashes": [f"sha256:{sha}"], **({"git": place} if place else {})}
    return json.dumps({"_meta": {"sources": []}, "default": {name: row}, "develop": {}})


# file, and (name, version, source, hash) -> its text. A source of "" is the usual one.
LOCKS: dict[str, Any] = {
    "Cargo.lock": lambda n, v, s, h: cargo((n, v, s or CRATES, h)),
    "uv.lock": lambda n, v, s, h: uv(n, v, s or "https://pypi.org/simple", h),
    "poetry.lock": lambda n, v, s, h: poetry(n, v, s, h),
    "package-lock.json": lambda n, v, s, h: npm(n, v, s or "https://registry.npmjs.org", h),
    "npm-shrinkwrap.json": lambda n, v, s, h: old_npm(n, v, s or "https://registry.npmjs.org", h),
    "requirements-dev.txt": lambda n, v, s, h: pip(n, v, s, h),
    "Pipfile.lock": lambda n, v, s, h: pipenv(n, v, s, h),
}


@pytest.mark.parametrize("path", LOCKS)
@pytest.mark.parametrize("folder", ["", "sub/deep/"])
def test_a_lock_file_brings_in_only_what_is_allowed(path: str, folder: str) -> None:
    text = LOCKS[path]
    where = folder + path
    base = {where: text("serde", "1.0.0", "", "aa")}

    assert deps({where: text("serde", "1.0.0", "", "aa") + "\n"}, base).ok
    new = text("serde", "1.0.0", "", "aa"), text("evil", "6.6.6", "", "bb")
    added = {"other/" + path: new[1]}
    refused = deps(added)
    assert (refused.ok, refused.paths) == (False, ["other/" + path])
    assert "evil 6.6.6 is a new package" in refused.reason
    assert 'add "evil" to dependencies.allow' in refused.reason
    assert deps(added, allow=["evil", "outer"]).ok
    assert deps(added, allow=["evil@6.6.6", "outer"]).ok
    assert not deps(added, allow=["evil@6.6.5", "outer"]).ok
    assert not deps(added, allow=["Evil", "evi", "*", "outer"]).ok

    bump = {where: text("serde", "1.0.1", "", "bb")}
    refused = deps(bump, base)
    assert not refused.ok
    assert "serde 1.0.1 is another version than before" in refused.reason
    assert deps(bump, base, ["serde"]).ok
    assert deps(bump, base, ["serde@1.0.1"]).ok
    assert not deps(bump, base, ["serde@1.0.2"]).ok

    swapped = deps({where: text("serde", "1.0.0", "", "ee")}, base, ["serde", "serde@1.0.0"])
    assert not swapped.ok
    assert "has another hash than before" in swapped.reason

    elsewhere = {where: text("serde", "1.0.0", "https://evil.example/simple", "aa")}
    refused = deps(elsewhere, base, ["serde", "serde@1.0.0"])
    assert not refused.ok
    assert "now comes from " in refused.reason
    assert "evil.example" in refused.reason
    assert deps({where: None}, base).ok


@pytest.mark.parametrize("path", LOCKS)
def test_a_source_is_allowed_by_name_and_source(path: str) -> None:
    files = {path: LOCKS[path]("own", "1", "https://own.example/simple", "aa")}
    said = deps(files, allow=["own", "outer"]).reason
    entry = said.partition('add "')[2].partition('"')[0]
    assert entry.startswith("own@")
    assert deps(files, allow=[entry, "outer"]).ok


@pytest.mark.parametrize("path", ["CARGO.LOCK", "cargo.lock", "a/Cargo.Lock"])
def test_the_case_of_a_lock_files_name_does_not_matter(path: str) -> None:
    assert not deps({path: cargo(("evil", "1", CRATES, "aa"))}).ok


def test_a_name_with_the_kelvin_sign_is_the_same_name_to_some_file_systems() -> None:
    assert kind_of("Cargo.loc\u212a") is not None
    assert kind_of("Cargo.lick") is None


def test_a_lock_file_may_not_be_a_link_nor_hide_behind_one() -> None:
    lock = cargo(("evil", "1", CRATES, "aa"))
    assert not deps({"Cargo.lock": Link(b"other.txt"), "other.txt": lock}).ok
    base = {"Cargo.lock": Link(b"locks/real.txt"), "locks/real.txt": "version = 3\n"}
    assert deps({"locks/real.txt": lock}, base).paths == ["Cargo.lock"]
    assert deps({"locks/unreal.txt": lock}, base).ok


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Cargo.lock", "[[package]"),
        ("Cargo.lock", "[[package]]\nversion = '1'\n"),
        ("Cargo.lock", "package = 3\n"),
        ("Cargo.lock", "a = " + "[" * 5000 + "]" * 5000),
        ("uv.lock", "[[package]]\nname = ['x']\n"),
        ("package-lock.json", '{"packages": {}, "packages": {}}'),
        ("package-lock.json", '{"packages": ' + "[" * 100_000),
        ("package-lock.json", '{"packages": ' + "[" * 100_000 + "]" * 100_000 + "}"),
        ("package-lock.json", "[]"),
        ("package.json", "NaN"),
        ("go.sum", "only two\n"),
        ("go.mod", "what is this\n"),
        ("requirements.txt", b"\xff\xfe"),
        ("poetry.lock", b"\x00"),
        ("setup.cfg", "no section\n"),
    ],
)
def test_what_cannot_be_read_is_refused(path: str, text: str | bytes) -> None:
    refused = deps({path: text}, allow=["*"])
    assert not refused.ok
    assert "cannot be judged" in refused.reason


def test_a_kind_that_nobody_can_read_needs_its_name_in_full() -> None:
    assert not deps({"pnpm-lock.yaml": "a: b\n"}).ok
    assert deps({"pnpm-lock.yaml": "a: b\n"}).paths == ["pnpm-lock.yaml"]
    named = judge(DependenciesGuard(), {"pnpm-lock.yaml": "a: b\n"}, allow=("pnpm-lock.yaml",))
    assert named.ok
    assert not judge(DependenciesGuard(), {"pnpm-lock.yaml": "a: b\n"}, allow=("*.yaml",)).ok


def test_naming_a_readable_lock_file_does_not_let_packages_in() -> None:
    lock = {"Cargo.lock": cargo(("evil", "1", CRATES, "aa"))}
    assert not judge(DependenciesGuard(), lock, allow=("Cargo.lock",)).ok


def test_members_of_the_workspace_are_no_dependencies() -> None:
    base = {"Cargo.lock": cargo(("app", "0.1.0", "", ""))}
    assert deps({"Cargo.lock": cargo(("app", "0.2.0", "", ""), ("layout", "0.1.0", "", ""))}, base).ok
    was = {"Cargo.lock": cargo(("serde", "1.0.0", CRATES, "aa"))}
    assert not deps({"Cargo.lock": cargo(("serde", "1.0.0", "", ""))}, was, ["serde"]).ok
    uv_text = 'version = 1\n[[package]]\nname = "own"\nversion = "1"\nsource = {{ editable = "{}" }}\n'
    assert deps({"uv.lock": uv_text.format("./libs/own")}).ok
    assert not deps({"uv.lock": uv_text.format("../outside")}).ok


def test_a_list_that_moves_brings_nothing_new() -> None:
    lock = cargo(("serde", "1.0.0", CRATES, "aa"))
    assert deps({"Cargo.lock": None, "rust/Cargo.lock": lock}, {"Cargo.lock": lock}).ok
    assert not deps({"rust/Cargo.lock": lock}, {"Cargo.lock": lock}).ok


def test_an_allowed_version_must_not_fetch_its_files_from_elsewhere() -> None:
    base = {"uv.lock": uv("idna", "1")}
    assert deps({"uv.lock": uv("idna", "2", sha="b")}, base, ["idna"]).ok
    assert not deps({"uv.lock": uv("idna", "2", sha="b", host="https://evil.example")}, base, ["idna"]).ok
    base = {"package-lock.json": npm("left", "1")}
    assert deps({"package-lock.json": npm("left", "2", sha="b")}, base, ["left"]).ok
    other = npm("left", "2", sha="b", resolved="https://registry.npmjs.org/evil/-/evil-2.tgz")
    assert not deps({"package-lock.json": other}, base, ["left"]).ok
    assert not deps({"package-lock.json": npm("left", "2", sha="b", alias="evil")}, base, ["left"]).ok


def test_a_hash_may_not_get_lost_and_fewer_files_are_fine() -> None:
    base = {"requirements.txt": "idna==1 --hash=sha256:a --hash=sha256:b\n"}
    assert deps({"requirements.txt": "idna==1 --hash=sha256:b\n"}, base).ok
    assert not deps({"requirements.txt": "idna==1 --hash=sha256:b --hash=sha256:c\n"}, base, ["idna"]).ok
    assert "lost its hash" in deps({"requirements.txt": "idna==1\n"}, base, ["idna"]).reason


def test_go_modules_by_sum_and_by_requirement() -> None:
    total = "example.org/a v1.0.0 h1:aa=\nexample.org/a v1.0.0/go.mod h1:bb=\n"
    base = {"go.sum": total, "go.mod": "module example.org/m\n\ngo 1.22\n\nrequire example.org/a v1.0.0\n"}
    assert deps({"go.sum": "\n" + total}, base).ok
    assert not deps({"go.sum": total.replace("aa=", "ee=")}, base, ["example.org/a"]).ok
    more = total + "example.org/b v0.1.0 h1:cc=\n"
    assert not deps({"go.sum": more}, base).ok
    assert deps({"go.sum": more}, base, ["example.org/b@v0.1.0"]).ok
    block = "module example.org/m\ngo 1.22\nrequire (\n\texample.org/a v1.0.0\n\texample.org/b v0.1.0 // indirect\n)\n"
    assert not deps({"go.mod": block}, base).ok
    assert deps({"go.mod": block}, base, ["example.org/b"]).ok
    for line, fine in (("=> ./vendored/a", True), ("=> ../a", False), ("=> evil.example/a v1.0.0", False)):
        text = base["go.mod"] + f"replace example.org/a {line}\n"
        assert deps({"go.mod": text}, base, ["example.org/a"]).ok is fine


@pytest.mark.parametrize(
    ("path", "before", "after", "name"),
    [
        ("Cargo.toml", '[dependencies]\nserde = "1"\n', '[dependencies]\nserde = "1"\nevil = "2"\n', "evil"),
        (
            "Cargo.toml",
            "",
            '[target.\'cfg(unix)\'.dev-dependencies]\nx = { package = "evil", version = "2" }\n',
            "evil",
        ),
        ("Cargo.toml", "", '[workspace.dependencies]\nevil = "2"\n', "evil"),
        (
            "pyproject.toml",
            '[project]\ndependencies = ["a>1"]\n',
            '[project]\ndependencies = ["a>1", "Evil_x"]\n',
            "evil-x",
        ),
        ("pyproject.toml", "", '[build-system]\nrequires = ["evil"]\n', "evil"),
        ("pyproject.toml", "", "[dependency-groups]\ndev = [\"evil[x]>=2 ; python_version > '3'\"]\n", "evil"),
        ("pyproject.toml", "", '[tool.poetry.group.dev.dependencies]\nevil = "^2"\n', "evil"),
        ("pyproject.toml", "", '[project.optional-dependencies]\nx = ["evil"]\n', "evil"),
        ("package.json", "{}", '{"devDependencies": {"evil": "^2.0.0"}}', "evil"),
        ("setup.cfg", "", "[options]\ninstall_requires =\n    evil>=2\n", "evil"),
        ("requirements/dev.in", "", "evil\n", "evil"),
        ("Pipfile", "", '[dev-packages]\nevil = "*"\n', "evil"),
    ],
)
def test_manifests_count_as_well(path: str, before: str, after: str, name: str) -> None:
    base = {path: before} if before else None
    refused = deps({path: after}, base)
    assert not refused.ok
    assert refused.reason.startswith(name)
    assert deps({path: after}, base, [name]).ok


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Cargo.toml", '[dependencies]\nserde = { git = "https://evil.example/serde" }\n'),
        ("Cargo.toml", '[dependencies]\nserde = { path = "../../serde" }\n'),
        ("Cargo.toml", '[dependencies]\nserde = "1"\n[patch.crates-io]\nserde = { git = "https://evil.example/x" }\n'),
        ("pyproject.toml", '[project]\ndependencies = ["serde @ https://evil.example/serde.zip"]\n'),
        ("pyproject.toml", '[project]\ndependencies = ["serde>=1"]\n[[tool.uv.index]]\nurl = "https://evil.example"\n'),
        (
            "pyproject.toml",
            '[project]\ndynamic = ["dependencies"]\n[tool.setuptools.dynamic]\ndependencies = { file = ["a.txt"] }\n',
        ),
        ("pyproject.toml", '[project]\ndependencies = ["serde>=1"]\n[tool.pixi.pypi-dependencies]\nevil = "*"\n'),
        ("pyproject.toml", '[project]\ndependencies = ["serde>=1"]\n[tool.rye]\ndev-dependencies = ["evil"]\n'),
        ("package.json", '{"dependencies": {"serde": "github:evil/serde"}}'),
        ("package.json", '{"dependencies": {"serde": "npm:evil@1"}}'),
        ("package.json", '{"dependencies": {"serde": "^1"}, "overrides": {"other": "2"}}'),
        ("requirements.txt", "--extra-index-url https://evil.example\nserde>=1\n"),
        ("requirements.txt", "-r /etc/other.txt\nserde>=1\n"),
        ("requirements.txt", "serde @ git+https://evil.example/serde\n"),
        ("requirements.txt", "-e git+https://evil.example/serde#egg=serde\n"),
    ],
)
def test_a_manifest_does_not_send_elsewhere(path: str, text: str) -> None:
    plain = {
        "Cargo.toml": '[dependencies]\nserde = "1"\n',
        "pyproject.toml": '[project]\ndependencies = ["serde>=1"]\n',
        "package.json": '{"dependencies": {"serde": "^1"}}',
        "requirements.txt": "serde>=1\n",
    }[path]
    assert deps({path: plain + " "}, {path: plain}, ["serde"]).ok
    assert not deps({path: text}, {path: plain}, ["serde"]).ok


def test_code_of_the_repository_itself_may_be_depended_on() -> None:
    assert deps({"crates/app/Cargo.toml": '[dependencies]\nlayout = { path = "../layout" }\n'}).ok
    assert deps({"web/package.json": '{"dependencies": {"ui": "workspace:*", "x": "file:../x"}}'}).ok
    assert deps({"requirements.txt": "-e ./libs/own\n"}).ok


def test_one_sentence_names_a_package_once_for_lock_and_manifest() -> None:
    said = deps({"Cargo.lock": cargo(("evil", "2", CRATES, "a")), "Cargo.toml": '[dependencies]\nevil = "2"\n'})
    assert said.reason.count("evil 2 is a new package") == 1
    assert said.paths == ["Cargo.lock", "Cargo.toml"]


def test_hostile_names_cannot_act_on_a_terminal() -> None:
    deps({"package.json": json.dumps({"dependencies": {"\x1b[2Jevil\u202e": "^1"}})})


PATHS = [
    *LOCKS,
    "go.sum",
    "go.mod",
    "Cargo.toml",
    "pyproject.toml",
    "package.json",
    "setup.cfg",
    "Pipfile",
    "pylock.toml",
]
KEYS = st.sampled_from(
    [
        *("package", "packages", "name", "version", "source", "dependencies", "resolved", "files", "tool", "project"),
        *("default", "metadata", "wheels", "sdist", "link", "patch", "workspace", "target", "uv", "sources", "hashes"),
        *("path", "a"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def _readable_or_refused(path: str, content: bytes) -> None:
    kind = kind_of(path)
    assert kind is not None
    try:
        read_listing(kind, path, content)
    except Unreadable:
        assert not deps({path: content}).ok


@given(st.sampled_from(PATHS), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(path: str, content: bytes) -> None:
    _readable_or_refused(path, content)


@given(st.sampled_from([path for path in PATHS if path.endswith((".json", "Pipfile.lock"))]), VALUES)
def test_any_json_is_read_or_refused(path: str, value: Any) -> None:
    _readable_or_refused(path, json.dumps(value).encode())


@pytest.mark.slow
@given(
    st.sampled_from([path for path in PATHS if "lock" in path or path.endswith(".toml")]), st.dictionaries(KEYS, VALUES)
)
def test_any_toml_is_read_or_refused(path: str, value: Any) -> None:
    tomlkit = pytest.importorskip("tomlkit")
    try:
        content = tomlkit.dumps(_without_none(value)).encode()
    except Exception:  # what tomlkit cannot write is of no interest here
        return
    _readable_or_refused(path, content)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_none(one) for one in value if one is not None]
    return value
