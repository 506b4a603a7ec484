"""Create a series: a folder below ``patches/`` and a branch for its commits."""

import re
from dataclasses import dataclass
from pathlib import Path

from harness.authoring.branch import Workspace, base_of, find_workspace, is_saved, make_workspace
from harness.authoring.files import edit_series_file, write_file
from harness.authoring.refresh import read_old
from harness.authoring.status import read_status
from harness.errors import AuthoringError
from harness.layout import Layout, safe_name
from harness.progress import Reporter
from harness.series import Input, load_series, mailbox_bytes, patch_files, read_series_file
from harness.series.form import tag_for, with_tag
from harness.series.metadata import FILE
from harness.series.version import Version
from harness.tree import Tree, apply_series


@dataclass(frozen=True, kw_only=True)
class Created:
    """A new or imported series: its folder, its worktree, and notes about irregular input."""

    folder: Path
    workspace: Workspace
    notes: tuple[str, ...] = ()


def refuse_existing(layout: Layout, name: str) -> Path:
    """Return the folder for a new series. Raises OptionError (invalid name), AuthoringError (it exists)."""
    folder = layout.patches / safe_name(name)
    if folder.exists():
        raise AuthoringError(f"{folder} already exists", "choose another name, or: series import")
    return folder


def new_series(layout: Layout, tree: Tree, name: str, title: str) -> Created:
    """Create an empty series with a branch at ``base``. Raises the errors of refuse_existing."""
    folder = refuse_existing(layout, name)
    edit_series_file(folder, title=title or name, pins=[tree.pin.name])
    return Created(folder=folder, workspace=make_workspace(layout, tree, name, tree.pristine))


def import_series(
    layout: Layout, tree: Tree, name: str, found: Input | None, reporter: Reporter, *, discard: bool = False
) -> Created:
    """Turn patches into commits of the series' branch.

    With ``found``, first write its newest version to ``patches/<name>``, which must contain no patches.
    A branch with commits that are not in the patches is refused, unless ``discard``. A ref keeps them even
    then. Raises AuthoringError, ApplyError.
    """
    folder = layout.patches / safe_name(name)
    notes: tuple[str, ...] = ()
    if found is not None:
        if patch_files(folder):
            raise AuthoringError(
                f"{folder} already contains patches", "choose another name, or remove that folder"
            )
        notes = _write(folder, found, tree)
    series = load_series(layout, name)
    before = find_workspace(layout, tree, name)
    if before is not None and before.tip != base_of(tree, folder) and not discard:
        rows = read_status(layout, tree, folder).rows
        if all(row.state == "same" for row in rows):
            return Created(folder=folder, workspace=before, notes=notes)  # keep commit ids and committers
        if not is_saved(before.bare, name):
            raise AuthoringError(
                f"branch {before.branch} has commits that are not in the patches of {name}",
                f"write them first (qemu-harness series refresh {name}), or drop them (--discard)",
            )
    applied = apply_series(tree, series, layout, reporter, onto=base_of(tree, folder))
    made = make_workspace(layout, tree, name, applied.commit)
    return Created(folder=folder, workspace=made, notes=(*notes, *applied.notes))


def _write(folder: Path, found: Input, tree: Tree) -> tuple[str, ...]:
    """Write the newest version of ``found`` to ``folder``; return notes about irregular mails."""
    version = found.version
    notes = list(found.notes)
    if version.missing:
        raise AuthoringError(
            f"{found.source}: patches {', '.join(map(str, version.missing))} of {version.total} are missing",
            "get the whole series, such as the mailbox of its thread",
        )
    total = len(version.patches)
    for mail in version.patches:
        notes += [f"{mail.origin}: {fault.detail}" for fault in mail.faults]
        if not mail.is_sound:
            raise AuthoringError(
                f"{mail.origin} contains no patch that git can read",
                "ask the author to send it again with git send-email",
                details=tuple(fault.detail for fault in mail.faults),
            )
    words = version.patches[0].subject.words
    prefix = " ".join([*(["RFC"] if version.rfc else []), *words]) or "PATCH"
    title = version.cover.subject.title if version.cover else version.patches[0].subject.title
    if not (folder / FILE).exists():
        edit_series_file(
            folder,
            title=found.metadata.title if found.metadata.title not in ("", found.name) else title,
            pins=[tree.pin.name],
            version=version.number,
            prefix=prefix,
            **_stated_base(version),
        )
    for number, mail in enumerate(version.patches, start=1):
        data = mailbox_bytes(mail)
        if not data.startswith(b"From "):
            data = b"From " + b"0" * 40 + b" Mon Sep 17 00:00:00 2001\n" + data
        write_file(folder / f"{number:04d}-{_slug(mail.subject.title)}.patch", data)
    if version.cover is not None:
        prefix = read_series_file(folder).subject_prefix
        tag = tag_for(prefix, version.number, 0, total, numbered=True)
        write_file(folder / "0000-cover-letter.patch", with_tag(version.cover.data, tag))
    assert len(read_old(folder)) == total
    return tuple(notes)


def _stated_base(version: Version) -> dict[str, object]:
    """Read ``base-commit:`` (git-format-patch(1)) and ``Based-on:`` from the mails."""
    mails = [*([version.cover] if version.cover else []), version.patches[-1]]
    text = "\n".join(f"{mail.message}\n{mail.notes}\n{mail.diff}" for mail in mails)
    commit = re.search(r"^base-commit: ([0-9a-f]{40})$", text, re.MULTILINE)
    series = re.findall(r"^Based-on: <?([^<>\s]+@[^<>\s]+)>?$", text, re.MULTILINE)
    found: dict[str, object] = {"base_commit": commit[1]} if commit else {}
    return {**found, "based_on": list(dict.fromkeys(series))} if series else found


def _slug(title: str) -> str:
    """Convert a subject to a part of a file name as git-format-patch(1) does, at most 52 characters."""
    kept = "".join(
        character if character.isascii() and (character.isalnum() or character in "._") else "-"
        for character in title
    )
    while "--" in kept:
        kept = kept.replace("--", "-")
    return kept[:52].strip("-.") or "patch"
