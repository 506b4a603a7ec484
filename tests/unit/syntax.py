"""Syntax of this project's files, for tests that look at the code."""

import ast
import functools


@functools.cache  # all of harness/ takes a second
def nodes(path):
    """Return all nodes of a file, the module first."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
