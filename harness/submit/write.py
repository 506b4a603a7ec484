"""Write the outgoing folder: under a temporary name, checked by applying the mails, then renamed once."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.authoring.branch import Commit
from harness.authoring.history import previous_version
from harness.authoring.tags import StaleTag
from harness.errors import ApplyError, StorageError
from harness.layout import Layout
from harness.progress import Reporter
from harness.series import Series, read_mail, series_of_folder
from harness.submit import handover, render
from harness.submit.checklist import make_checklist
from harness.submit.cover import Figures, base_commit, based_on_release, compose, written_part
from harness.submit.facts import ChecklistItem, Facts
from harness.submit.mails import Envelope, cover_mail, mailbox, patch_mails
from harness.submit.provenance import Identity, Reason
from harness.submit.recipients import Recipients
from harness.submit.record import Outgoing, Sent, write_record
from harness.submit.roundtrip import check_round_trip
from harness.submit.validated import Validated
from harness.tree import Tree, apply_series
from harness.tree.git import Git

BOX = "series.mbox"


@dataclass(frozen=True, kw_only=True)
class Work:
    """The content of the mails. ``commits`` are sent; they are on top of ``base``."""

    layout: Layout
    tree: Tree
    series: Series
    validated: Validated
    base: str
    commits: tuple[Commit, ...]
    stale: tuple[StaleTag, ...]
    unsigned: tuple[str, ...]
    recipients: Recipients
    reasons: tuple[Reason, ...]
    sender: Identity
    figures: Figures

    @property
    def git(self) -> Git:
        return Git(repository=self.tree.path)

    @property
    def tip(self) -> str:
        return self.commits[-1].id

    @property
    def sha256(self) -> str:
        """Digest of the bytes that were validated."""
        return self.validated.results.series.sha256


def outgoing_folder(layout: Layout, name: str, version: int) -> Path:
    """Return the output folder of a version of a series."""
    return layout.build / "outgoing" / f"{name}-v{version}"


def write(work: Work, reporter: Reporter) -> Outgoing:
    """Write the folder. Raises SubmitError if the mails do not produce the commits, StorageError."""
    folder = outgoing_folder(work.layout, work.series.name, work.series.metadata.version)
    aside = folder.with_name(f".{folder.name}.new")
    range_diff = _range_diff(work, reporter)
    mails, envelope = _mails(work, range_diff)
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        for name, data in {**mails, **_companions(work, folder.name, mails, range_diff)}.items():
            (aside / name).write_bytes(data)
        with reporter.step("applying the mails, and trying git send-email"):
            round_trip = check_round_trip(
                work.layout,
                work.tree,
                aside / BOX,
                reporter,
                name=work.series.name,
                base=work.base,
                commits=work.commits,
            )
            dry_run = handover.try_send_email(
                [aside / name for name in mails], work.recipients, str(work.sender)
            )
        facts = Facts(
            series=work.series,
            validated=work.validated,
            recipients=work.recipients,
            reasons=work.reasons,
            unsigned=work.unsigned,
            dropped_tags=tuple(f"{one.line} of {one.patch}" for one in work.stale),
            base_commit=base_commit(work.series, work.tree, work.base),
            base_words=based_on_release(work.series, work.tree),
            has_cover=envelope.has_cover,
            irregular_mails=irregular_mails(mails),
            round_trip=round_trip,
            send_email=dry_run.judge(ready=envelope.is_ready),
        )
        items = make_checklist(facts)
        _checklists(aside, folder.name, items, work.reasons)
        done = _record(work, folder, mails, envelope, items)
        write_record(aside, done)
        _replace(aside, folder)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error}", "free some disk space") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return done


def _mails(work: Work, range_diff: str) -> tuple[dict[str, bytes], Envelope]:
    metadata = work.series.metadata
    envelope = Envelope(
        name=work.series.name,
        prefix=metadata.subject_prefix,
        version=metadata.version,
        total=len(work.commits),
        has_cover=len(work.commits) > 1 or bool(work.series.cover),
        sender=work.sender,
        recipients=work.recipients,
        reasons=work.reasons,
        seed=f"{work.sha256} {work.tip}",
    )
    mails = patch_mails(work.git, work.base, work.tip, work.series, envelope)
    if envelope.has_cover:
        body = compose(
            work.series,
            work.tree,
            work.git,
            base=work.base,
            tip=work.tip,
            figures=work.figures,
            range_diff=range_diff,
        )
        date = work.git.read("log", "-1", "--format=%aD", work.tip)
        name, data = cover_mail(metadata.title, body, date, envelope)
        mails = {name: data, **mails}
    return mails, envelope


def _companions(work: Work, title: str, mails: dict[str, bytes], range_diff: str) -> dict[str, bytes]:
    """Return the files next to the mails, except checklists and records."""
    head = "\n".join(render.heading(title, work.reasons)) + "\n\n"
    metadata = work.series.metadata
    patches = [data for name, data in mails.items() if "0000-cover-letter" not in name]
    folder = outgoing_folder(work.layout, work.series.name, metadata.version)
    ready = not work.reasons
    commands = handover.instructions(
        folder, work.recipients, work.series.name, version=metadata.version, ready=ready
    )
    mark = "" if ready else head
    files = {
        BOX: mailbox(patches),
        "cover.txt": f"{mark}{metadata.title}\n\n{written_part(work.series, work.figures)}\n".encode(),
        "recipients.txt": (head + _recipients_text(work.recipients)).encode(),
        "send.txt": (head + commands).encode(),
    }
    if range_diff:
        files["range-diff.txt"] = (mark + range_diff).encode("utf-8", "surrogateescape")
    return files


def _record(
    work: Work, folder: Path, mails: dict[str, bytes], envelope: Envelope, items: tuple[ChecklistItem, ...]
) -> Outgoing:
    first = 0 if envelope.has_cover else 1
    return Outgoing(
        folder=str(folder),
        series=work.series.name,
        version=work.series.metadata.version,
        ready=envelope.is_ready,
        reasons=work.reasons,
        sha256=work.sha256,
        mails=tuple(
            Sent.of(name, data, envelope.message_id(number))
            for number, (name, data) in enumerate(mails.items(), start=first)
        ),
        recipients=work.recipients.sent,
        left_out=dict(work.recipients.left_out),
        stale=work.stale,
        checklist=items,
        figures=work.figures.why,
    )


def irregular_mails(mails: dict[str, bytes]) -> tuple[str, ...]:
    """Return a line for each irregularity that a reader of the mails would find."""
    read = [read_mail(data, name) for name, data in mails.items()]
    return tuple(
        f"{mail.origin}: {fault.detail}" for mail in read for fault in mail.faults if fault.kind != "empty"
    )


def _range_diff(work: Work, reporter: Reporter) -> str:
    """Run git-range-diff(1) against the previous version; empty for a first version."""
    before = previous_version(work.series.folder)
    if before is None:
        return ""
    past = series_of_folder(before, f"{work.series.name}-{before.name}")
    try:
        old = apply_series(work.tree, past, work.layout, reporter, onto=work.base).commit
    except ApplyError as error:
        return f"(none: {before.name} does not apply to this base: {error.cause})\n"
    return work.git.run(
        "range-diff", "--no-color", f"{work.base}..{old}", f"{work.base}..{work.tip}", merge_stderr=False
    ).output


def _recipients_text(recipients: Recipients) -> str:
    lines = [f"Source of the list and of the arguments of get_maintainer.pl: {recipients.source}.", ""]
    for one in recipients.sent:
        lines += [f"{one.header.capitalize()}: {one.address}", *(f"    {why}" for why in one.reasons)]
    if recipients.left_out:
        lines += ["", "Left out:"]
        lines += [f"  {address}: {why}" for address, why in recipients.left_out]
    return "\n".join(lines) + "\n"


def _checklists(folder: Path, title: str, items: Sequence[ChecklistItem], reasons: Sequence[Reason]) -> None:
    for name, text in (
        ("checklist.txt", render.as_text(title, items, reasons)),
        ("checklist.md", render.as_markdown(title, items, reasons)),
        ("checklist.html", render.as_html(title, items, reasons)),
    ):
        (folder / name).write_text(text, encoding="utf-8")


def _replace(aside: Path, folder: Path) -> None:
    """Replace ``folder``, which an earlier run wrote or which does not exist, by ``aside``."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
