"""Boundaries: a new dependency across one is refused, in every language, and old ones do not stop a change."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gates.guards.boundaries import BoundariesGuard
from gates.guards.edges.forest import Forest
from gates.guards.edges.python import python_edges
from gates.guards.edges.rust import packages
from tests.gates.guards.changes import Files, judge
from tests.gates.results.watched import found

HOME = Path.home()  # of the person: the tests themselves run with an empty one
CARGO = found("cargo")
RUST = {"RUSTUP_HOME": str(HOME / ".rustup"), "CARGO_HOME": str(HOME / ".cargo")}


def crossing(files: Files, base: Any = None, frm: str = "layout/**", may_not: str = "app/**", **fields: Any):
    return judge(BoundariesGuard(), files, base, boundaries=[{"from": frm, "may_not": may_not}], **fields)


def forest(files: dict[str, str]) -> Forest:
    def read(path: str) -> bytes | None:
        return files[path].encode() if path in files else None

    return Forest(list(files), read, lambda paths: None)


def manifest(name: str, *lines: str) -> str:
    body = "\n".join(lines)
    return f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{body}\n'


PACKAGES = {"layout/__init__.py": "", "layout/a.py": "", "app/__init__.py": "", "app/b.py": "", "shared.py": ""}


@pytest.mark.parametrize(
    "line",
    [
        "import app",
        "import app.b",
        "import app.b as x",
        "import shared, app.b",
        "from app import b",
        "from app.b import anything",
        "from app import *",
        "from app.b import *",
        "from .. import app",
        "from ..app import b",
        "def f():\n    import app",
        "if False:\n    from app import b",
        "try:\n    import app.b\nexcept ImportError: pass",
        "import importlib\nimportlib.import_module('app.b')",
        "from importlib import import_module\nimport_module('app')",
        "__import__('app.b')",
        "import importlib\nimportlib.import_module('..app.b', __package__)",
        "import runpy\nrunpy.run_path('app/b.py')",
        "import runpy\nrunpy.run_module('app.b')",
        "# coding: latin-1\nimport app",
        "import \\\n  app",
        "import \uff41pp",
    ],
)
def test_python_may_not_import_across(line: str) -> None:
    refused = crossing({"layout/a.py": line + "\n"}, PACKAGES)
    assert (refused.ok, refused.paths) == (False, ["layout/a.py"])
    assert "layout/** may not depend on app/**" in refused.reason


@pytest.mark.parametrize(
    "line",
    [
        "import shared",
        "from . import a",
        "import application",
        "# import app",
        "'import app'",
        "from .app import b",
        "x = app",
    ],
)
def test_python_that_only_looks_like_it_passes(line: str) -> None:
    assert crossing({"layout/a.py": line + "\n"}, PACKAGES).ok


def test_the_other_direction_and_other_files_are_free() -> None:
    assert crossing({"app/b.py": "import layout.a\n"}, PACKAGES).ok
    assert crossing({"shared.py": "import app\n"}, PACKAGES).ok


def test_python_below_a_source_folder_and_without_packages() -> None:
    base = {"src/layout/a.py": "", "src/app/b.py": ""}
    for line in ("import app.b", "from app import b", "import app"):
        assert not crossing({"src/layout/a.py": line}, base, "src/layout/**", "src/app/**").ok
    assert crossing({"src/layout/a.py": "import other"}, base, "src/layout/**", "src/app/**").ok


def test_a_decoy_does_not_hide_what_an_import_may_mean() -> None:
    files = {"layout/a.py": "import app.b", "src/app/__init__.py": "", "src/app/b.py": ""}
    assert not crossing(files, PACKAGES).ok


def test_names_of_modules_may_be_kept_out() -> None:
    for may_not in ("requests", "requests/**"):
        assert not crossing({"layout/a.py": "import requests.sessions"}, PACKAGES, may_not=may_not).ok
    assert crossing({"layout/a.py": "import requests_cache"}, PACKAGES, may_not="requests").ok
    decoy = {"layout/a.py": "import requests", "requests": "now a file has that name\n"}
    assert not crossing(decoy, PACKAGES, may_not="requests").ok


def test_what_was_there_before_does_not_stop_a_change_and_is_told() -> None:
    base = {**PACKAGES, "layout/a.py": "import app.b\n"}
    old = crossing({"layout/a.py": "import app.b\nx = 1\n"}, base)
    assert old.ok
    assert "were there before" in old.reason
    new = crossing({"layout/a.py": "import app.b\nimport app\n"}, base)
    assert not new.ok
    assert "1 more were there before" in new.reason


def test_a_file_that_appears_on_the_other_side_is_found_in_untouched_files() -> None:
    base = {"layout/a.py": "import app.late\n", "layout/b.py": "import early\n"}
    assert crossing({"application/late.py": ""}, base).ok
    refused = crossing({"app/late.py": ""}, base)
    assert (refused.ok, refused.paths) == (False, ["layout/a.py"])
    assert crossing({"app/other.py": ""}, {"layout/b.py": "import early\n"}).ok


def test_python_that_cannot_be_read_is_refused() -> None:
    broken = crossing({"layout/a.py": "def (:\n"}, PACKAGES)
    assert not broken.ok
    assert "cannot be judged" in broken.reason
    assert crossing({"layout/a.txt": "def (:\n"}, PACKAGES).ok
    assert not crossing({"layout/a.py": "(" * 100_000}, PACKAGES).ok
    assert not crossing({"layout/a.py": "-" * 100_000 + "1"}, PACKAGES).ok


def test_python_edges_are_those_of_grimp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grimp = pytest.importorskip("grimp")
    files = {
        "grimp_top/__init__.py": "",
        "grimp_top/one.py": "import grimp_top.two\nfrom . import three\nfrom .deep import leaf\nimport os, json\n",
        "grimp_top/two.py": "from grimp_top.deep.leaf import value\nfrom .deep import leaf as other\n",
        "grimp_top/three.py": "def f():\n    from grimp_top import one\n    import grimp_top.deep\n",
        "grimp_top/deep/__init__.py": "from ..two import something\n",
        "grimp_top/deep/leaf.py": "from .. import three\nfrom ..three import f\nfrom grimp_top import no\nvalue = 1\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    graph = grimp.build_graph("grimp_top", cache_dir=None)
    theirs = {(module, other) for module in graph.modules for other in graph.find_modules_directly_imported_by(module)}

    def module(path: str) -> str:
        return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    tree = forest(files)
    ours = {
        (module(edge.path), module(edge.target))
        for path in files
        for edge in python_edges(tree, path)
        if edge.target in files
    }
    assert ours == theirs
    assert len(ours) >= 9


WORKSPACE = {
    "Cargo.toml": '[workspace]\nmembers = ["crates/*"]\nresolver = "2"\n\n[workspace.dependencies]\n'
    'shared = { path = "crates/shared" }\nrenamed = { path = "crates/app", package = "app" }\n',
    "crates/app/Cargo.toml": manifest("app", "[dependencies]", "layout = { path = '../layout' }"),
    "crates/app/src/lib.rs": "",
    "crates/layout/Cargo.toml": manifest("layout", "[dependencies]", "shared.workspace = true"),
    "crates/layout/src/lib.rs": "",
    "crates/shared/Cargo.toml": manifest(
        "shared", "[dev-dependencies]", "tools = { path = '../tools', version = '*' }"
    ),
    "crates/shared/src/lib.rs": "",
    "crates/tools/Cargo.toml": manifest("tools"),
    "crates/tools/src/lib.rs": "",
}


@pytest.mark.parametrize(
    "lines",
    [
        ("[dependencies]", 'app = { path = "../app" }'),
        ("[dev-dependencies]", 'app = { path = "../app" }'),
        ("[build-dependencies.app]", 'path = "../../crates/app"'),
        ("[target.'cfg(windows)'.dependencies]", 'x = { path = "../app", package = "app" }'),
        ("[dependencies]", "renamed.workspace = true"),
        ("[dependencies]", "renamed = { workspace = true, features = [] }"),
    ],
)
def test_rust_packages_may_not_depend_across(lines: tuple[str, ...]) -> None:
    base = {**WORKSPACE, "crates/app/Cargo.toml": manifest("app")}
    change = {"crates/layout/Cargo.toml": manifest("layout", *lines)}
    refused = crossing(change, base, "crates/layout/**", "crates/app/**")
    assert (refused.ok, refused.paths) == (False, ["crates/layout/Cargo.toml"])
    assert "layout -> app" in refused.reason
    assert crossing(change, base, "crates/tools/**", "crates/app/**").ok
    assert crossing({"crates/layout/Cargo.toml": manifest("layout")}, base, "crates/layout/**", "crates/app/**").ok


def test_rust_packages_may_not_go_round_by_another_package() -> None:
    base = {**WORKSPACE, "crates/app/Cargo.toml": manifest("app")}
    change = {"crates/shared/Cargo.toml": manifest("shared", "[dependencies]", 'app = { path = "../app" }')}
    refused = crossing(change, base, "crates/layout/**", "crates/app/**")
    assert not refused.ok
    assert "layout -> shared -> app" in refused.reason


def test_rust_manifests_that_cannot_be_read_are_refused() -> None:
    broken = {"crates/layout/Cargo.toml": "[package\n"}
    assert not crossing(broken, WORKSPACE, "crates/layout/**", "crates/app/**").ok


@pytest.mark.skipif(CARGO is None, reason="no cargo that runs: the edges cannot be compared with its own")
def test_rust_edges_are_those_of_cargo(tmp_path: Path) -> None:
    files = {
        **WORKSPACE,
        "crates/tools/Cargo.toml": manifest(
            "tools", "[target.'cfg(unix)'.build-dependencies]", "geo = { path = '../geo' }"
        ),
        "crates/geo/Cargo.toml": manifest("geo"),
        "crates/geo/src/lib.rs": "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    assert CARGO is not None
    argv = [str(CARGO.path), "metadata", "--no-deps", "--offline", "--format-version=1"]
    done = subprocess.run(argv, cwd=tmp_path, env={**RUST, **os.environ}, capture_output=True, check=True, timeout=60)
    told = json.loads(done.stdout)["packages"]
    theirs = {
        (package["name"], Path(dependency["path"]).name)
        for package in told
        for dependency in package["dependencies"]
        if dependency.get("path")
    }
    ours = {
        (package.name, Path(target).parent.name)
        for package in packages(forest(files)).values()
        for target in package.local
    }
    assert ours == theirs
    assert len(ours) == 4


@pytest.mark.parametrize(
    "line",
    [
        "use crate::app::View;",
        "use crate::{other, app::{View, Window}};",
        "fn f() { crate::app::run() }",
        "use super::app;",
        "use super::super::crate_root::x; use crate::app;",
        '#[path = "../app/view.rs"] mod view;',
        'include!("../app/view.rs");',
        "use crate :: app :: View;",
        "use crate::r#app::View;",
    ],
)
def test_rust_modules_may_not_reach_across(line: str) -> None:
    base = {"src/lib.rs": "", "src/layout/mod.rs": "", "src/app/mod.rs": "", "src/app/view.rs": "", "src/other.rs": ""}
    assert not crossing({"src/layout/mod.rs": line}, base, "src/layout/**", "src/app/**").ok
    assert crossing({"src/layout/mod.rs": "// " + line}, base, "src/layout/**", "src/zip/**").ok
    assert crossing({"src/other.rs": line}, base, "src/layout/**", "src/app/**").ok


@pytest.mark.parametrize("line", ["// use crate::app;", "use crate::other;", "use application::x;", "use self::app;"])
def test_rust_that_only_looks_like_it_passes(line: str) -> None:
    base = {"src/lib.rs": "", "src/layout/mod.rs": "", "src/app/mod.rs": "", "src/other.rs": ""}
    assert crossing({"src/layout/mod.rs": line}, base, "src/layout/**", "src/app/**").ok


@pytest.mark.parametrize(
    ("path", "text", "other"),
    [
        ("layout/a.ts", "import { b } from '../app/b'", "app/b.ts"),
        ("layout/a.ts", 'export * from "../app"', "app/index.ts"),
        ("layout/a.js", "const b = require('../app/b.js')", "app/b.js"),
        ("layout/a.ts", "import type {\n  B,\n} from '../app/b.js'", "app/b.ts"),
        ("layout/a.mjs", "await import('../app/b.mjs')", "app/b.mjs"),
        ("layout/a.tsx", "import '../app/style.css'", "app/style.css"),
        ("layout/a.ts", "import x from '@/app/b'", "app/b.tsx"),
        ("layout/a.c", '#include "../app/b.h"', "app/b.h"),
        ("layout/a.cpp", "#  include <app/b.h>", "app/b.h"),
        ("layout/a.cc", '#include "b.h"', "app/b.h"),
    ],
)
def test_other_languages_by_their_patterns(path: str, text: str, other: str) -> None:
    base = {path: "", other: ""}
    assert not crossing({path: text}, base).ok
    assert crossing({path: text.replace("app", "libs").replace("b.h", "c.h")}, base).ok


def test_packages_of_a_node_workspace_and_of_go() -> None:
    base = {"app/package.json": '{"name": "@own/app"}', "app/index.ts": "", "layout/a.ts": ""}
    assert not crossing({"layout/a.ts": "import x from '@own/app'"}, base).ok
    assert crossing({"layout/a.ts": "import x from '@own/other'"}, base).ok
    base = {"go.mod": "module example.org/m\n", "app/b.go": "package app", "layout/a.go": ""}
    for text in ('import "example.org/m/app"', 'import (\n\t"fmt"\n\tx "example.org/m/app"\n)'):
        assert not crossing({"layout/a.go": f"package layout\n{text}\n"}, base).ok
    assert crossing({"layout/a.go": 'package layout\nimport "example.org/m/layout"\n'}, base).ok
    assert not crossing({"layout/a.go": 'package layout\nimport "net/http"\n'}, base, may_not="net/**").ok


def test_without_rules_nothing_is_asked() -> None:
    assert judge(BoundariesGuard(), {"a.py": "def (:"}).ok
