"""What `swarm init` writes: a first `swarm.toml` and `roadmap.toml`, with a comment at every key.

Only what was found out is switched on. A line that starts with `#` and no blank is a key that waits for a person.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError
from engine.loading import ROADMAP_FILE, SETTINGS_FILE, parse_settings
from swarm_tui.finding_agents import FoundAgent, find_agents
from swarm_tui.finding_gates import FoundGate, find_gates

_LANGUAGES = (
    ("Python", ("pyproject.toml", "setup.py", "requirements*.txt", "*.py", "tests/*.py")),
    ("Rust", ("Cargo.toml",)),
    ("JavaScript or TypeScript", ("package.json",)),
    ("Go", ("go.mod",)),
    ("Java or Kotlin", ("pom.xml", "build.gradle", "build.gradle.kts")),
    ("C or C++", ("CMakeLists.txt", "meson.build")),
)
"""What tells a language, as globs at the top of a repository."""
_COUNTED = "who counts the tests, one by one; a test that is missing later is red"
_WHO_COUNTS = {
    "none": "nothing is counted: exit code 0 is green",
    "cargo-messages": "who reads the output: errors are red, warnings stand in the log",
}
"""What is said about a gate's results."""


def initial_files(
    repo_root: Path,
    *,
    main: str | None = None,
    path: str | None = None,
    agents: Sequence[FoundAgent] | None = None,
) -> dict[str, str]:
    """The texts of the two files by name. Reads the repository, writes nothing.

    main: the branch that the swarm lands on; None: `main` or `master` if there is one, else the current branch.
    path: where to look for programs; None: the PATH of this process. agents: those that were found already.
    """
    python = _python(path)
    branch = main or _main_branch(repo_root)
    installed = find_agents(path) if agents is None else agents
    settings = [_head(branch), _gates(find_gates(repo_root, python, path)), _agents(installed, python), _rest()]
    return {SETTINGS_FILE: "\n".join(settings), ROADMAP_FILE: _roadmap()}


@dataclass(frozen=True)
class FirstSteps:
    """What was found out about a repository that is to be set up, and what would be written at its top.

    texts: both files by name. kept: those that are there already. gates: how each found one is run. agents: known
    ones that are installed.
    """

    root: Path
    texts: dict[str, str]
    kept: tuple[str, ...]
    languages: tuple[str, ...]
    gates: tuple[str, ...]
    agents: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """The files that would be written."""
        return tuple(name for name in self.texts if name not in self.kept)

    def write(self) -> list[str]:
        """Write what is missing, and say so line by line. Raises UserError: a folder that cannot be written, or a file
        that is there by now. A file that is there is never changed."""
        said = [f"kept {name}, which was there already" for name in self.kept]
        for name in self.missing:
            try:
                with (self.root / name).open("x", encoding="utf-8", newline="\n") as file:
                    file.write(self.texts[name])
            except OSError as error:
                raise UserError(
                    f"{self.root / name} cannot be written ({error.strerror}); mend that and run it again"
                ) from error
            said.append(f"wrote {name}: {_contents(name, self.texts[name])}")
        return said


def look_around(folder: Path) -> FirstSteps:
    """Looks at the repository around `folder`; writes nothing. Raises UserError when there is none."""
    start = folder.resolve()
    root = next((each for each in (start, *start.parents) if (each / ".git").exists()), None)
    if root is None:
        raise UserError(f"{folder} is not in a git repository; run `git init` there, or name one with --repo")
    agents = find_agents()
    texts = initial_files(root, agents=agents)
    gates = tuple(f"{gate.name}: {' '.join(gate.run)}" for gate in find_gates(root, _python()))
    languages = tuple(name for name, signs in _LANGUAGES if any(_any_file(root, sign) for sign in signs))
    kept = tuple(name for name in texts if (root / name).exists())
    return FirstSteps(root, texts, kept, languages, gates, tuple(agent.name for agent in agents))


def write_initial_files(folder: Path) -> list[str]:
    """Writes those of the two files that are not there, at the top of the repository around `folder`.

    Gives lines for the person: what was done, what comes next. Raises UserError: no repository, nothing to write, or
    a folder that cannot be written. A file that is there is never changed.
    """
    steps = look_around(folder)
    if not steps.missing:
        raise UserError(
            f"{' and '.join(steps.kept)} are there already; edit them, or move them away and run `swarm init` again"
        )
    return [
        *steps.write(),
        "now: `swarm gates` runs the gates on HEAD, as a local CI",
        "next: switch on an agent in swarm.toml, offer a work order in roadmap.toml, commit both, run `swarm check`",
    ]


def _python(path: str | None = None) -> str:
    return "python" if shutil.which("python", path=path) else "python3"


def _any_file(root: Path, pattern: str) -> bool:
    return next(root.glob(pattern), None) is not None


