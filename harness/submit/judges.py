"""How each rule of QEMU's submitting-a-patch.rst is judged: a verdict, and the evidence for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from harness.check.model import Finding
from harness.submit.cover import blurb_of
from harness.submit.facts import Facts, Verdict
from harness.submit.recipients import DEFAULT_LIST

Judge = Callable[[Facts], tuple[Verdict, str]]

TOLD = (
    *("checkpatch-*", "motion-*", "whitespace-*", "subject-*", "body-*", "file-maintainers", "build-*"),
    *("test-fails", "behaviour-fails", "dco-*", "provenance-*", "cover-*", "version-*"),
)
"""Rules of validate that an item of the checklist tells, or that do not hold once mails are numbered anew."""


def only_a_person(what: str) -> Judge:
    """An open box."""
    return lambda _: ("person", what)


def no_finding(*rules: str, clean: str, only: tuple[str, ...] = ("error", "warning")) -> Judge:
    """No finding of ``rules`` (ids, or beginnings that end in ``*``) in validate's result."""

    def judge(facts: Facts) -> tuple[Verdict, str]:
        off = [rule for rule in facts.validated.results.switched_off if _is_one(rule, rules)]
        found = [
            one
            for one in facts.validated.results.findings
            if _is_one(one.rule, rules) and one.severity in only
        ]
        if found:
            return "no", _told(found)
        return ("person", f"not checked: {', '.join(off)} switched off") if off else ("yes", clean)

    return judge


def nothing_else(facts: Facts) -> tuple[Verdict, str]:
    """Whether validate has an error or a warning that no other rule here tells."""
    left = [
        one
        for one in facts.validated.results.findings
        if one.severity != "note" and not _is_one(one.rule, TOLD)
    ]
    return ("no", _told(left)) if left else ("yes", "no further error or warning")


def _is_one(rule: str, rules: Iterable[str]) -> bool:
    return any(rule == one or (one.endswith("*") and rule.startswith(one[:-1])) for one in rules)


def _told(found: Iterable[Finding]) -> str:
    each = [f"patch {one.patch}: {one.message}" if one.patch else one.message for one in found]
    return "; ".join(each[:3]) + (f"; and {len(each) - 3} more" if len(each) > 3 else "")


def on_master(facts: Facts) -> tuple[Verdict, str]:
    """Whether the base is upstream's branch."""
    if facts.base_commit:
        return (
            "person",
            f"based on {facts.base_commit[:12]}: see that this is {facts.series.metadata.branch} of today",
        )
    return "no", f"{facts.base_words.rstrip('.')}: rebase them onto {facts.series.metadata.branch}"


def based_on(facts: Facts) -> tuple[Verdict, str]:
    """Whether what it needs first is named."""
    names = facts.series.metadata.based_on
    return ("yes", f"Based-on: {', '.join(names)}") if names else ("not needed", "it needs no other series")


def compiles(facts: Facts) -> tuple[Verdict, str]:
    """Whether validate built each commit."""
    results = facts.validated.results
    bad = [one for one in results.findings if one.rule.startswith("build-") and one.severity != "note"]
    if bad:
        return "no", _told(bad)
    if not facts.validated.built:
        return "no", "validate did not build every commit: -Dbisect=each"
    hosts = sorted({one.host for one in results.builds})
    targets = results.options.get("targets", ())
    return "yes", f"each commit was built for {', '.join(targets)} on {', '.join(hosts)}"


def tested(facts: Facts) -> tuple[Verdict, str]:
    """Whether QEMU's own tests passed."""
    results = facts.validated.results
    bad = [one for one in results.findings if one.rule in ("test-fails", "behaviour-fails")]
    if bad:
        return "no", _told(bad)
    ran = [one for one in results.tests if one.patch and one.outcome == "ok"]
    if not ran:
        return "person", "validate ran none of QEMU's tests: -Dqemu-tests=touched or all"
    tests = len({(one.suite, one.name) for one in ran})
    return "yes", f"{tests} of QEMU's own tests passed; none fails that passed before"


def has_test(facts: Facts) -> tuple[Verdict, str]:
    """Whether it touches ``tests/``."""
    paths = sorted({path for one in facts.series.patches for path in one.paths if path.startswith("tests/")})
    return ("yes", ", ".join(paths[:3])) if paths else ("person", "it changes nothing below tests/")


def inline_text(facts: Facts) -> tuple[Verdict, str]:
    """Whether each mail is one plain text."""
    return ("no", "; ".join(facts.odd_mails[:3])) if facts.odd_mails else ("yes", "one plain text a mail")


