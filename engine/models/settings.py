"""The settings (`swarm.toml`), field by field. Everything has a default."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from engine.models.base import Strict
from engine.models.flow import Flow
from engine.models.units import Duration, Size

RoleName = Literal["coordinator", "architect", "implementer", "verifier", "builder", "triager", "scribe"]
GateKind = Literal["build", "unit", "integration", "stress", "format", "lint", "security", "perf", "custom"]


RESULTS_PATTERN = r"^(none|pytest|unittest|cargo-test|nextest|go-test|tap|cargo-messages|sarif|junit:.+|sarif:.+)$"


class Project(Strict):
    main: str = "main"
    publish: Literal["none", "local", "remote", "both"] = "local"
    remote: str = "origin"
    forge: Literal["", "github", "gitlab", "gitea"] = ""
    """What the remote's host runs (Forgejo: gitea). Empty: what its name says, for github.com, gitlab.com and
    codeberg.org."""
    forge_url: str = ""
    """Where its API is, if it is not where the forge usually has it."""


class AskIf(Strict):
    """Changes that wait for a person: that touch these paths, are of these kinds, name these risks, or change more
    files or lines than that (0: no limit)."""

    paths: list[str] = []
    kinds: list[str] = []
    risk: list[str] = []
    files: int = Field(default=0, ge=0)
    lines: int = Field(default=0, ge=0)


class Merge(Strict):
    auto: bool = True
    ask_if: AskIf = AskIf()
    land_via: Literal["push", "pull_request"] = "push"
    max_files: int = Field(default=0, ge=0)
    """A change of more files, or (next one) lines, is sent back to its agent. 0: no limit."""
    max_lines: int = Field(default=0, ge=0)


class Limits(Strict):
    implementers: int = Field(default=4, ge=1, le=64)
    gate_slots: int = Field(default=2, ge=1, le=32)
    attempts: int = Field(default=3, ge=1, le=20)
    cost_per_night: float = Field(default=40.0, ge=0, allow_inf_nan=False)
    tokens_per_work_order: int = Field(default=3_000_000, ge=0)
    run_wall: Duration = 7200.0
    run_idle: Duration = 600.0
    free_disk: Size = 10_000_000_000
    memory: Size = 16_000_000_000
    """Resident, of one run, gate or canary with all that it starts. Of this and the next four 0 is no limit."""
    processes: int = Field(default=2048, ge=0)
    """With their threads, where the machine counts those."""
    disk: Size = 20_000_000_000
    """Written into its folders."""
    files: int = Field(default=500_000, ge=0)
    file_size: Size = 4_000_000_000
    run_stuck: Duration = 1800.0
    """So long without a new word, a new tool call or a changed file, and a run is stuck. 0: it may."""
    repeats: int = Field(default=12, ge=0)
    """So often the same tool call in a row without a changed file, and a run is stuck. 0: it may."""
    free_memory: Size = 500_000_000
    """Of the machine: what starting runs leave free. `agent_memory`: what one run is taken to need; 0: what its kind of
    agent usually takes."""
    agent_memory: Size = 0


class Budget(Strict):
    """What may be used of each. 0: no limit. turns: calls of a model, where the agent tells them; wall: time that runs
    take, all together; runs: how often an agent is started."""

    tokens: int = Field(default=0, ge=0)
    cost: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    turns: int = Field(default=0, ge=0)
    wall: Duration = 0.0
    runs: int = Field(default=0, ge=0)


class Budgets(Strict):
    """Beside `limits.cost_per_night` and `limits.tokens_per_work_order`. role: of one role in a night. run: what one
    run may use, which agents of kind "model" keep to by themselves."""

    night: Budget = Budget()
    work_order: Budget = Budget()
    run: Budget = Budget()
    role: dict[RoleName, Budget] = {}


class ProviderSettings(Strict):
    """concurrency: runs at once, 0: as many as there are. resume: when its limit is over, by its reset time alone, or
    when a person says so (`swarm resume`)."""

    concurrency: int = Field(default=0, ge=0, le=64)
    resume: Literal["reset", "person"] = "reset"


QUOTAS = ("memory", "processes", "disk", "files", "file_size")
"""The limits of one run or gate."""


StreamName = Literal["", "plain", "claude", "codex", "gemini", "opencode", "copilot", "pi", "aider", "mini-swe-agent"]


class AgentSettings(Strict):
    """One agent. Which fields count depends on `kind`."""

    kind: Literal["script", "command", "acp", "model"]
    run: list[str] = []
    scripts: str = ""
    """kind script: the folder with one `<work order>.toml` each, relative to the repository."""
    network: list[str] = []
    """Hosts that it may reach through the engine's proxy: `host`, `host:port`, `*.domain`, an address, or
    `localhost:port`."""
    home: list[str] = []
    home_rw: list[str] = []
    env: dict[str, str] = {}
    stream: StreamName = ""
    """kind command: the format of what it prints; "": guessed from the program's name."""
    base_url: str = ""
    model: str = ""
    provider: str = ""
    """Whose limits it lives under, as a name; "": told from its hosts or its program."""
    instead: str = ""
    """The agent that stands in for it while its provider is paused."""

    @model_validator(mode="after")
    def _complete(self) -> AgentSettings:
        if self.kind in ("command", "acp") and not self.run:
            raise ValueError(f'an agent of kind "{self.kind}" needs run = ["program", ...]')
        if self.kind == "script" and not self.scripts:
            raise ValueError('an agent of kind "script" needs scripts = "folder"')
        if self.kind == "model" and not self.model:
            raise ValueError('an agent of kind "model" needs model = "name"')
        return self


