"""What rich renders, as text."""

import io

from harness.console import LiteralConsole


def rendered(part, width=120):
    """Return ``part`` as it is printed without a terminal."""
    console = LiteralConsole(width=width, file=io.StringIO())
    console.print(part)
    return console.file.getvalue()


def rendered_lines(part, width=120):
    """Return the lines of ``part``, in which single spaces separate the words."""
    return [" ".join(line.split()) for line in rendered(part, width).splitlines()]
