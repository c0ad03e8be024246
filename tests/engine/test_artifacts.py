from __future__ import annotations

import hashlib
import os
import sys
import threading
from pathlib import Path

import pytest

from engine.artifacts import ArtifactStore, ManifestEntry
from engine.errors import InfrastructureFault, SwarmError


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def test_content_lies_under_its_hash_and_comes_back(store: ArtifactStore, tmp_path: Path) -> None:
    digest = store.put(b"report")
    hexadecimal = hashlib.sha256(b"report").hexdigest()
    assert digest == f"sha256:{hexadecimal}"
    assert store.path(digest) == tmp_path / "artifacts" / "sha256" / hexadecimal[:2] / hexadecimal[2:]
    assert store.path(digest).read_bytes() == b"report"
    assert store.get(digest) == b"report"
    assert store.has(digest)
    assert not store.has("sha256:" + "0" * 64)


def test_equal_content_is_stored_once_and_nothing_is_left_over(store: ArtifactStore, tmp_path: Path) -> None:
    first = store.put(b"same")
    before = store.path(first).stat()
    assert store.put(b"same") == first
    assert store.path(first).stat().st_mtime_ns == before.st_mtime_ns
    assert store.path(first).stat().st_ino == before.st_ino
    assert [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == [store.path(first)]


def test_equal_json_has_one_digest(store: ArtifactStore) -> None:
    digest = store.put_json({"b": [1, None], "a": "ü"})
    assert digest == store.put_json({"a": "ü", "b": [1, None]})
    assert store.get(digest) == '{"a":"ü","b":[1,null]}'.encode()
    assert store.get_json(digest) == {"a": "ü", "b": [1, None]}


@pytest.mark.parametrize("damage", [b"", b"repord", b"report and more"])
def test_damage_is_noticed_and_can_be_mended(store: ArtifactStore, damage: bytes) -> None:
    digest = store.put(b"report")
    store.path(digest).write_bytes(damage)
    with pytest.raises(SwarmError, match="damaged"):
        store.get(digest)
    store.put(b"report")
    if len(damage) != len(b"report"):
        assert store.get(digest) == b"report"


def test_what_is_missing_or_no_digest_is_an_error(store: ArtifactStore) -> None:
    with pytest.raises(SwarmError, match="missing"):
        store.get("sha256:" + "0" * 64)
    for wrong in (
        "",
        "sha256:",
        "sha256:../../../etc/passwd",
        "sha256:" + "A" * 64,
        "md5:" + "0" * 64,
        "0" * 64 + "\n",
    ):
        with pytest.raises(SwarmError, match="not an artifact's digest"):
            store.path(wrong)


def test_a_file_is_copied_whole_up_to_its_cap(store: ArtifactStore, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(bytes(range(256)) * 10_000)
    assert store.get(store.put_file(log)) == log.read_bytes()
    assert store.get(store.put_file(log, cap_bytes=2_560_000)) == log.read_bytes()


def test_of_a_long_file_head_and_tail_are_kept(store: ArtifactStore, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"H" * 3_000_000 + b"T" * 3_000_000)
    kept = store.get(store.put_file(log, cap_bytes=2_000_001))
    marker = "\n[… 3999999 bytes left out …]\n".encode()
    assert kept == b"H" * 1_000_000 + marker + b"T" * 1_000_001


def test_what_is_not_a_regular_file_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(SwarmError):
        store.put_file(tmp_path)
    with pytest.raises(SwarmError):
        store.put_file(tmp_path / "missing")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links in folders are a POSIX thing")
def test_a_planted_pipe_neither_hangs_nor_misleads(store: ArtifactStore, tmp_path: Path) -> None:
    if sys.platform == "win32":
        return
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SwarmError, match="not a regular file"):
        store.put_file(tmp_path / "pipe")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(SwarmError):
        store.put_file(tmp_path / "link")


def test_a_store_that_cannot_be_written_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_bytes(b"")
    with pytest.raises(InfrastructureFault, match="cannot be stored"):
        ArtifactStore(tmp_path / "artifacts").put(b"x")


def test_many_threads_may_store_the_same(store: ArtifactStore) -> None:
    digests: list[str] = []
    threads = [
        threading.Thread(target=lambda: digests.extend(store.put(b"%d" % number) for number in range(10)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 80
    assert {store.get(digest) for digest in digests} == {b"%d" % number for number in range(10)}


def test_a_manifest_names_the_artifacts_of_a_run(store: ArtifactStore, tmp_path: Path) -> None:
    entries = {"log": store.put(b"log"), "tests.json": store.put_json({})}
    store.write_manifest(tmp_path, entries)
    assert store.read_manifest(tmp_path) == {
        "log": ManifestEntry(entries["log"], 3),
        "tests.json": ManifestEntry(entries["tests.json"], 2),
    }
    store.write_manifest(tmp_path, {})
    assert store.read_manifest(tmp_path) == {}


def test_a_manifest_of_what_is_not_there_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(SwarmError, match="missing"):
        store.write_manifest(tmp_path, {"log": "sha256:" + "0" * 64})
    with pytest.raises(SwarmError, match="manifest"):
        store.read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("[]", encoding="utf-8")
    with pytest.raises(SwarmError, match="manifest"):
        store.read_manifest(tmp_path)
