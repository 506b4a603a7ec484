"""The results as JUnit XML for GitLab and Jenkins, written by junitparser."""

import re
from collections import defaultdict

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from harness.check import ValidateResults
from harness.validate.points import Point, points

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def junit(results: ValidateResults) -> str:
    """Return the document: one suite for each patch, one case for each point."""
    groups: dict[str, list[Point]] = defaultdict(list)
    for point in points(results):
        groups[point.group].append(point)
    document = JUnitXml("qemu-harness validate")
    titles = {f"patch {patch.number}": patch.subject for patch in results.series.patches}
    for group, members in groups.items():
        suite = TestSuite(_clean(f"{group}: {titles[group]}" if group in titles else group))
        suite.timestamp = results.started
        for point in members:
            case = TestCase(
                _clean(point.name), classname=_clean(f"{results.series.name}.{group}"), time=point.seconds
            )
            first = _clean(point.reason.splitlines()[0]) if point.reason else ""
            if point.outcome == "failed":
                failure = Failure(first)
                failure.text = _clean(point.reason)
                case.result = [failure]
            elif point.outcome == "error":
                case.result = [Error(first, "infrastructure")]
            elif point.outcome == "skipped":
                case.result = [Skipped(first)]
            elif point.reason:
                case.system_out = _clean(point.reason)
            suite.add_testcase(case)
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    text = document.tostring()  # type: ignore[no-untyped-call]
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)


def _clean(text: str) -> str:
    """Replace the characters that XML 1.0 does not allow (section 2.2)."""
    return _CONTROL.sub("\ufffd", text)
