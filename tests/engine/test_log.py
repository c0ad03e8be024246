from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.log import EngineLog, parse_levels
from engine.text.redact import Redactor


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def new_log(path: Path, **options: Any) -> EngineLog:
    return EngineLog(path, Redactor({"TOKEN": "s3cret-value"}), now=lambda: 1.5, **options)


def test_a_line_has_time_level_category_message_and_ids(tmp_path: Path) -> None:
    engine_log = new_log(tmp_path / "engine.log")
    engine_log.warning("gate", "slow gate", run="a/1", seq=7, ratio=0.5, missing=None, path=Path("x"), at="not taken")
    assert lines(tmp_path / "engine.log") == [
        {
            "at": "1970-01-01T00:00:01.500Z",
            "level": "warning",
            "category": "gate",
            "message": "slow gate",
            "run": "a/1",
            "seq": 7,
            "ratio": 0.5,
            "missing": None,
            "path": "x",
        }
    ]


def test_levels_are_by_category(tmp_path: Path) -> None:
    engine_log = new_log(tmp_path / "engine.log", levels=parse_levels("canary=debug, git=error"))
    engine_log.debug("canary", "1")
    engine_log.debug("plan", "hidden")
    engine_log.info("plan", "2")
    engine_log.warning("git", "hidden")
    engine_log.error("git", "3")
    assert [line["message"] for line in lines(tmp_path / "engine.log")] == ["1", "2", "3"]


@pytest.mark.parametrize("text", ["cannery=debug", "canary", "canary=loud", "=debug", "debug"])
def test_wrong_levels_are_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(UserError, match="use one of"):
        parse_levels(text)


def test_nothing_is_a_valid_choice_of_levels() -> None:
    assert parse_levels("") == {}


def test_secrets_and_control_characters_do_not_reach_the_file(tmp_path: Path) -> None:
    engine_log = new_log(tmp_path / "engine.log")
    engine_log.info("agent", "said s3cret-value \x1b[2J\u202e", run="s3cret-value", odd=float("nan"), lone="\ud800")
    text = (tmp_path / "engine.log").read_text(encoding="utf-8")
    assert "s3cret-value" not in text
    assert lines(tmp_path / "engine.log")[0]["message"] == "said [redacted:TOKEN] ␛[2J\\u202e"
    assert lines(tmp_path / "engine.log")[0]["odd"] == "nan"


def test_old_lines_move_aside_and_the_oldest_go(tmp_path: Path) -> None:
    engine_log = new_log(tmp_path / "engine.log", max_bytes=1000, keep=3)
    for number in range(100):
        engine_log.info("engine", f"line {number}")
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["engine.log", "engine.log.1", "engine.log.2"]
    assert all((tmp_path / name).stat().st_size <= 1000 for name in files)
    kept = [line["message"] for name in reversed(files) for line in lines(tmp_path / name)]
    assert kept == [f"line {number}" for number in range(100 - len(kept), 100)]
    assert engine_log.lost == 0


def test_a_new_start_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for number in range(2):
        engine_log = new_log(tmp_path / "deep" / "engine.log")
        engine_log.info("engine", f"start {number}")
        engine_log.close()
    assert [line["message"] for line in lines(tmp_path / "deep" / "engine.log")] == ["start 0", "start 1"]


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    engine_log = new_log(tmp_path / "file" / "engine.log")
    engine_log.error("engine", "nobody reads this")
    engine_log.error("engine", "nor this", thing=_Unprintable())
    assert engine_log.lost == 2


def test_lines_of_many_threads_do_not_mix(tmp_path: Path) -> None:
    engine_log = new_log(tmp_path / "engine.log", max_bytes=20_000, keep=100)
    threads = [
        threading.Thread(target=lambda who=who: [engine_log.info("run", "x" * 50, who=who, n=n) for n in range(100)])
        for who in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [(line["who"], line["n"]) for path in tmp_path.iterdir() for line in lines(path)]
    assert sorted(found) == [(who, n) for who in range(8) for n in range(100)]


class _Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("a bug in somebody's class")
