"""Collect the content of the mails of a validated series: commits, recipients, reasons not to send."""

import datetime
from collections.abc import Sequence

from harness.authoring.branch import Commit, read_commits, reword
from harness.authoring.history import previous_version
from harness.authoring.refresh import read_old
from harness.authoring.tags import KnownTags, StaleTag, stale_tags, without_tags
from harness.errors import SubmitError
from harness.layout import Layout
from harness.progress import Reporter
from harness.series import Series, load_series, parse_trailers, read_input
from harness.submit.cover import blurb_of, find_figures
from harness.submit.mails import signed
from harness.submit.policy import find_policy
from harness.submit.provenance import Identity, Reason, git_identity, judge, read_declaration, sign_off_line
from harness.submit.recipients import Recipients, find_recipients
from harness.submit.record import Outgoing
from harness.submit.validated import Validated, check_base, read_validated
from harness.submit.write import Work, write
from harness.tree import Tree, apply_series
from harness.tree.git import Git


def prepare(
    layout: Layout,
    tree: Tree,
    name: str,
    reporter: Reporter,
    *,
    sign_off: bool = False,
    today: datetime.date | None = None,
) -> Outgoing:
    """Write ``build/outgoing/<series>-v<N>/``.

    Raises SubmitError (not validated, or the mails do not produce the same commits), ProvenanceError (a
    sign-off without its declaration), ApplyError, StorageError.
    """
    series = load_series(layout, name)
    sha256, source = read_input(layout, name).sha256, str(tree.clone or "")
    validated = read_validated(layout, name, sha256, tree.pin.name, source=source)
    check_base(validated, tree)
    git, identity = Git(repository=tree.path), git_identity(layout.clone or layout.root)
    declaration, policy = read_declaration(series.folder), find_policy(tree, layout)
    line = sign_off_line(series, declaration, identity) if sign_off else ""
    base = validated.results.base_commit
    applied = apply_series(tree, series, layout, reporter, onto=base).commit
    commits, stale = _without_stale(git, series, base, applied)
    if len(commits) != len(series.patches):
        raise SubmitError(
            f"{len(series.patches)} patches result in {len(commits)} commits: the tree already contains some",
            f"remove those patches: qemu-harness series import {name}, then series refresh {name}",
        )
    commits = signed(git, base, commits, line)
    author = Identity(name=commits[0].author, email=commits[0].email)
    sender = identity if identity.name and identity.email else author
    recipients = find_recipients(git, base, commits[-1].id, series, reporter, sender=sender.email)
    day = today or datetime.datetime.now(datetime.UTC).date()
    reasons = (
        *judge(git, series, declaration, policy, today=day),
        *_unfit(series, validated, commits, recipients),
    )
    work = Work(
        layout=layout,
        tree=tree,
        series=series,
        validated=validated,
        base=base,
        commits=commits,
        stale=stale,
        unsigned=unsigned(commits),
        recipients=recipients,
        reasons=reasons,
        sender=sender,
        figures=find_figures(layout, applied),
    )
    return write(work, reporter)


def _without_stale(
    git: Git, series: Series, base: str, tip: str
) -> tuple[tuple[Commit, ...], tuple[StaleTag, ...]]:
    """Return the commits of the series without stale review tags, and those tags."""
    commits = read_commits(git, base, tip)
    before = previous_version(series.folder)
    known = KnownTags.read(git, series.folder, read_old(before) if before else ())
    found = [stale_tags(git, commit, known) for commit in commits]
    if not any(found):
        return commits, ()
    messages = [without_tags(one.message, stale) for one, stale in zip(commits, found, strict=True)]
    return reword(git, base, commits, messages), tuple(one for stale in found for one in stale)


def unsigned(commits: Sequence[Commit]) -> tuple[str, ...]:
    """Return the subjects of the commits without a Signed-off-by of their author's address."""
    subjects = []
    for commit in commits:
        signers = {
            one.person.email.lower()
            for one in parse_trailers(commit.message)
            if one.key.lower() == "signed-off-by"
        }
        if commit.email.lower() not in signers:
            subjects.append(commit.subject)
    return tuple(subjects)


def _unfit(
    series: Series, validated: Validated, commits: Sequence[Commit], recipients: Recipients
) -> list[Reason]:
    """Return the reasons, other than the origin, not to send the series."""
    reasons = []
    if missing := unsigned(commits):
        signed_ = len(commits) - len(missing)
        which = f"{signed_} of {len(commits)} patches have" if signed_ else "no patch has"
        reasons.append(
            Reason(rule="sign-off", text=f"{which} a Signed-off-by of its author; only a person can add it")
        )
    if not validated.built:
        reasons.append(Reason(rule="built", text="validate did not build every commit"))
    if len(commits) > 1 and not blurb_of(series):
        reasons.append(Reason(rule="cover", text="the cover letter, 0000-cover-letter.patch, has no text"))
    if not recipients.header("to"):
        reasons.append(
            Reason(rule="recipients", text="there is no mailing list to send it to (to in series.toml)")
        )
    return reasons