def binaries(facts: Facts) -> tuple[Verdict, str]:
    """Whether it has binary files."""
    blobs = [change.path for one in facts.series.patches for change in one.changes if change.binary]
    return ("no", f"binary: {', '.join(blobs[:5])}") if blobs else ("yes", "no binary file")


def signed_off(facts: Facts) -> tuple[Verdict, str]:
    """Whether each author signed off."""
    if facts.unsigned:
        which = (
            "none of the patches has" if len(facts.unsigned) == len(facts.series.patches) else "missing in"
        )
        names = "" if which.endswith("has") else f" {'; '.join(facts.unsigned)}"
        return "no", f"{which}{names or ' a Signed-off-by of its author'}"
    return "yes", f"all {len(facts.series.patches)} patches have their author's"


def declared(facts: Facts) -> tuple[Verdict, str]:
    """Whether a person declared the origin, and nothing speaks against it."""
    others = [one.text for one in facts.reasons if one.rule != "sign-off"]
    return ("no", "; ".join(others)) if others else ("yes", "a person declared it: provenance.toml")


def cover_letter(facts: Facts) -> tuple[Verdict, str]:
    """Whether there is one where one is due."""
    if len(facts.series.patches) == 1 and not facts.has_cover:
        return "not needed", "one patch alone"
    if not blurb_of(facts.series):
        return "no", "nobody wrote one: put it into 0000-cover-letter.patch"
    return "yes", "with a text, a shortlog and a diffstat of the whole"


def rfc_reason(facts: Facts) -> tuple[Verdict, str]:
    """Whether an RFC says why."""
    if "RFC" not in facts.series.metadata.subject_prefix.split():
        return "not needed", "it is no RFC"
    said = re.search(r"\bRFC\b", blurb_of(facts.series))
    return (
        ("yes", "the cover letter speaks of it")
        if said
        else ("no", "the cover letter does not say why it is an RFC")
    )


def for_stable(facts: Facts) -> tuple[Verdict, str]:
    """Whether stable was thought of."""
    if any("qemu-stable" in one.address for one in facts.recipients.sent):
        return "yes", "qemu-stable gets it"
    fixes = [one.number for one in facts.series.patches if re.search(r"^Fixes: ", one.message, re.MULTILINE)]
    if fixes:
        return "person", f"patch {fixes[0]} has Fixes: is it for stable? (cc in series.toml)"
    return "person", "nothing says that it fixes a regression or a severe bug"


def goes_to_list(facts: Facts) -> tuple[Verdict, str]:
    """Whether the list gets it."""
    there = any(DEFAULT_LIST in one.address for one in facts.recipients.sent)
    return (
        ("yes", f"{DEFAULT_LIST} ({facts.recipients.source})")
        if there
        else ("no", f"{DEFAULT_LIST} is not among them")
    )


def maintainers(facts: Facts) -> tuple[Verdict, str]:
    """Whether get_maintainer.pl named somebody."""
    people = [one for one in facts.recipients.sent if one.header == "cc"]
    if not people:
        return "person", "get_maintainer.pl names nobody: who knows the code?"
    return "yes", f"{len(people)} in Cc, each with its reason in recipients.txt"


def version_tag(facts: Facts) -> tuple[Verdict, str]:
    """Whether the version is in the subjects."""
    version = facts.series.metadata.version
    return (
        ("yes", f"[{facts.series.metadata.subject_prefix} v{version}]")
        if version > 1
        else ("not needed", "it is the first")
    )


def change_log(facts: Facts) -> tuple[Verdict, str]:
    """Whether it is told what is new."""
    said = facts.series.metadata
    if said.version == 1:
        return "not needed", "it is the first version"
    changes = said.changes_of(said.version)
    if changes.series or changes.patches:
        return (
            "yes",
            f"[changes.v{said.version}] of series.toml: in the cover letter, and below --- of each patch",
        )
    return "no", f"series.toml says nothing under [changes.v{said.version}]"


def review_tags(facts: Facts) -> tuple[Verdict, str]:
    """Whether tags had to be left out."""
    if facts.dropped_tags:
        return "no", f"tags of patches that changed: {'; '.join(facts.dropped_tags)}"
    return "yes", "no tag is on a patch that changed since it was given"


def mailed(facts: Facts) -> tuple[Verdict, str]:
    """What a dry run of git send-email gave."""
    return facts.send_email
