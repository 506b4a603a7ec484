"""All rules by family, and the check of the families that need no build. Add a new family here."""

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from harness.check import (
    applying,
    building,
    checkpatch,
    cover,
    dco,
    files,
    message,
    motion,
    options,
    provenance,
    reading,
    scripts,
    whitespace,
)
from harness.check.model import SEVERITIES, Finding, Rule
from harness.check.subject import Judged
from harness.errors import OptionError
from harness.progress import Reporter


@dataclass(frozen=True, kw_only=True)
class RuleFamily:
    """The rules of one module. ``check`` is None if other stages report the findings."""

    name: str
    rules: tuple[Rule, ...]
    check: Callable[[Judged, frozenset[str]], Iterator[Finding]] | None


def _plain(
    check: Callable[[Judged], Iterator[Finding]],
) -> Callable[[Judged, frozenset[str]], Iterator[Finding]]:
    return lambda judged, _: check(judged)


FAMILIES = (
    RuleFamily(name="reading", rules=reading.RULES, check=_plain(reading.check)),
    RuleFamily(name="applying", rules=applying.RULES, check=_plain(applying.check)),
    RuleFamily(name="origin", rules=dco.RULES, check=_plain(dco.check)),
    RuleFamily(name="provenance", rules=provenance.RULES, check=_plain(provenance.check)),
    RuleFamily(name="message", rules=message.RULES, check=_plain(message.check)),
    RuleFamily(name="cover letter", rules=cover.RULES, check=_plain(cover.check)),
    RuleFamily(name="files", rules=files.RULES, check=_plain(files.check)),
    RuleFamily(name="options", rules=options.RULES, check=_plain(options.check)),
    RuleFamily(name="motion", rules=motion.RULES, check=_plain(motion.check)),
    RuleFamily(name="whitespace", rules=whitespace.RULES, check=_plain(whitespace.check)),
    RuleFamily(name="scripts", rules=scripts.RULES, check=_plain(scripts.check)),
    RuleFamily(name="checkpatch", rules=checkpatch.RULES, check=checkpatch.check),
    RuleFamily(name="building", rules=building.RULES, check=None),
)
RULES: dict[str, Rule] = {rule.id: rule for family in FAMILIES for rule in family.rules}


def choose_rules(off: Iterable[str]) -> frozenset[str]:
    """Return the ids of all rules except those in ``off``: ids, or families such as ``cover-letter``.

    Raises OptionError if a name is neither a rule nor a family.
    """
    families = {family.name.replace(" ", "-"): family for family in FAMILIES}
    disabled: set[str] = set()
    for name in off:
        if name in RULES:
            disabled.add(name)
        elif name in families:
            disabled |= {rule.id for rule in families[name].rules}
        else:
            near = difflib.get_close_matches(name, [*RULES, *families])
            hint = f"did you mean {near[0]}? " if near else ""
            raise OptionError(
                f"-Drules-off: unknown rule {name!r}", f"{hint}list the rules: qemu-harness check --list"
            )
    return frozenset(RULES) - disabled


def run_checks(judged: Judged, active: frozenset[str], reporter: Reporter) -> tuple[Finding, ...]:
    """Check ``judged`` and return the findings of the ``active`` rules that need no build."""
    findings: list[Finding] = []
    with reporter.step("checking the patches") as step:
        for number, family in enumerate(FAMILIES):
            step.update(number, len(FAMILIES), family.name)
            if family.check is not None and any(rule.id in active for rule in family.rules):
                findings += [finding for finding in family.check(judged, active) if finding.rule in active]
    return order(merge(findings))


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """Merge findings that differ only in their place into the first one, and add up their counts."""
    merged: dict[tuple[object, ...], Finding] = {}
    for finding in findings:
        key = (finding.rule, finding.patch, finding.file, finding.message, finding.severity)
        old = merged.get(key)
        merged[key] = (
            finding if old is None else msgspec.structs.replace(old, count=old.count + finding.count)
        )
    return list(merged.values())


def order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort by patch (findings on the whole series first), then by severity, then by place."""
    return tuple(
        sorted(
            findings,
            key=lambda finding: (
                finding.patch,
                SEVERITIES.index(finding.severity),
                finding.file,
                finding.line,
                finding.rule,
            ),
        )
    )
