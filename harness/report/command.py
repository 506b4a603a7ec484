"""The command that makes a run again."""

from __future__ import annotations

from harness.process import shell_quote


def with_words(command: str, *words: str) -> str:
    """``command`` with more words: behind ``--`` under nox, and the last of each kind counts."""
    if command.startswith("nox ") and " --" not in command:
        command += " --"
    return command if words[0] in command.split() else f"{command} {shell_quote(words)}"
