"""The commands of noxfile.py, without nox."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

NOXFILE = Path(__file__).parents[2] / "noxfile.py"


class CommandFailedError(Exception):
    """nox.command.CommandFailed."""


class AbortedError(Exception):
    """What nox prints as its last line."""


class Session:
    """A session whose command fails with ``reason``."""

    name = "validate"
    posargs = ("-Dseries=x",)

    def __init__(self, reason):
        self.reason = reason
        self.words = ()

    def run(self, *words, **_):
        self.words = words
        raise CommandFailedError(self.reason)

    def error(self, message):
        raise AbortedError(message)


@pytest.fixture
def noxfile(monkeypatch):
    """The names that noxfile.py defines."""
    nox, command = ModuleType("nox"), ModuleType("nox.command")
    command.CommandFailed = CommandFailedError
    values = {"command": command, "options": SimpleNamespace(), "session": lambda **_: lambda made: made}
    for name, value in values.items():
        setattr(nox, name, value)
    for module in (nox, command):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    names = {"__file__": str(NOXFILE), "__name__": "noxfile"}
    exec(compile(NOXFILE.read_text(encoding="utf-8"), NOXFILE, "exec"), names)
    return names


@pytest.mark.parametrize(
    ("reason", "last"),
    [
        ("Returned code 20", "exit code 20: validate found something to fix in the series"),
        ("Returned code 7", "exit code 7: a patch does not apply, or is refused"),
        ("Returned code 70", "exit code 70: an internal error"),
        ("Program x not found", "Program x not found"),
    ],
)
def test_last_line_of_a_session_states_code_and_meaning(noxfile, reason, last):
    session = Session(reason)
    with pytest.raises(AbortedError) as error:
        noxfile["forward"](session, "harness", "validate")
    assert str(error.value).startswith(last)
    assert session.words[-3:] == ("harness", "validate", "-Dseries=x")
