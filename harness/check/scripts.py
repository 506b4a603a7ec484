"""Rule on files that nothing compiles: the parser reads Python and shell scripts, and YAML."""

import re
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath
from shutil import which

import yaml

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch, snippet
from harness.process import run

SYNTAX = Rule(
    id="script-syntax",
    severity="error",
    summary="a Python or shell script, or a YAML file, has a syntax error from this patch on",
    remedy="fix the patch; no build reads this file",
)
RULES = (SYNTAX,)

LIMIT_S = 20.0
_PYTHON = """
import ast, sys, warnings
warnings.simplefilter("ignore")
try:
    ast.parse(sys.stdin.buffer.read())
except (SyntaxError, ValueError) as error:
    print(getattr(error, "lineno", 0) or 0, getattr(error, "msg", error))
"""
"""Runs in a process of its own: deep nesting can crash the parser."""
_ENDINGS = {".py": "python", ".sh": "shell", ".yml": "yaml", ".yaml": "yaml"}
_SHEBANG = re.compile(r"#!\s*(?:\S*/)?(?:env\s+)?(?:\S*/)?(python|bash|sh|dash)[\d.]*(?:\s|$)")


def check(judged: Judged) -> Iterator[Finding]:
    """Yield a finding for each file that its parser refuses, and that it could read before the patch."""
    for patch in judged.patches:
        if patch.commit:
            yield from _check(judged, patch)


def _check(judged: Judged, patch: JudgedPatch) -> Iterator[Finding]:
    for change in patch.changes:
        ending = PurePosixPath(change.new).suffix
        if not change.new or change.binary or change.new_mode in ("120000", "160000"):
            continue
        if ending and ending not in _ENDINGS:
            continue  # others with a "#!" are few, and reading each source takes time
        text = judged.read(patch.commit, change.new) or ""
        kind = kind_of(change.new, text)
        refused = parse(kind, text)
        before = judged.read(patch.parent, change.old) or "" if refused and change.old else ""
        if refused is None or (kind_of(change.old, before) == kind and parse(kind, before)):
            continue
        line, message = refused
        lines = text.split("\n")
        shown = snippet(lines[line - 1]) if 0 < line <= len(lines) else ()
        yield SYNTAX.finding(
            f"{kind}: {message}", patch=patch.number, file=change.new, line=line, snippet=shown
        )


def kind_of(path: str, text: str) -> str:
    """Return python, shell or yaml, by the name or the first line; empty for other files."""
    match = _SHEBANG.match(text)
    shebang = ("python" if match[1] == "python" else "shell") if match else ""
    return shebang or _ENDINGS.get(PurePosixPath(path).suffix, "")


def parse(kind: str, text: str) -> tuple[int, str] | None:
    """Return line and message of the first syntax error; None without one, or if there is no parser."""
    data = text.encode("utf-8", "surrogateescape")
    if kind == "yaml":
        try:
            for _ in yaml.parse(text, Loader=yaml.SafeLoader):
                pass
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            return (mark.line + 1 if mark else 0), str(error.problem or error.context)
        except yaml.YAMLError as error:
            return 0, str(error).partition("\n")[0]
    elif kind == "python":
        ended = run([sys.executable, "-I", "-c", _PYTHON], stdin=data, timeout_s=LIMIT_S, check=False)
        if match := re.match(r"(\d+) (.*)", ended.output):
            return int(match[1]), match[2]
    elif kind == "shell" and which("bash"):
        ended = run(["bash", "--norc", "-O", "extglob", "-n"], stdin=data, timeout_s=LIMIT_S, check=False)
        if ended.returncode and (match := re.search(r"line (\d+): (.*)", ended.output)):
            return int(match[1]), match[2]
    return None
