"""The composition root: the one place where the engine's ports are wired to the wings and backends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from engine.artifacts import ArtifactStore
from engine.definitions import Definitions
from engine.effects.world import Ports, quota
from engine.egress.way_out import Egress
from engine.errors import UserError
from engine.executors.limits import probe_limits
from engine.executors.local import LocalExecutor
from engine.git.hub import Hub
from engine.git.slots import Slots
from engine.git.workspaces import Workspaces
from engine.host import Host, Site
from engine.journal import Journal
from engine.log import EngineLog, parse_levels
from engine.models.settings import Settings
from engine.ports import HeadSigner, Quota, Sandbox
from engine.process.environment import allowed_environment
from engine.process.programs import Programs
from engine.sandbox.choose import choose_sandbox
from engine.text.known import known_secrets
from engine.text.redact import Redactor
from swarm_tui.place import Place
from swarm_tui.wanted import missing_programs, needed_agents

if TYPE_CHECKING:
    from gates.sign import Signer

try:
    VERSION = version("swarm-tui")
except PackageNotFoundError:
    VERSION = "0"


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def open_site(place: Place, *, log_levels: str = "", sole: bool = True, signer: HeadSigner | None = None) -> Site:
    """Open everything that lies in the state folder. Raises UserError for anything a person has to mend.

    sole: the caller holds the instance lock; False for commands beside a running engine. signer: of the journal's
    head, for an engine.
    """
    folders = place.folders
    folders.create()
    levels = parse_levels(log_levels) if log_levels else {}
    working = _working_settings(place)
    redactor = Redactor(known_secrets(working.agents, os.environ))
    hub = Hub.create_or_open(
        folders.root, place.repository.root, working.project.main, sole=sole, marker=f"{folders.marker}.git/"
    )
    clock = SystemClock()
    return Site(
        repository=place.repository,
        folders=folders,
        hub=hub,
        journal=Journal(folders.journal, clock=clock, redact=redactor.redact, ballast=folders.ballast),
        workspaces=Workspaces(hub, folders.workspaces),
        artifacts=ArtifactStore(folders.artifacts),
        definitions=Definitions(place.repository.root, hub, working=working),
        log=EngineLog(folders.log, redactor, levels),
        clock=clock,
        version=VERSION,
        signer=signer,
    )


def _working_settings(place: Place) -> Settings:
    from engine.loading import ROADMAP_FILE, SETTINGS_FILE, load_roadmap, load_settings

    settings = load_settings(place.repository.root / SETTINGS_FILE)
    load_roadmap(place.repository.root / ROADMAP_FILE, settings)
    return settings


@dataclass(frozen=True)
class Wings:
    """What runs gates and canaries, with or without an engine around it."""

    executor: LocalExecutor
    sandbox: Sandbox
    programs: Programs
    ports: Ports


def make_wings(
    site: Site,
    epoch: str,
    *,
    slots: int | None = None,
    prefix: str = "",
    leash: bool = False,
    signer: Signer | None = None,
) -> Wings:
    """Wire the wings to the site's stores. `epoch` marks the processes they start.

    leash: gates end with this process, instead of being adopted by the next engine. signer: one that is open already.
    """
    from canary.runner import LocalCanaryRunner
    from gates.caches import Caches
    from gates.guards.gitleaks import installed_gitleaks
    from gates.runner import LocalGateRunner
    from gates.signer_process import open_signer
    from roles.agents import adapter_for
    from roles.prompted import PromptedRoles, prompt_path
    from roles.triager import RuleTriager
    from roles.verifier import feedback

    settings = site.definitions.current
    folders = site.folders
    sandbox = choose_sandbox(settings.sandbox, folders.root, limits=probe_limits)
    if reason := sandbox.reason:
        site.log.warning("engine", f"{reason}: agents and gates run in the sandbox {sandbox.name}, which holds less")
    secrets = known_secrets(settings.agents, os.environ)
    redactor = Redactor(secrets)

    def limits() -> Quota:
        return quota(site.definitions.current.limits)

    def refused(run_id: str, target: str, sentence: str) -> None:
        site.log.warning("run", sentence, run=run_id, target=target)

    executor = LocalExecutor(sandbox, epoch, secrets, quota=limits, egress=Egress(refused))
    programs = Programs(allowed_environment({}).values.get("PATH", ""))
    count = slots or settings.limits.gate_slots
    canary = LocalCanaryRunner(
        slots=Slots(site.hub, folders.slots, 1, prefix=f"{prefix}canary"),
        sandbox=sandbox,
        programs=programs,
        store=site.artifacts,
        runs=folders.runs,
        hub=site.hub,
        epoch=epoch,
        redactor=redactor,
        quota=limits,
        # As long a path as the other's: lengths can be measured.
        beside=Slots(site.hub, folders.slots, 1, prefix=f"{prefix}before"),
    )
    gates = LocalGateRunner(
        hub=site.hub,
        slots=Slots(site.hub, folders.slots, count, prefix=f"{prefix}gate"),
        executor=executor,
        sandbox=sandbox,
        store=site.artifacts,
        runs=folders.runs,
        cache=folders.root / "gate-cache",
        signer=signer or open_signer(folders.keys),
        programs=programs,
        clock=site.clock,
        caches=Caches(sandbox),
        flows=canary,
        leash=leash,
        redactor=redactor,
        gitleaks=installed_gitleaks(programs),
    )

    def template(role: str) -> str | None:
        raw = site.hub.read_file(site.hub.main().commit, prompt_path(role))
        return raw.decode("utf-8") if raw is not None else None

    ports = Ports(
        agents=lambda kind: adapter_for(kind, executor, programs, site.repository.root, redactor),
        roles=PromptedRoles(lambda: site.definitions.current.gate, template),
        triager=RuleTriager(),
        gates=gates,
        canary=canary,
        executor=executor,
        programs=programs,
        sandbox=sandbox,
        verifier=feedback,
        clock=site.clock,
    )
    return Wings(executor, sandbox, programs, ports)


def refuse_missing_programs(settings: Settings) -> None:
    """Before a night depends on them. Raises UserError for the first gate or agent whose program is not there, those
    that stand in for others included."""
    for whose, error in missing_programs(settings, needed_agents(settings)):
        raise UserError(f"{whose} in swarm.toml cannot run: {error}") from error


def make_host(place: Place, *, log_levels: str = "", adapt: Callable[[Ports], Ports] = lambda ports: ports) -> Host:
    """The engine of a repository, wired. `adapt` lets tests put something between the engine and the world."""

    from gates.signer_process import open_signer

    signers: list[Signer] = []

    def opened() -> Site:
        refuse_missing_programs(_working_settings(place))
        signers[:] = [open_signer(place.folders.keys)]  # it starts while the rest is opened
        try:
            return open_site(place, log_levels=log_levels, signer=signers[0])
        except BaseException:
            signers[0].close()
            raise

    def wired(site: Site, epoch: int) -> Ports:
        wings = make_wings(site, f"{site.folders.marker}-{epoch}", signer=signers[0])
        wings.executor.warm_up()
        return adapt(wings.ports)

    return Host(place.folders, opened, wired)
