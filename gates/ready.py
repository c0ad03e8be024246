"""What a gate means on this machine: the program, how its results are read, and the key of its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.errors import UserError
from engine.git.hub import Entry, Hub
from engine.models.flow import Flow
from engine.models.settings import Gate
from engine.process.programs import Program, Programs
from gates.definitions import problems
from gates.execution import gate_environment
from gates.inputs import input_digest
from gates.results.adapter import ResultsAdapter
from gates.results.table import adapter
from gates.reuse import Key, make_key
from gates.strict_json import digest
from gates.toolchain import Toolchain, machine


@dataclass(frozen=True)
class Ready:
    """A gate that can run. `program` is None for a gate with a `flow`. tools: identities of what runs it."""

    gate: Gate
    adapter: ResultsAdapter
    key: Key
    program: Program | None = None
    flow: Flow | None = None
    tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unable:
    """Why a gate cannot run, in one sentence."""

    reason: str
    result: Literal["red", "error"] = "error"


@dataclass
class Meanings:
    """Finds out what gates mean. Every call blocks for a few milliseconds, the first for some 20 ms a program."""

    hub: Hub
    programs: Programs
    sandbox: str
    flows: bool
    """Whether gates with a flow can be run here."""
    toolchain: Toolchain = field(default_factory=Toolchain)

    def of(self, gates: Sequence[Gate], tree: str, flows: Sequence[Flow] = ()) -> dict[str, Ready | Unable]:
        """Gate name -> what it means on this tree. The gates are in order: each after those that it needs."""
        entries: list[Entry] = []
        if any(gate.inputs for gate in gates):
            entries = self.hub.entries(tree)
        found: dict[str, Ready | Unable] = {}
        stamps: dict[Path, list[str]] = {}
        for gate in gates:
            found[gate.name] = self._one(gate, tree, flows, entries, found, stamps)
        return found

    def stamps(self, names: Mapping[str, str]) -> dict[str, str]:
        """Program name -> digest of what identifies it now; "" when it is not there any more. names: any mapping."""
        found: dict[str, str] = {}
        for name in names:
            try:
                found[name] = digest(self.toolchain.stamp(self.programs.resolve(name).path))
            except (OSError, UserError):
                found[name] = ""
        return found

    def _one(
        self,
        gate: Gate,
        tree: str,
        flows: Sequence[Flow],
        entries: Sequence[Entry],
        earlier: Mapping[str, Ready | Unable],
        stamps: dict[Path, list[str]],
    ) -> Ready | Unable:
        if wrong := next((problem for problem in problems(gate) if problem.level == "error"), None):
            return Unable(f"{wrong.what}: {wrong.do}.")
        if absent := [name for name in gate.needs if name not in earlier]:
            return Unable(f'it needs "{absent[0]}", which is not among the gates of this run.')
        needs = {need: one.key.digest for need in gate.needs if isinstance(one := earlier[need], Ready)}
        inputs = input_digest(gate, entries) if gate.inputs else ""
        try:
            if gate.flow:
                return self._flow(gate, tree, flows, needs)
            program, env = self.programs.resolve(gate.run[0]), gate_environment(gate)
            if program.path not in stamps:
                stamps[program.path] = self.toolchain.stamp(program.path)
            tools = tuple(stamps[program.path])
        except UserError as error:
            return Unable(f"{error}".rstrip(".") + ".")
        except OSError as error:
            return Unable(f"the program {gate.run[0]} cannot be read ({error.strerror}): install it again.")
        reading = adapter(gate.results)
        key = make_key(
            gate,
            argv=(str(program.path), *gate.run[1:]),
            env=env,
            machine=machine(),
            tools=tools,
            sandbox=self.sandbox,
            adapter=reading.version,
            needs=needs,
            tree=tree,
            inputs=inputs,
        )
        return Ready(gate, reading, key, program, None, tools)

    def _flow(self, gate: Gate, tree: str, flows: Sequence[Flow], needs: Mapping[str, str]) -> Ready | Unable:
        flow = next((flow for flow in flows if flow.name == gate.flow), None)
        if flow is None:
            known = ", ".join(flow.name for flow in flows) or "none"
            return Unable(f'there is no canary flow "{gate.flow}": name one that is there ({known}).')
        if not self.flows:
            return Unable(f'the flow "{gate.flow}" cannot be run from here: start the engine with `swarm`.')
        tools: list[str] = []
        for argv in (flow.package, flow.argv):
            if argv and "{" not in argv[0]:
                tools += self.toolchain.stamp(self.programs.resolve(argv[0]).path)
        key = make_key(
            gate,
            argv=(),
            env={},
            machine=machine(),
            tools=tools,
            sandbox=self.sandbox,
            adapter="flow/1",
            needs=needs,
            tree=tree,
            flow=flow.model_dump(mode="json", by_alias=True),
        )
        return Ready(gate, adapter("none"), key, None, flow, tuple(tools))
