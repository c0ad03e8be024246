"""What people build with goes on in every sandbox: each program does something real, and the same without walls."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from sandbox_cell import PYTHON, Cell

from engine.models.settings import SandboxSettings
from engine.sandbox.bubblewrap import BubblewrapSandbox
from engine.sandbox.choose import choose_sandbox
from tests.gates.results.watched import found

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these sandboxes are for Linux")


@pytest.fixture(params=["bubblewrap", "landlock"])
def cell(request: pytest.FixtureRequest, tmp_path: Path) -> Cell:
    sandbox = choose_sandbox(SandboxSettings(), tmp_path / "state", among=[request.param])
    if sandbox.name == "none":
        pytest.skip(sandbox.reason)
    home = tmp_path / "home"
    return Cell(tmp_path, sandbox.hiding(home) if isinstance(sandbox, BubblewrapSandbox) else sandbox)


async def works(cell: Cell, line: str, *names: str, says: str) -> None:
    """The line says the same in the cage and outside, with these programs readable."""
    folders, roots = list[str](), list[Path]()
    for name in names:
        program = found(name)
        if program is None:
            pytest.skip(f"there is no {name} that works here")
        folders.append(str(program.path.parent))
        roots += program.roots
    temporary, home = cell.workspace / "tmp", cell.workspace / "home"
    for how in ("free", "caged"):
        for folder in (temporary, home):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        env = {
            "PATH": os.pathsep.join([*folders, "/usr/bin", "/bin"]),
            "TMPDIR": str(temporary),
            "HOME": str(home),
            "GOCACHE": str(home / "go-build"),
            "GOFLAGS": "-buildvcs=false",
            "GOTOOLCHAIN": "local",
        }
        result = await cell.shell(how, line, readable=tuple(roots), env=env)
        said = result.log.read_text(encoding="utf-8", errors="replace")
        assert (how, result.end, result.exit_code) == (how, "exited", 0), said[-2000:]
        assert says in said, said[-2000:]


async def test_git_commits_branches_and_merges(cell: Cell) -> None:
    line = (
        "set -e; export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1; rm -rf r; git init -q -b main r; cd r\n"
        "git config user.name n; git config user.email e@example.invalid; echo a > a; git add a; git commit -qm a\n"
        "git checkout -qb b; mkdir d; echo b > d/b; git add d; git commit -qm b; git checkout -q main\n"
        "git merge -q --no-ff -m merged b; git gc -q; git log --format=%s | head -1; git status --porcelain"
    )
    await works(cell, line, "git", says="merged")


async def test_python_runs_threads_processes_and_files(cell: Cell) -> None:
    code = """
import concurrent.futures as f, os, pwd, sqlite3, subprocess, sys, tempfile
with f.ThreadPoolExecutor() as pool:
    total = sum(pool.map(abs, range(100)))
with tempfile.NamedTemporaryFile() as t:
    os.chmod(t.name, 0o755)
said = subprocess.run([sys.executable, "-S", "-c", "print(6 * 7)"], capture_output=True, text=True).stdout
db = sqlite3.connect("db")
db.execute("create table if not exists t(x)")
db.commit()
print("python", total, said.strip(), os.cpu_count() > 0, pwd.getpwuid(os.getuid()).pw_uid == os.getuid())
"""
    (cell.workspace / "a.py").write_text(code, encoding="utf-8")
    await works(cell, f"{PYTHON} -I -S a.py", says="python 4950 42 True True")


async def test_node_reads_writes_and_starts_others(cell: Cell) -> None:
    code = (
        'const fs = require("fs"), c = require("child_process"); fs.writeFileSync("made", "1"); '
        'require("os").cpus(); require("os").networkInterfaces(); '
        'const w = new (require("worker_threads").Worker)("1", {eval: true}); '
        'w.on("exit", () => console.log("node " + c.execFileSync("/bin/echo", ["from", "outside"])))'
    )
    await works(cell, f"node -e '{code}'", "node", says="node from outside")


async def test_a_c_compiler_compiles(cell: Cell) -> None:
    line = "printf '#include <stdio.h>\\nint main(void) { puts(\"compiled\"); }' > a.c && gcc -o a a.c && ./a"
    await works(cell, line, "gcc", says="compiled")


@pytest.mark.slow
async def test_go_builds_and_tests(cell: Cell) -> None:
    line = (
        "rm -rf g; mkdir g; cd g; printf 'module m\\n\\ngo 1.19\\n' > go.mod\n"
        'printf \'package m\\nimport "testing"\\nfunc TestA(t *testing.T) { println("in go") }\\n\' > a_test.go\n'
        "go test -count=1 -v ./..."
    )
    await works(cell, line, "go", says="in go")


@pytest.mark.slow
async def test_cargo_builds_and_tests(cell: Cell) -> None:
    line = (
        "rm -rf c; mkdir -p c/src; cd c; export CARGO_HOME=$HOME/cargo CARGO_NET_OFFLINE=true\n"
        'printf \'[package]\\nname = "m"\\nversion = "0.1.0"\\nedition = "2021"\\n\' > Cargo.toml\n'
        "printf '#[test]\\nfn a() { assert_eq!(6 * 7, 42); }\\n' > src/lib.rs\n"
        "cargo test --offline --quiet"
    )
    await works(cell, line, "cargo", "rustc", says="1 passed")


@pytest.mark.slow
async def test_a_browser_without_a_sandbox_of_its_own_draws_a_page(cell: Cell) -> None:
    if cell.sandboxes["caged"].name == "landlock":
        pytest.skip("browsers need shared memory and Unix sockets, which this sandbox does not give")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium")
    line = (
        "export TMPDIR=$(mktemp -d /tmp/XXXXXX); trap 'rm -rf $TMPDIR' EXIT\n"  # its socket's address has to be short
        f"{chromium} --headless --no-sandbox --disable-gpu --dump-dom 'data:text/html,<p id=a>drawn</p>' 2>/dev/null"
    )
    await works(cell, line, says='<p id="a">drawn</p>')
