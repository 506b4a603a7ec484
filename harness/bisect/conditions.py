"""The conditional groups of a C source, between ``#if`` and ``#endif``, and its lines with code."""

import re
from dataclasses import dataclass, field

WHOLE = 0
"""The group of what no condition contains; an include guard is no condition."""
PASSED_ON = ("define", "undef", "include")
"""Directives that the preprocessor prints if it is asked for them."""
_DIRECTIVE = re.compile(r"\s*#\s*([a-z]+)\b\s*(.*)")
_TOKEN = re.compile(r"""//|/\*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The groups of a source. The lists are indexed by group."""

    texts: list[str]
    """The condition of each, such as ``#ifdef _WIN32``."""
    parents: list[int]
    code: dict[int, int]
    """Number of each line that contains code → its innermost group. Of directives, those below a condition
    that define a macro or include a file are code, except a default: ``#ifndef X``, ``#define X``."""

    def active(self, lines: set[int]) -> set[int]:
        """Return the groups of which the compiler has kept a line, with those around them."""
        found = {WHOLE}
        for line in lines & self.code.keys():
            group = self.code[line]
            while group not in found:
                found.add(group)
                group = self.parents[group]
        return found


@dataclass(kw_only=True)
class Added:
    """The lines with code that a series adds to a file."""

    conditions: Conditions
    patches: dict[int, int]
    """Line number at the end of the series → the last patch that changes it."""
    kept: set[int] = field(default_factory=set)
    """Lines that remain after preprocessing."""
    objects: int = 0
    """Number of objects for which the file was preprocessed."""
    more: int = 0
    """Number of further objects."""

    @property
    def excluded(self) -> list[int]:
        """The added lines in groups that no build has compiled; none before the file was preprocessed."""
        if not self.objects:
            return []
        active = self.conditions.active(self.kept)
        return [line for line in sorted(self.patches) if self.conditions.code[line] not in active]

    @property
    def is_excluded(self) -> bool:
        """Whether no added line was compiled, in any object."""
        return len(self.excluded) == len(self.patches) and not self.more


def read_conditions(text: str) -> Conditions:
    """Read the groups of a C source; a directive without its counterpart is ignored."""
    texts, parents, code = [""], [WHOLE], {}
    stack = [WHOLE]
    guard = ""
    inside = continues = False

    def enter(shown: str) -> None:
        texts.append(shown)
        parents.append(stack[-1])
        stack.append(len(texts) - 1)

    for number, line in enumerate(text.split("\n"), start=1):
        kept, inside = _without_comments(line, inside=inside)
        match = None if continues else _DIRECTIVE.match(kept)
        is_code = not continues and match is None and bool(kept.strip())
        continues = (continues or match is not None) and line.rstrip().endswith("\\")
        if is_code:
            code[number] = stack[-1]
        if match is None:
            continue
        word, rest = match[1], " ".join(match[2].rstrip().removesuffix("\\").split())
        if word == "define" and guard and re.match(rf"{re.escape(guard)}\b", rest):
            stack[-1] = WHOLE
        guard = ""
        is_default = texts[stack[-1]] == f"#ifndef {re.split(r'[ (]', rest)[0]}"
        if word in PASSED_ON and stack[-1] != WHOLE and not is_default:
            code[number] = stack[-1]
        if word in ("if", "ifdef", "ifndef"):
            guard = rest if word == "ifndef" and len(texts) == 1 else ""
            enter(f"#{word} {rest}")
        elif word in ("elif", "elifdef", "elifndef", "else") and len(stack) > 1:
            before = texts[stack.pop()].removeprefix("#else of ")
            enter(f"#else of {before}" if word == "else" else f"#{word} {rest}")
        elif word == "endif" and len(stack) > 1:
            stack.pop()
    return Conditions(texts=texts, parents=parents, code=code)


def _without_comments(line: str, *, inside: bool) -> tuple[str, bool]:
    """Return ``line`` without comments, and whether a comment is open after it."""
    kept, at = "", 0
    while at < len(line):
        if inside:
            end = line.find("*/", at)
            if end < 0:
                return kept, True
            inside, at = False, end + 2
        elif (match := _TOKEN.search(line, at)) is None:
            return kept + line[at:], False
        else:
            kept += line[at : match.start()]
            if match[0] == "//":
                return kept, False
            inside, at = match[0] == "/*", match.end()
            kept += "" if inside else match[0]
    return kept, inside
