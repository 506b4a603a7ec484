"""The command that reproduces a run."""

from __future__ import annotations

from harness.process import shell_quote


def with_words(command: str, *words: str) -> str:
    """Append arguments to ``command``: after ``--`` under nox. The last one of each kind is effective."""
    if command.startswith("nox ") and " --" not in command:
        command += " --"
    return command if words[0] in command.split() else f"{command} {shell_quote(words)}"