class Gate(Strict):
    """One check on one tree. `run` is an argv, never a shell string. `timeout` in seconds after parsing."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    kind: GateKind = "custom"
    run: list[str] = []
    flow: str = ""
    results: str = Field(default="none", pattern=RESULTS_PATTERN)
    needs: list[str] = []
    timeout: Duration = 600.0
    slots: int = Field(default=1, ge=1)
    inputs: list[str] = []
    when: list[Literal["land", "canary"]] = ["land"]
    env: dict[str, str] = {}
    shell: bool = False

    @model_validator(mode="after")
    def _one(self) -> Gate:
        if bool(self.run) == bool(self.flow):
            raise ValueError('a gate has either run = [...] or flow = "..."')
        return self


class Dependencies(Strict):
    """`allow`: packages that a change may bring in, as `name`, `name@version` or `name@source`."""

    allow: list[str] = []


class Boundary(Strict):
    """Files that match the glob `from` may not depend on files (or, where they match none, modules) of `may_not`."""

    from_: str = Field(alias="from")
    may_not: str


class Generated(Strict):
    """Files that are made from others: they change only together with one of their sources."""

    paths: list[str]
    sources: list[str]


class Coverage(Strict):
    """Of the lines that a change adds, at least `min` percent are run by `gate`, which leaves `report` in the tree's
    folder (Cobertura XML or lcov)."""

    gate: str
    report: str
    min: float = Field(default=80.0, ge=0, le=100)


class Guards(Strict):
    protected: list[str] = []
    dependencies: Dependencies = Dependencies()
    boundaries: list[Boundary] = []
    generated: list[Generated] = []
    coverage: Coverage | None = None
    secrets: bool = True
    binaries: bool = True
    """Binary files other than pictures and fonts are refused. False: they may be added too."""
    max_file: Size = 1_000_000


class Canary(Strict):
    flow: list[Flow] = []


class Flakes(Strict):
    """When a test that flakes on main is put in quarantine: it flaked at least `seen` times there, in at least the
    share `rate` of its runs. For `expire` its failures do not make a gate red, and a work order asks to mend it.

    owner: the person who mends it; "" leaves it to the swarm.
    """

    quarantine: bool = True
    rate: float = Field(default=0.1, gt=0, le=1)
    seen: int = Field(default=3, ge=1, le=100)
    expire: Duration = 1_209_600.0
    owner: str = ""


class Approvals(Strict):
    """`unattended`: what becomes of a question when nobody is there. `expire`: unanswered for so long, it is closed."""

    unattended: Literal["park", "deny"] = "park"
    expire: Duration = 43200.0


class Coordinator(Strict):
    """`accept`: work orders that agents propose are taken on without a person, but for those that loosen something."""

    accept: bool = False


class Verifier(Strict):
    """`oracle`: an argv that shows how a reference implementation behaves. The verifier may run it, and derives tests
    from what it prints, never from its code."""

    oracle: list[str] = []


class SandboxSettings(Strict):
    """`require`: guarantees without which nothing runs. `without`: what is done on a machine without any sandbox."""

    require: list[Literal["fs_write", "fs_read", "git_meta", "net", "pid_tree", "limits", "unix_sock"]] = []
    without: Literal["run", "ask", "refuse"] = "run"


class Settings(Strict):
    """All of `swarm.toml`."""

    project: Project = Project()
    merge: Merge = Merge()
    limits: Limits = Limits()
    roles: dict[RoleName, str] = {}
    coordinator: Coordinator = Coordinator()
    verifier: Verifier = Verifier()
    agents: dict[str, AgentSettings] = {}
    budgets: Budgets = Budgets()
    providers: dict[str, ProviderSettings] = {}
    gate: list[Gate] = []
    guards: Guards = Guards()
    canary: Canary = Canary()
    flakes: Flakes = Flakes()
    approvals: Approvals = Approvals()
    sandbox: SandboxSettings = SandboxSettings()

    @property
    def judges(self) -> bool:
        """Whether what landed is judged: by canary flows, or by gates that run after landing."""
        return bool(self.canary.flow) or any("canary" in gate.when for gate in self.gate)

    def with_definitions_of(self, committed: Settings) -> Settings:
        """These settings with gates, guards and canary as committed on main: the parts that prove something."""
        return self.model_copy(
            update={
                "gate": committed.gate,
                "guards": committed.guards,
                "canary": committed.canary,
                "flakes": committed.flakes,
                "project": committed.project,
            }
        )

    def policy(self) -> dict[str, Any]:
        """What a report is bound to: the definitions of gates, guards and canary, as JSON-ready data; and the rules of
        quarantine where they are not the usual ones."""
        parts = {"gate", "guards", "canary"} | ({"flakes"} if self.flakes != Flakes() else set[str]())
        return self.model_dump(mode="json", include=parts, by_alias=True)
