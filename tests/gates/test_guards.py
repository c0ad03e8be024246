"""Guards on real tree objects: each refusal beside the change that passes."""

import subprocess

import pytest

from tests.gates.bench import Bench


async def test_paths_hold_a_change_to_its_scope(bench: Bench) -> None:
    files = {"src/a.py": "1\n", "docs/x/y.md": "1\n"}
    assert (await bench.guard(files))["paths"].ok
    assert (await bench.guard(files, allow=("src/**", "docs/**")))["paths"].ok
    outside = (await bench.guard(files, allow=("src/**",)))["paths"]
    assert (outside.ok, outside.paths) == (False, ["docs/x/y.md"])
    assert "docs/x/y.md is outside the scope of wo" in outside.reason
    assert (await bench.guard(files, deny=("docs/**",)))["paths"].paths == ["docs/x/y.md"]


async def test_paths_count_deletions_and_both_ends_of_a_move(bench: Bench) -> None:
    moved = {"README.md": None, "src/README.md": "a bench\n"}
    assert (await bench.guard(moved, allow=("src/**",)))["paths"].paths == ["README.md"]


async def test_paths_match_case_exactly(bench: Bench) -> None:
    assert not (await bench.guard({"SRC/a.py": "1\n"}, allow=("src/**",)))["paths"].ok


@pytest.mark.parametrize(
    "path",
    [
        "swarm.toml",
        "conftest.py",
        "tests/deep/conftest.py",
        "pytest.ini",
        "tests/golden/a.jsonl",
        ".github/workflows/ci.yml",
        ".GITHUB/workflows/ci.yml",
        "crates/a/build.rs",
        "crates/a/.cargo/config.toml",
        "CLAUDE.md",
        ".gitattributes",
        ".gitmodules",
        "sub/Makefile",
        "sitecustomize.py",
        "own/list.txt",
    ],
)
async def test_protected_files_do_not_change_by_the_way(bench: Bench, path: str) -> None:
    refused = (await bench.guard({path: "x\n"}, protected=["own/**"]))["protected"]
    assert (refused.ok, refused.paths) == (False, [path])
    assert not (await bench.guard({path: "x\n"}, allow=("**",), protected=["own/**"]))["protected"].ok
    named = (await bench.guard({path: "x\n"}, allow=(path,), protected=["own/**"]))["protected"]
    assert (named.ok, named.paths) == (True, [path])


async def test_ordinary_files_are_not_protected(bench: Bench) -> None:
    files = {"src/a.py": "1\n", "tests/test_b.py": "1\n", "docs/canary.md": "1\n", "Cargo.toml": "[features]\n"}
    assert (await bench.guard(files))["protected"].ok


async def test_deleting_a_protected_file_is_a_change_of_it(bench: Bench) -> None:
    bench.base = bench.commit({"conftest.py": "\n"})
    bench.hub.fetch_objects(bench.repo, bench.base)
    assert not (await bench.guard({"conftest.py": None}))["protected"].ok


async def test_only_the_test_tables_of_pyproject_and_setup_cfg_are_protected(bench: Bench) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "a"\n[tool.pytest.ini_options]\naddopts = "-q"\n',
        "setup.cfg": "[metadata]\nname = a\n[tool:pytest]\naddopts = -q\n",
    }
    bench.base = bench.commit(files)
    bench.hub.fetch_objects(bench.repo, bench.base)
    for path, text in files.items():
        assert (await bench.guard({path: text.replace("name", "title")}))["protected"].ok
        assert not (await bench.guard({path: text.replace("-q", "-k nothing")}))["protected"].ok
        assert not (await bench.guard({path: "[broken"}))["protected"].ok
        assert not (await bench.guard({path: None}))["protected"].ok


