"""Rules on where code comes from. Source: docs/devel/code-provenance.rst of the tree, where it has one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import POLICY, Judged
from harness.series import Mail

GENERATED = Rule(
    id="provenance-generated",
    severity="warning",
    summary="the series says that a program has written it (an error where the tree's policy declines that)",
    remedy="do not send it: a person has to be able to declare its origin",
    source=POLICY,
)
CHERRY = Rule(
    id="provenance-cherry-pick",
    severity="note",
    summary="the patch is taken from another tree",
    remedy="see that the commit it names is upstream",
    source="docs/devel/stable-process.rst",
)
RULES = (GENERATED, CHERRY)

_TOOLS = (
    r"chat-?gpt|gpt-?\d[\w.]*|copilot|claude|gemini|codex|codeium|cursor|deepseek|llama|mistral|qwen|grok|"
    r"anthropic|openai|\bllm\b|language model|\ba\.?i\.? (?:tool|assistant|agent|model)|generative ai"
)
_TRAILER = re.compile(
    rf"^(?:(?:Assisted|Generated|Created|Written|Co-developed|Co-authored|Authored|Suggested|Signed-off)-(?:by|with)"
    rf"|Made-with|AI-[A-Za-z-]+): .*\b(?:{_TOOLS})|^(?:Generated-by|Assisted-by|AI-[A-Za-z-]+): ",
    re.IGNORECASE,
)
_PROSE = re.compile(
    rf"\b(?:written|generated|made|created|produced|authored|drafted)\b[^.\n]{{0,60}}?\b(?:by|with|using)\b"
    rf"[^.\n]{{0,50}}?(?:{_TOOLS})",
    re.IGNORECASE,
)
_DECLINES = re.compile(r"[^.]*\b(?:DECLINE|decline|not accept|must not)\b[^.]*\.")


def check(judged: Judged) -> Iterator[Finding]:
    """Findings of this family."""
    quote = policy_quote(judged.policy)
    cover = judged.input.cover
    mails: list[tuple[int, Mail]] = [*([(0, cover)] if cover else [])]
    mails += [(patch.number, patch.mail) for patch in judged.patches]
    origin = judged.input.metadata.origin
    if origin is not None and origin.generated:
        yield GENERATED.finding(
            f"series.toml says that {origin.written_by} wrote it",
            severity="error" if quote else None,
            snippet=quote,
        )
    for number, mail in mails:
        if said := says_generated(f"{mail.message}\n{mail.notes if number else ''}"):
            yield GENERATED.finding(
                f"it says: {said}" + ("" if quote else f" ({POLICY} of newer trees declines that)"),
                patch=number,
                severity="error" if quote else None,
                snippet=quote,
            )
        if found := re.search(r"^\(cherry picked from commit ([0-9a-f]+)", mail.message, re.MULTILINE):
            yield CHERRY.finding(f"it is commit {found[1][:12]} of another tree", patch=number)


def says_generated(text: str) -> str:
    """The line of ``text`` that says that a program wrote it; empty when none does."""
    for line in text.splitlines():
        if _TRAILER.match(line.strip()):
            return line.strip()
    joined = re.sub(r"\s+", " ", text)
    found = _PROSE.search(joined)
    return found[0].strip() if found else ""


def policy_quote(text: str) -> tuple[str, ...]:
    """The sentences of the tree's policy that decline generated code, for the reader to judge by."""
    told = []
    for paragraph in re.split(r"\n\s*\n", text):
        plain = " ".join(paragraph.split())
        if re.search(r"\bAI\b|LLM|language model|generat", plain) and _DECLINES.search(plain):
            told.append(plain.replace("**", "").replace("``", ""))
    return tuple(told[:2])
