"""Gates under bubblewrap: they work there, and what they must not do fails there and only there."""

import shutil
import socket
import sys
from pathlib import Path

import pytest

from engine.models.settings import SandboxSettings
from engine.ports import Sandbox
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.none import NoSandbox
from tests.gates.bench import Bench, gate, only

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("bwrap") is None, reason="needs Linux and bubblewrap"
)


@pytest.fixture(scope="module")
def bubblewrap(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    state = tmp_path_factory.mktemp("state")
    sandbox = choose_sandbox(SandboxSettings(), state)
    if sandbox.name != "bubblewrap":
        pytest.skip("bubblewrap does not work on this machine")
    return sandbox


@pytest.mark.parametrize("results", ["unittest", "pytest"])
async def test_test_gates_are_green_there(tmp_path: Path, bubblewrap: Sandbox, results: str) -> None:
    bench = Bench(tmp_path, bubblewrap)
    report = (await bench.gates(bench.base_tree, gate(run=("python", "-m", results), results=results))).report
    assert report.result == "green", report.reasons
    assert only(report).passed == 2
    assert report.sandbox_backend == "bubblewrap"


ATTACK = """
import socket, unittest
class T(unittest.TestCase):
    def test_read_key(self): open({key!r}).read()
    def test_write_state(self): open({state!r}, "w").close()
    def test_network(self): socket.create_connection(("127.0.0.1", {port}), timeout=5).close()
    def test_tmp_and_sockets_work(self):
        import tempfile
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as one:
            one.bind(folder + "/a-name-of-some-length.sock")
"""


async def test_keys_state_and_network_are_out_of_reach_there_and_only_there(
    tmp_path: Path, bubblewrap: Sandbox
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        passed: dict[str, set[str]] = {}
        for sandbox in (bubblewrap, NoSandbox()):
            folder = tmp_path / sandbox.name
            folder.mkdir()
            bench = Bench(folder, sandbox)
            canary = bench.state / "canary"
            attack = ATTACK.format(
                key=str(bench.state / "keys" / "signing.key"), state=str(canary), port=server.getsockname()[1]
            )
            report = (await bench.gates(bench.change({"test_a.py": attack}), gate())).report
            tests = bench.store.get_json(only(report).tests)
            passed[sandbox.name] = {name.rpartition(".")[2] for name, outcome in tests.items() if outcome == "passed"}
            assert canary.exists() is (sandbox.name == "none")
    # What is written to the state folder there goes to a private, empty file system.
    assert passed["bubblewrap"] - {"test_write_state"} == {"test_tmp_and_sockets_work"}
    assert passed["none"] == {"test_tmp_and_sockets_work", "test_read_key", "test_write_state", "test_network"}


async def test_a_result_without_a_sandbox_is_not_reused_as_one_with(tmp_path: Path, bubblewrap: Sandbox) -> None:
    bench = Bench(tmp_path)
    await bench.gates(bench.base_tree, gate())
    bench.sandbox = bubblewrap
    bench.runner = bench.make_runner("two")
    assert not only((await bench.gates(bench.base_tree, gate())).report).cached