async def test_links_and_nested_repositories_are_refused(bench: Bench) -> None:
    (bench.repo / "link").symlink_to("../../../etc/passwd")
    link = (await bench.guard({}))["names"]
    assert (link.ok, link.paths) == (False, ["link"])
    row = f"160000 commit {bench.base}\tnested\n"
    made = subprocess.run(["git", "mktree"], cwd=bench.hub.path, input=row.encode(), capture_output=True, check=True)
    gitlink = (await bench.guard_tree(made.stdout.decode().strip()))["names"]
    assert (gitlink.ok, gitlink.paths) == (False, ["nested"])


def tree_with(bench: Bench, *paths: str) -> str:
    """A tree with these files, written as objects: no file system has a say in the names."""
    blob = bench.hub.git.run("hash-object", "-w", "--stdin", stdin=b"x\n").line
    nested: dict[str, object] = {}
    for path in paths:
        at = nested
        *folders, name = path.split("/")
        for folder in folders:
            at = at.setdefault(folder, {})  # pyright: ignore[reportAssignmentType,reportAttributeAccessIssue]
        at[name] = blob  # pyright: ignore[reportIndexIssue]

    def write(folder: dict[str, object]) -> str:
        rows: list[bytes] = []
        for name, content in folder.items():
            kind, sha = ("040000 tree", write(content)) if isinstance(content, dict) else ("100644 blob", str(content))
            rows.append(f"{kind} {sha}\t".encode() + name.encode("utf-8", "surrogateescape") + b"\0")
        return bench.hub.git.run("mktree", "-z", stdin=b"".join(rows)).line

    return write(nested)


@pytest.mark.parametrize(
    "path",
    [
        "a\u202eb.py",
        "a\u200cb.py",
        "a\x07b",
        "a\nb",
        "tag\U000e0041",
        "CON",
        "sub/aux.txt",
        "com1",
        "a:b",
        "a\\b",
        "what?",
        "dot.",
        "space ",
        "git~1",
        "CONFTE~1.PY",
        "GITMOD~1",
        "sub/makefi~2/x",
        ".git\u200c/config",
        "\udcff",
    ],
)
async def test_names_that_hide_something_or_that_windows_cannot_hold_are_refused(bench: Bench, path: str) -> None:
    refused = (await bench.guard_tree(tree_with(bench, path)))["names"]
    assert (refused.ok, refused.paths) == (False, [path])
    assert refused.reason.isprintable()


async def test_ordinary_names_of_all_languages_pass(bench: Bench) -> None:
    tree = tree_with(
        bench,
        "src/ärger.py",
        "docs/日本語.md",
        ".gitignore",
        "a b.txt",
        "console.py",
        "git/x",
        ".github2/y",
        "notes.txt~",
        "HEAD~1.md.bak",
        "a~b",
        "version~1beta",
        "~1",
        "longer-name~1.txt",
    )
    assert (await bench.guard_tree(tree))["names"].ok


@pytest.mark.parametrize(
    "pair",
    [("src/Main.rs", "src/main.rs"), ("Src/a", "src/b"), ("caf\u00e9", "cafe\u0301"), ("straße", "STRASSE")],
)
async def test_names_that_one_file_system_takes_for_one_are_refused(bench: Bench, pair: tuple[str, str]) -> None:
    assert not (await bench.guard_tree(tree_with(bench, *pair)))["names"].ok
    assert (await bench.guard_tree(tree_with(bench, pair[0])))["names"].ok


async def test_an_old_collision_does_not_stop_other_changes(bench: Bench) -> None:
    old = tree_with(bench, "A", "a")
    bench.base = bench.hub.commit(old, [], "old", 0.0)
    assert (await bench.guard_tree(tree_with(bench, "A", "a", "b")))["names"].ok
    assert not (await bench.guard_tree(tree_with(bench, "A", "a", "b", "B")))["names"].ok


async def test_size_counts_bytes_of_what_is_added(bench: Bench) -> None:
    assert (await bench.guard({"big": "x" * 1000}, max_file="1KB"))["size"].ok
    refused = (await bench.guard({"big": "x" * 1001}, max_file="1KB"))["size"]
    assert (refused.ok, refused.paths) == (False, ["big"])