def _contents(name: str, text: str) -> str:
    if name == ROADMAP_FILE:
        return "one work order as an example, still a draft"
    gates = [gate.name for gate in parse_settings(text).gate]
    return (
        f"found {len(gates)} gate{'s' * (len(gates) != 1)} ({', '.join(gates)})"
        if gates
        else "found no gate, so nothing is proved yet"
    )


def _main_branch(root: Path) -> str:
    git = root / ".git"
    if pointer := _text_of(git).removeprefix("gitdir:").strip():
        git = root / pointer
    shared = git / _text_of(git / "commondir").strip()
    packed = _text_of(shared / "packed-refs")
    for name in ("main", "master"):
        if (shared / "refs" / "heads" / name).is_file() or f" refs/heads/{name}\n" in packed:
            return name
    head = _text_of(git / "HEAD").strip()
    return head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else "main"


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    assert tomllib.loads(f"key = {quoted}")["key"] == text
    return quoted


def _listed(words: Sequence[str]) -> str:
    return f"[{', '.join(_quoted(word) for word in words)}]"


def _head(branch: str) -> str:
    return f"""\
# The settings of the swarm for this repository. Written once by `swarm init`; from here on it is yours.
# Everything has a default. To use a line that starts with # and no blank, take the # away.
# `swarm check` says what is wrong or missing. Gates, guards and canary count only once they are committed on main.

[project]
main = {_quoted(branch)}  # the branch that changes land on
publish = "local"  # where main goes after each landing: none, local (this repository), remote, both
#remote = "origin"  # the remote's name, for publish = "remote" or "both"

[merge]
auto = true  # false: every change waits for a person
#ask_if = {{ paths = ["Cargo.toml"], kinds = ["contract"], risk = ["high"] }}  # only these wait for a person

[limits]
implementers = 2  # how many agents work at once
gate_slots = 1  # how many sets of gates run at once
attempts = 3  # how often one work order may be tried before it waits for a person
#cost_per_night = 40.0  # the swarm stops taking work at this cost, as far as agents tell what they cost
#tokens_per_work_order = 3000000  # the same for the tokens of one work order
#run_wall = "2h"  # an agent that takes longer is stopped; its work is kept
#run_idle = "10m"  # an agent that says nothing for so long is stopped; its work is kept
#free_disk = "10GB"  # nothing starts with less free space
# What one agent's run or one gate may use, with all that it starts; more, and it is stopped. 0: no limit.
#memory = "16GB"  # resident memory
#processes = 2048  # processes and threads
#disk = "20GB"  # what it writes
#files = 500000  # how many files it makes
#file_size = "4GB"  # the largest file
"""


def _gates(found: Sequence[FoundGate]) -> str:
    if not found:
        return """\
# GATES: what must be green before a change lands. No way to test this repository was found.
# Without any gate nothing is proved: changes land unseen. Write at least one that can fail.
#[[gate]]
#name = "tests"  # its name in reports and in a work order's gates
#kind = "unit"  # build, unit, integration, stress, format, lint, security, perf or custom
#run = ["python", "-m", "pytest", "-q"]  # a program and its arguments; never a shell line
#results = "pytest"  # who counts the tests; none: the exit code alone
#timeout = "10m"  # longer is red
"""
    blocks = ["# GATES: what must be green before a change lands. Programs are looked up on the PATH of `swarm`.\n"]
    for gate in found:
        needs = f"needs = {_listed(gate.needs)}  # runs after these, and only if they are green\n" if gate.needs else ""
        blocks.append(f"""\
[[gate]]
name = {_quoted(gate.name)}  # its name in reports and in a work order's gates
kind = {_quoted(gate.kind)}  # build, unit, integration, stress, format, lint, security, perf or custom
run = {_listed(gate.run)}  # {gate.note}
results = {_quoted(gate.results)}  # {_WHO_COUNTS.get(gate.results, _COUNTED)}
{needs}timeout = {_quoted(gate.timeout)}  # longer is red
""")
    return "\n".join(blocks)


def _agents(installed: Sequence[FoundAgent], python: str) -> str:
    first = installed[0].name if installed else "mine"
    what = "These were found on this machine" if installed else "No known coding agent was found; this is an example"
    blocks = [
        f"""\
# AGENTS: who does the work. {what}.
# None is switched on, because an agent may cost money: take the # away from one and from its role.
# `swarm check` then shakes hands with it and says what it can.
#[roles]
#implementer = {_quoted(first)}  # the agent that does the work orders
# Each role that is named here is called by itself, and its runs cost as well. One without an agent is left out.
#coordinator = {_quoted(first)}  # plans items of the roadmap that have no work orders yet
#architect = {_quoted(first)}  # settles interfaces before that, as a contract
#verifier = {_quoted(first)}  # writes the tests of a work order beside its implementer
#builder = {_quoted(first)}  # makes slow gates faster
#triager = {_quoted(first)}  # sorts failures that come again
#scribe = {_quoted(first)}  # keeps decisions and docs up to date

#[coordinator]
#accept = false  # true: work orders that agents propose are taken on without you, unless they loosen something

#[verifier]
#oracle = ["reference", "--print"]  # a command whose behaviour is right: tests are derived from what it prints

# BUDGETS, beside those of [limits]: tokens, cost, turns, wall (time) and runs. What is used up starts nothing more.
#[budgets.night]
#tokens = 50000000  # of all runs since the engine started

#[budgets.role.verifier]
#cost = 10.0  # of one role in a night
"""
    ]
    blocks += [_agent(agent) for agent in installed]
    if not installed:
        blocks.append(f"""\
#[agents.mine]
#kind = "command"  # any program that edits files and exits with 0
#run = [{_quoted(python)}, "tools/agent.py", "{{prompt_file}}"]  # also {{workspace}} and {{task_file}}
#network = []  # hosts that it may reach: "api.example.com", "*.example.com", "localhost:11434"
#home = []  # what it may see of your home folder, for instance its login
""")
    return "\n".join(blocks)


