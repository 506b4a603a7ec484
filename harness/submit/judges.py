"""Judge each rule of QEMU's submitting-a-patch.rst: a verdict and the evidence."""

import re
from collections.abc import Callable, Iterable, Sequence

from harness.check.model import Finding
from harness.figures import shown
from harness.submit.cover import blurb_of
from harness.submit.facts import Facts, Verdict
from harness.submit.recipients import DEFAULT_LIST

Judge = Callable[[Facts], tuple[Verdict, str]]
FIRST_VERSION: tuple[Verdict, str] = ("not needed", "it is the first version")

COVERED = (
    *("checkpatch-*", "motion-*", "whitespace-*", "subject-*", "body-*", "file-maintainers", "build-*"),
    *("test-fails", "behaviour-fails", "dco-*", "provenance-*", "cover-*", "version-*"),
)
"""Rules of validate that another item of the checklist covers, or that renumbering the mails resolves."""


def no_finding(facts: Facts, rules: Sequence[str], clean: str, *, notes: bool) -> tuple[Verdict, str]:
    """Require no finding of ``rules`` (ids, or prefixes followed by ``*``) in validate's result.

    ``notes``: a note counts too. ``clean`` is the evidence without a finding.
    """
    off = [rule for rule in facts.validated.results.switched_off if _is_one(rule, rules)]
    found = [
        one
        for one in facts.validated.results.findings
        if _is_one(one.rule, rules) and (notes or one.severity != "note")
    ]
    if found:
        return "no", _summary(found)
    return ("person", f"not checked: {', '.join(off)} switched off") if off else ("yes", clean)


