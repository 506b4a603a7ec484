"""Output by rich that shows each text as it is.

By default, rich's console changes plain strings: ``[patch]`` is markup and is removed, and the name of an
emoji between colons is replaced, so that ``file.c:100: bad`` loses its line number. Styles need rich's Text.
"""

import io
from typing import Any

from rich.console import Console, RenderableType


class LiteralConsole(Console):
    """A console without markup, names of emoji and highlighting. ``settings`` are those of rich's Console."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **settings)


def plain_text(content: RenderableType, *, width: int) -> str:
    """Return ``content`` as text of at most ``width`` columns, without colours and blanks at line ends."""
    stream = io.StringIO()
    LiteralConsole(file=stream, width=width, color_system=None, force_terminal=False).print(content)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())