_KINDS = {
    "acp": "it speaks the Agent Client Protocol",
    "command": "any program that edits files and exits with 0",
    "model": "a model server, with our own tools around it",
}


def _agent(agent: FoundAgent) -> str:
    """The table of one found agent, a comment at each key."""
    rows = [f"#[agents.{agent.name}]", f'#kind = "{agent.kind}"  # {_KINDS[agent.kind]}']
    if agent.run:
        rows.append(f"#run = {_listed(agent.run)}  # {agent.note or 'look at its permission flags first'}")
    if agent.base_url:
        rows.append(f"#base_url = {_quoted(agent.base_url)}  # it answered there")
        rows.append(f"#model = {_quoted(agent.model)}  # {agent.note}")
    rows.append(f"#network = {_listed(agent.network)}  # hosts that it may reach; all others are refused")
    if agent.home:
        rows.append(f"#home = {_listed(agent.home)}  # its login: what it may read of your home folder")
    if agent.env:
        rows.append(
            f"#env = {_table(agent.env)}  # beside the ordinary; $NAME is taken from yours and hidden elsewhere"
        )
    return "\n".join(rows) + "\n"


def _table(values: Mapping[str, str]) -> str:
    return f"{{ {', '.join(f'{name} = {_quoted(value)}' for name, value in values.items())} }}"


def _rest() -> str:
    return """\
#[guards]
#protected = ["Cargo.toml"]  # files that no agent may change, beside the built-in list
#max_file = "1MB"  # larger files do not land
#secrets = true  # false: keys and passwords are not looked for
#binaries = true  # false: binary files may be added too
#dependencies = { allow = ["serde", "rich@14.1.0"] }  # packages that a change may bring in
#boundaries = [{ from = "core/**", may_not = "ui/**" }]  # files that may not depend on others
#generated = [{ paths = ["api.json"], sources = ["schema/**"] }]  # files that change only together with their sources

# CANARY: programs that are started on main after each landing; a red one takes main back to the last good tree.
#[[canary.flow]]
#name = "smoke"  # its name in events and bug work orders
#start = { run = ["python", "-m", "app"], ready = { log = "ready" }, within = "10s" }  # the program; when it is ready
#steps = [{ send = { stdin = "hello\\n" } }, { wait = { until = { log = "hello" }, within = "2s" } }]  # what it must do

[approvals]
unattended = "park"  # a dangerous operation with nobody there: park (a person answers later) or deny
expire = "12h"  # an unanswered question is closed after this

[sandbox]
without = "run"  # on a machine without any sandbox: run (said in every report), ask or refuse
#require = ["fs_write", "pid_tree"]  # guarantees without which nothing runs; `swarm check` shows what this machine has
"""


def _roadmap() -> str:
    return """\
# The roadmap: items and their work orders. Edit it at any time; the swarm takes a valid edit within a second.
schema = "roadmap/1"  # the format of this file

[[item]]
id = "first"  # lower-case letters, digits, dots, dashes
title = "The first thing the swarm does here"  # for people
goal = "One small change that lands with a report."  # what is true when the item is done

[[work_order]]
id = "first-change"  # a branch is named after it
item = "first"  # the item it belongs to
title = "Describe the change in one line"  # the first line of the commit
kind = "feature"  # feature, fix, refactor, docs, contract or spike
goal = "Say what is true when it is done; the agent reads this."  # the agent's task
depends_on = []  # ids of work orders that must have landed before
allow = []  # files that it may touch, as globs such as "src/**"; empty: everything that is not protected
deny = []  # files that it must not touch
gates = []  # names of gates from swarm.toml; empty: all
#tests = ["tests/test_new.py::test_it_works"]  # red before, green after: without them the report says unproven-goal
#acceptance = [{ name = "it-works", run = ["python", "tools/check.py"], timeout = "1m" }]  # the same, as a command
#touches = ["src/**"]  # work orders whose touches overlap never run at once
priority = 5  # 1 comes first
#owner = "somebody"  # a person, if it is not for the swarm
draft = true  # only noted down: delete this line to offer it to the swarm
"""
