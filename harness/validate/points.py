"""The results as a list of points, for formats that only have passed and failed."""

from dataclasses import dataclass
from typing import Literal

from harness.check import FAMILIES, Finding, ValidateResults
from harness.check.model import levels_of
from harness.validate.gather import place_words, stages_not_run

PointOutcome = Literal["ok", "failed", "skipped", "error"]
_BUILDS: dict[str, PointOutcome] = {"ok": "ok", "failed": "failed", "infrastructure": "error"}
_TESTS: dict[str, PointOutcome] = {
    "ok": "ok",
    "failed": "failed",
    "timeout": "failed",
    "skipped": "skipped",
    "infrastructure": "error",
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """A check, build or test that passed, failed, was skipped, or could not run (``error``)."""

    group: str
    name: str
    outcome: PointOutcome
    seconds: float = 0.0
    reason: str = ""


def points(results: ValidateResults) -> tuple[Point, ...]:
    """Return families of rules by patch, builds, tests, and the stages that did not run."""
    found: list[Point] = []
    titles = {0: "series", **{patch.number: f"patch {patch.number}" for patch in results.series.patches}}
    failing = levels_of(str(results.options.get("fail_on", "warning")))
    for number, title in titles.items():
        for family in FAMILIES:
            rules = {rule.id for rule in family.rules}
            if family.check is None or rules <= set(results.switched_off):
                continue
            mine = [one for one in results.findings if one.patch == number and one.rule in rules]
            bad = [one for one in mine if one.severity in failing]
            found.append(
                Point(
                    group=title,
                    name=family.name,
                    outcome="failed" if bad else "ok",
                    reason="\n".join(_line(one) for one in bad or mine),
                )
            )
    for build in results.builds:
        title = titles.get(build.patch, "base") if build.patch else "base"
        found.append(
            Point(
                group=title,
                name=f"build for {build.where}",
                outcome=_BUILDS[build.outcome],
                seconds=build.seconds,
                reason=build.reason,
            )
        )
    caused = [(one.patch, one.message) for one in results.findings if one.rule == "test-fails"]
    for row in results.tests:
        title = titles.get(row.patch, "base") if row.patch else "base"
        reason, outcome = row.reason, _TESTS[row.outcome]
        blamed = any(at == row.patch and text.startswith(f"{row.name} ") for at, text in caused)
        if outcome == "failed" and not blamed:
            outcome, reason = "skipped", f"fails, but not because of this patch: {row.reason}"
        found.append(
            Point(group=title, name=f"test {row.name}", outcome=outcome, seconds=row.seconds, reason=reason)
        )
    for stage in stages_not_run(results):
        outcome = "error" if stage.outcome == "infrastructure" else "skipped"
        found.append(
            Point(group="run", name=stage.name, outcome=outcome, seconds=stage.seconds, reason=stage.reason)
        )
    return tuple(found)


def _line(finding: Finding) -> str:
    place = place_words(finding)
    return f"{place}{': ' if place else ''}{finding.severity}: {finding.message} [{finding.rule}]"
