"""Rules on the provenance of code. Source: docs/devel/code-provenance.rst, if the tree contains it."""

import re
from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import POLICY, Judged
from harness.series import Mail

GENERATED = Rule(
    id="provenance-generated",
    severity="warning",
    summary="the series declares generated code (an error if the tree's policy declines such code)",
    remedy="do not send the series: a person has to certify its origin",
    source=POLICY,
)
CHERRY = Rule(
    id="provenance-cherry-pick",
    severity="note",
    summary="the patch is cherry-picked from another tree",
    remedy="check that the commit that it names is upstream",
    source="docs/devel/stable-process.rst",
)
RULES = (GENERATED, CHERRY)

_PRODUCT = r"(?i:agent|ai|cli|code|desktop|flash|haiku|large|model|next|opus|pro|sonnet|ultra)\b"
_SURNAME = rf"(?!-?\w*[ ](?!{_PRODUCT})[A-Z][a-z])"
"""The difference between a person, such as Claude Martin, and a tool, such as Claude Code."""
_START, _END = r"(?<![\w.@/-])", r"(?:(?![\w@/_-])|(?=-?\d|-(?:code|cli)\b))"
_TOOLS = (
    rf"{_START}(?i:chat-?gpt|gpt-?\d[\w.]*|(?:github-)?copilot|codeium|deepseek|qwen|llms?(?!\w)|"
    r"language model|a\.?i\.? (?:tool|assistant|agent|model)|generative ai)|(?i:anthropic|openai)|"
    rf"{_START}(?:(?i:claude|gemini|codex|llama|mistral|grok)|Cursor){_END}{_SURNAME}"
)
"""``cursor`` in lower case is that of a display."""
_TRAILER = re.compile(
    r"^(?i:(?:Assisted|Generated|Created|Written|Co-developed|Co-authored|Authored|Suggested|Signed-off)-"
    rf"(?:by|with)|Made-with|AI-[A-Za-z-]+): .*?(?:{_TOOLS}|{_START}cursor{_END})"
    r"|^(?i:Generated-by|Assisted-by|AI-[A-Za-z-]+): "
)
_PROSE = re.compile(
    rf"\b(?i:written|generated|made|created|produced|authored|drafted)\b[^.\n]{{0,60}}?\b(?i:by|with|using)\b"
    rf"[^.\n]{{0,50}}?(?:{_TOOLS})"
)
_DECLINES = re.compile(r"[^.]*\b(?:DECLINE|decline|not accept|must not)\b[^.]*\.")


def check(judged: Judged) -> Iterator[Finding]:
    """Yield the findings of this family."""
    quote = policy_quote(judged.policy)
    cover = judged.input.cover
    mails: list[tuple[int, Mail]] = [*([(0, cover)] if cover else [])]
    mails += [(patch.number, patch.mail) for patch in judged.patches]
    origin = judged.input.metadata.origin
    if origin is not None and origin.generated:
        yield GENERATED.finding(
            f"series.toml names {origin.written_by} as the author of the code",
            severity="error" if quote else None,
            snippet=quote,
        )
    for number, mail in mails:
        if declaration := says_generated(f"{mail.message}\n{mail.notes if number else ''}"):
            newer = "" if quote else f" ({POLICY} of newer trees declines generated code)"
            yield GENERATED.finding(
                f"the mail declares: {declaration}{newer}",
                patch=number,
                severity="error" if quote else None,
                snippet=quote,
            )
        if match := re.search(r"^\(cherry picked from commit ([0-9a-f]+)", mail.message, re.MULTILINE):
            yield CHERRY.finding(f"cherry-picked from commit {match[1][:12]}", patch=number)


def says_generated(text: str) -> str:
    """Return the trailer or phrase of ``text`` that declares generated code; empty if there is none."""
    for line in text.splitlines():
        if _TRAILER.match(line.strip()):
            return line.strip()
    joined = re.sub(r"\s+", " ", text)
    match = _PROSE.search(joined)
    return match[0].strip() if match else ""


def policy_quote(text: str) -> tuple[str, ...]:
    """Return up to two paragraphs of the policy ``text`` that decline generated code, without markup."""
    quotes = []
    for paragraph in re.split(r"\n\s*\n", text):
        plain = " ".join(paragraph.split())
        if re.search(r"\bAI\b|LLM|language model|generat", plain) and _DECLINES.search(plain):
            quotes.append(plain.replace("**", "").replace("``", ""))
    return tuple(quotes[:2])
