"""The request of a command: its lock, and how lines and tables are printed."""

import argparse
import io

from rich.table import Table

from harness.commands.request import WIDTH, Output, Request, say
from harness.progress import Silent

LONG = " ".join(["word"] * 60)


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self):
        return True


def at_terminal(monkeypatch, columns=80):
    """Make standard output a terminal that shows colours."""
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(columns))
    made = Terminal()
    monkeypatch.setattr("sys.stdout", made)
    return made


def test_checkout_is_locked_under_its_name(layout, calls):
    calls.spy("harness.commands.request.locked")
    reporter = Silent()
    request = Request(
        layout=layout, words=(), arguments=argparse.Namespace(), reporter=reporter, command="qemu-harness"
    )
    with request.checkout():
        pass
    assert calls.given["locked"] == [((layout.checkout_lock, "this checkout", reporter), {})]


def test_lines_are_printed_as_they_are(capsys):
    line = f"[patch] {LONG} [/patch] a/file.c:100: bad"
    say(line)
    assert capsys.readouterr().out == f"{line}\n"


def test_lines_have_no_colours_and_line_ends_of_their_own_at_a_terminal(monkeypatch):
    terminal = at_terminal(monkeypatch)
    say(f"{LONG} 12 /tmp/file")
    assert terminal.getvalue() == f"{LONG} 12 /tmp/file\n"


def test_table_is_as_wide_as_the_terminal(monkeypatch):
    terminal = at_terminal(monkeypatch)
    Output().print(LONG)
    assert [line.split() for line in terminal.getvalue().splitlines()] == [["word"] * 16] * 3 + [
        ["word"] * 12
    ]
    assert Output().width == 80


def test_narrow_terminal_hides_no_figures(monkeypatch):
    terminal = at_terminal(monkeypatch, columns=5)
    table = Table("variant", "exit", "reclaim")
    table.add_row("pristine+option", "0.51 ms", "1.03 s")
    Output().print(table)
    for text in ("pristine+option", "0.51 ms", "1.03 s"):
        assert text in terminal.getvalue()


def test_width_in_a_file_does_not_depend_on_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "50")
    Output().print(LONG)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["word"] * (WIDTH // 5)] * 2 + [["word"] * 12]
