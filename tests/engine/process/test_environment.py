"""What of a person's environment reaches a process."""

from __future__ import annotations

import os

import pytest

from engine.errors import UserError
from engine.process.environment import absolute_entries, allowed_environment

SHELL = {
    "PATH": os.pathsep.join(["/usr/bin", "", ".", "bin", "/bin"]) if os.name == "posix" else "C:\\Windows",
    "LANG": "de_AT.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "Europe/Vienna",
    "HOME": "/home/person",
    "TERM": "xterm",
    "AWS_SECRET_ACCESS_KEY": "canary",
    "HTTPS_PROXY": "http://user:password@proxy",
    "GIT_DIR": "/elsewhere",
    "PYTHONPATH": "/elsewhere",
    "LD_PRELOAD": "/elsewhere/evil.so",
    "API_KEY": "key-123",
}


def test_only_listed_names_pass() -> None:
    given = set(allowed_environment({}, source=SHELL).values) - {"NoDefaultCurrentDirectoryInExePath"}
    assert given == {"PATH", "LANG", "LC_ALL", "TZ"}


@pytest.mark.skipif(os.name != "posix", reason="POSIX paths")
def test_path_loses_entries_that_mean_the_current_folder() -> None:
    assert allowed_environment({}, source=SHELL).values["PATH"] == "/usr/bin:/bin"
    assert absolute_entries("::.:x/y") == ""


def test_given_values_come_on_top_and_home_is_the_given_one() -> None:
    values = allowed_environment({"HOME": "/run/home", "LANG": "C"}, source=SHELL).values
    assert (values["HOME"], values["LANG"]) == ("/run/home", "C")


def test_a_reference_takes_a_value_from_the_shell_and_makes_it_a_secret() -> None:
    environment = allowed_environment({"OPENAI_API_KEY": "$API_KEY", "PRICE": "$5", "PLAIN": "a$API_KEY"}, source=SHELL)
    assert environment.values["OPENAI_API_KEY"] == "key-123"
    assert (environment.values["PRICE"], environment.values["PLAIN"]) == ("$5", "a$API_KEY")
    assert environment.secrets == {"OPENAI_API_KEY": "key-123"}
    assert "key-123" not in repr(environment.secrets.keys())


def test_a_reference_to_nothing_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"^TOKEN is taken from \$NOT_THERE, which is not set"):
        allowed_environment({"TOKEN": "$NOT_THERE"}, source=SHELL)