def nothing_else(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether validate has an error or a warning that no other rule here covers."""
    others = [
        one
        for one in facts.validated.results.findings
        if one.severity != "note" and not _is_one(one.rule, COVERED)
    ]
    return ("no", _summary(others)) if others else ("yes", "no further error or warning")


def _is_one(rule: str, rules: Iterable[str]) -> bool:
    return any(rule == one or (one.endswith("*") and rule.startswith(one[:-1])) for one in rules)


def _summary(found: Iterable[Finding]) -> str:
    each = [f"patch {one.patch}: {one.message}" if one.patch else one.message for one in found]
    return shown(each, 3)


def on_master(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether the base is upstream's branch."""
    branch = facts.series.metadata.branch
    if facts.base_commit:
        return "person", f"based on {facts.base_commit[:12]}; check that this is the current {branch}"
    return "no", f"{facts.base_words.rstrip('.')}; rebase them onto {branch}"


def based_on(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether the required series are listed."""
    names = facts.series.metadata.based_on
    return (
        ("yes", f"Based-on: {', '.join(names)}") if names else ("not needed", "it requires no other series")
    )


def compiles(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether validate built each commit."""
    results = facts.validated.results
    bad = [one for one in results.findings if one.rule.startswith("build-") and one.severity != "note"]
    if bad:
        return "no", _summary(bad)
    if not facts.validated.built:
        return "no", "validate did not build every commit (-Dbisect=each)"
    hosts = sorted({one.host for one in results.builds})
    targets = results.options.get("targets", ())
    return "yes", f"each commit was built for {', '.join(targets)} on {', '.join(hosts)}"


def tested(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether QEMU's own tests passed."""
    results = facts.validated.results
    bad = [one for one in results.findings if one.rule in ("test-fails", "behaviour-fails")]
    if bad:
        return "no", _summary(bad)
    ran = [one for one in results.tests if one.patch and one.outcome == "ok"]
    if not ran:
        return "person", "validate ran none of QEMU's tests (-Dqemu-tests=touched or all)"
    tests = len({(one.suite, one.name) for one in ran})
    return "yes", f"{tests} of QEMU's own tests passed; no test fails that passed on the base"


def has_test(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether the series changes files below ``tests/``."""
    paths = sorted({path for one in facts.series.patches for path in one.paths if path.startswith("tests/")})
    return ("yes", ", ".join(paths[:3])) if paths else ("person", "it changes nothing below tests/")


def inline_text(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether each mail is a single plain text."""
    irregular = facts.irregular_mails
    return ("no", "; ".join(irregular[:3])) if irregular else ("yes", "each mail is a single plain text")


def git_am(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether git am made the same commits of the mails."""
    return "yes" if facts.round_trip.startswith("git am") else "no", facts.round_trip


def answered(facts: Facts) -> tuple[Verdict, str]:
    """Leave the replies to the previous version to a person; the first one has none."""
    if facts.series.metadata.version == 1:
        return FIRST_VERSION
    return "person", "check the replies"


def binaries(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether the series has binary files."""
    blobs = [change.path for one in facts.series.patches for change in one.changes if change.binary]
    return ("no", f"binary: {', '.join(blobs[:5])}") if blobs else ("yes", "no binary file")


def signed_off(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether each author signed off."""
    if facts.unsigned:
        which = (
            "none of the patches has" if len(facts.unsigned) == len(facts.series.patches) else "missing in"
        )
        names = "" if which.endswith("has") else f" {'; '.join(facts.unsigned)}"
        return "no", f"{which}{names or ' a Signed-off-by of its author'}"
    return "yes", f"all {len(facts.series.patches)} patches have one"


def declared(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether a person declared the origin, without a reason against it."""
    others = [one.text for one in facts.reasons if one.rule != "sign-off"]
    return ("no", "; ".join(others)) if others else ("yes", "a person declared it: provenance.toml")


def cover_letter(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether several patches have a cover letter with a text."""
    if len(facts.series.patches) == 1 and not facts.has_cover:
        return "not needed", "there is only one patch"
    if not blurb_of(facts.series):
        return "no", "it has no text; write it into 0000-cover-letter.patch"
    return "yes", "it has a text, a shortlog and a diffstat"


def rfc_reason(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether the cover letter of an RFC mentions it."""
    if "RFC" not in facts.series.metadata.subject_prefix.split():
        return "not needed", "it is not an RFC"
    if re.search(r"\bRFC\b", blurb_of(facts.series)):
        return "yes", "the cover letter mentions it"
    return "no", "the cover letter does not state why it is an RFC"


def for_stable(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether the author considered stable releases."""
    if any("qemu-stable" in one.address for one in facts.recipients.sent):
        return "yes", "qemu-stable receives it"
    fixes = [one.number for one in facts.series.patches if re.search(r"^Fixes: ", one.message, re.MULTILINE)]
    if fixes:
        return "person", f"patch {fixes[0]} has a Fixes: line; for stable, add cc to series.toml"
    return "person", "no line states that it fixes a regression or a severe bug"


def goes_to_list(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether the mailing list is a recipient."""
    if any(DEFAULT_LIST in one.address for one in facts.recipients.sent):
        return "yes", f"{DEFAULT_LIST} ({facts.recipients.source})"
    return "no", f"{DEFAULT_LIST} is not a recipient"


def maintainers(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether get_maintainer.pl named maintainers."""
    people = [one for one in facts.recipients.sent if one.header == "cc"]
    if not people:
        return "person", "get_maintainer.pl names no maintainer; find people who know the code"
    return "yes", f"{len(people)} in Cc, with reasons in recipients.txt"


def version_tag(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether the subjects contain the version."""
    metadata = facts.series.metadata
    if metadata.version == 1:
        return FIRST_VERSION
    return "yes", f"[{metadata.subject_prefix} v{metadata.version}]"


def change_log(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether the changes of the version are listed."""
    metadata = facts.series.metadata
    if metadata.version == 1:
        return FIRST_VERSION
    changes = metadata.changes_of(metadata.version)
    if changes.series or changes.patches:
        return (
            "yes",
            f"[changes.v{metadata.version}] of series.toml: in the cover letter, and below --- of each patch",
        )
    return "no", f"series.toml lists no changes under [changes.v{metadata.version}]"


def review_tags(facts: Facts) -> tuple[Verdict, str]:
    """Judge whether all tags refer to the current diffs."""
    if facts.dropped_tags:
        return "no", f"removed tags of changed patches: {'; '.join(facts.dropped_tags)}"
    return "yes", "no patch changed after its review"


def mailed(facts: Facts) -> tuple[Verdict, str]:
    """Return the result of the dry run of git send-email."""
    return facts.send_email
