"""Commands that maintain a series and prepare it for the mailing list. None of them sends mail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.table import Table

from harness.commands.request import Argument, Output, Request, argument, say
from harness.errors import AuthoringError, OptionError
from harness.layout import safe_name
from harness.options import Options

if TYPE_CHECKING:
    from harness.authoring.branch import Workspace
    from harness.authoring.status import Status
    from harness.tree import Tree

SERIES: tuple[Argument, ...] = (
    argument(
        "action",
        choices=("new", "import", "refresh", "split", "status", "tags", "reroll", "declare"),
        help="new: create a series; import: turn patches into commits; refresh: turn commits into"
        " patches; split: split a patch in two; status: compare patches and commits; tags: list the"
        " review tags of replies; reroll: archive this version and start the next; declare: write a form"
        " in which a person declares the origin",
    ),
    argument("name", metavar="NAME", help="name of the series, a folder below patches/"),
    argument(
        "args",
        nargs="*",
        metavar="ARG",
        help="import: a folder, mailbox or CLONE@A..B; tags: a mailbox; split: the number of a patch"
        " and file name patterns",
    ),
    argument("--title", default="", help="new: title of the series; split: subject of the new commit"),
    argument("--discard", action="store_true", help="import: drop commits that are not in the patches"),
    argument("--keep-tags", action="store_true", help="refresh: keep review tags of changed patches"),
    argument("--apply", action="store_true", help="tags: add the tags without a problem to the patches"),
)

OPTIONS = {"title": ("new", "split"), "discard": ("import",), "keep_tags": ("refresh",), "apply": ("tags",)}
"""Options of ``series``, and the actions that they belong to."""


def series(request: Request) -> int:
    """Maintain a series as patches and as commits: qemu-harness series status async-teardown."""
    arguments = request.arguments
    # The functions below, and how many arguments after the name they accept.
    actions: dict[str, tuple[Callable[[Request, str, list[str]], int], int, int]] = {
        "new": (_new, 0, 0),
        "import": (_import, 0, 1),
        "refresh": (_refresh, 0, 0),
        "split": (_split, 2, 99),
        "status": (_status, 0, 0),
        "tags": (_tags, 1, 1),
        "reroll": (_reroll, 0, 0),
        "declare": (_declare, 0, 0),
    }
    act, least, most = actions[arguments.action]
    safe_name(arguments.name)
    for option, of in OPTIONS.items():
        if getattr(arguments, option) and arguments.action not in of:
            raise OptionError(
                f"--{option.replace('_', '-')} is for series {' and '.join(of)}",
                "omit it here",
            )
    if not least <= len(arguments.args) <= most:
        raise OptionError(
            f"series {arguments.action} needs {_count(least, most)} after the name, "
            f"not {len(arguments.args)}",
            "run `qemu-harness series --help`",
        )
    if arguments.action == "status":
        return act(request, arguments.name, arguments.args)  # only reads, so it needs no lock
    with request.checkout():
        return act(request, arguments.name, arguments.args)


def _count(least: int, most: int) -> str:
    """Describe how many arguments an action accepts."""
    if least == 0:
        return "at most 1 argument" if most else "no arguments"
    return "1 argument" if most == 1 else f"at least {least} arguments"


def _options(request: Request) -> Options:
    """Return the options. Unless -Dpin= was given, the pin is the first one in series.toml."""
    import dataclasses

    from harness.series import read_series_file

    options = request.options()
    folder = request.layout.series(getattr(request.arguments, "name", options.series))
    if not options.has("pin") and folder.is_dir():
        pins = read_series_file(folder).pins
        if pins and options.pin not in pins:
            return dataclasses.replace(options, pin=pins[0])
    return options


def _place(request: Request, options: Options) -> str:
    """Return the name of the tree that a validation was for. That of a pin is not fetched."""
    from harness.pipeline import tree_name

    return tree_name(request.layout, options, request.reporter) if options.source else options.pin


def _tree(request: Request) -> Tree:
    from harness.pipeline import tree_of

    return tree_of(request.layout, _options(request), request.reporter)


def _command(request: Request, action: str) -> str:
    """Return the command for another ``action`` on the same series and tree."""
    from harness.process import shell_quote

    return f"`{shell_quote(['qemu-harness', 'series', action, request.arguments.name, *request.words])}`"


def _workspace(request: Request, tree: Tree, name: str) -> Workspace:
    from harness.authoring.branch import find_workspace

    workspace = find_workspace(request.layout, tree, name)
    if workspace is None:
        raise AuthoringError(
            f"series {name} has no branch on {tree.name}", f"run {_command(request, 'import')}"
        )
    return workspace


def _new(request: Request, name: str, _: list[str]) -> int:
    from harness.authoring.create import new_series, refuse_existing

    refuse_existing(request.layout, name)
    made = new_series(request.layout, _tree(request), name, request.arguments.title)
    say(f"{made.folder}: complete series.toml")
    say(f"{made.workspace.path}: commit there, then run {_command(request, 'refresh')}")
    return 0


def _import(request: Request, name: str, args: list[str]) -> int:
    from harness.authoring.create import import_series
    from harness.series import read_input

    found = read_input(request.layout, args[0]) if args else None
    made = import_series(
        request.layout, _tree(request), name, found, request.reporter, discard=request.arguments.discard
    )
    for note in made.notes:
        request.reporter.note(f"  {note}")
    say(f"{made.workspace.path}: on branch {made.workspace.branch}")
    return 0


def _refresh(request: Request, name: str, _: list[str]) -> int:
    from harness.authoring.branch import base_of
    from harness.authoring.refresh import refresh
    from harness.series import find_folder

    folder, tree = find_folder(request.layout, name), _tree(request)
    done = refresh(
        _workspace(request, tree, name),
        folder,
        base_of(tree, folder),
        request.reporter,
        keep_tags=request.arguments.keep_tags,
    )
    for title, names in (("written", done.written), ("removed", done.removed)):
        for file in names:
            say(f"{title} {file}")
    say(f"{len(done.kept)} files unchanged")
    for stale in done.stale:
        request.reporter.warn(f"removed from {stale.patch!r}: {stale.line}: {stale.reason}")
    return 0


def _split(request: Request, name: str, args: list[str]) -> int:
    from harness.authoring.branch import base_of
    from harness.authoring.split import split
    from harness.series import find_folder

    number, *patterns = args
    if not number.isdecimal() or not request.arguments.title:
        raise OptionError(
            "series split needs the number of a patch, file name patterns and --title",
            f"for example: qemu-harness series split {name} 2 'docs/*' --title 'docs: describe it'",
        )
    folder, tree = find_folder(request.layout, name), _tree(request)
    workspace = _workspace(request, tree, name)
    for subject in split(workspace, base_of(tree, folder), int(number), patterns, request.arguments.title):
        say(subject)
    say(f"write the message of the new commit: git rebase -i, in {workspace.path}")
    say(f"then run {_command(request, 'refresh')}")
    return 0


def _status(request: Request, name: str, _: list[str]) -> int:
    from harness.authoring.status import read_status
    from harness.series import find_folder, read_input
    from harness.submit.validated import validation_summary

    folder = find_folder(request.layout, name)
    status = read_status(request.layout, _tree(request), folder)
    columns = ("", "patch", "file", "commit", "branch", "since previous", "tags")
    table = Table(*columns, box=None, pad_edge=False)
    for row in status.rows:
        table.add_row(
            str(row.number),
            row.subject,
            row.file[:4],
            row.commit,
            row.state,
            row.since,
            str(len(row.tags) or ""),
        )
    Output().print(table)
    for line in _summary(request, status):
        say(line)
    if status.rows:
        sha256 = read_input(request.layout, name).sha256
        options = _options(request)
        place = _place(request, options)
        say(validation_summary(request.layout, name, sha256, place, options.source))
    return 0


def _summary(request: Request, status: Status) -> list[str]:
    metadata, name = status.metadata, status.folder.name
    kept = ", ".join(f"v{number}" for number in status.kept_versions) or "none"
    lines = [
        f"{metadata.title}: [{metadata.subject_prefix}] version {metadata.version}; archived versions: {kept}"
    ]
    if status.workspace is None:
        lines.append(f"no branch; to create it, run {_command(request, 'import')}")
    else:
        lines.append(f"branch series/{name} in {status.workspace}")
        if status.changed_files:
            lines.append(f"{status.changed_files} changed files in it are not committed")
        if status.needs_refresh:
            lines.append(f"the branch differs from the patches; run {_command(request, 'refresh')}")
    return lines


def _tags(request: Request, name: str, args: list[str]) -> int:
    from harness.authoring.refresh import read_old
    from harness.authoring.tags import apply_tags, collect
    from harness.series import find_folder, read_input
    from harness.tree.git import Git

    folder, replies = find_folder(request.layout, name), read_input(request.layout, args[0])
    git, old = Git(repository=_tree(request).path), read_old(folder)
    found = collect(git, old, replies)
    for tag in found:
        say(f"{tag.patch}: {tag.line} (mail {tag.message_id or 'without Message-Id'})")
        if tag.problem:
            say(f"  not added: {tag.problem}")
    if request.arguments.apply:
        added = apply_tags(git, folder, old, found)
        say(f"{len(added)} tags added; next, run {_command(request, 'import')}")
    elif any(not tag.problem for tag in found):
        say("nothing was changed; --apply adds the tags without a problem to the patches")
    return 0


def _reroll(request: Request, name: str, _: list[str]) -> int:
    from harness.authoring.history import reroll
    from harness.series import find_folder, read_series_file
    from harness.submit.write import outgoing_folder

    folder = find_folder(request.layout, name)
    version = read_series_file(folder).version
    done = reroll(folder, outgoing_folder(request.layout, folder.name, version))
    say(f"{done.kept} contains version {done.version - 1}; the patches are now version {done.version}")
    say(f"describe the changes under [changes.v{done.version}] of {folder / 'series.toml'}")
    return 0


def _declare(request: Request, name: str, _: list[str]) -> int:
    from harness.series import load_series
    from harness.submit.policy import find_policy
    from harness.submit.provenance import write_form
    from harness.tree.git import Git

    loaded, tree = load_series(request.layout, name), _tree(request)
    policy = find_policy(tree, request.layout)
    path = write_form(Git(repository=tree.path), loaded, policy)
    say(policy.text)
    say(f"({policy.source}, sha256 {policy.sha256})")
    say(f"{path}: a person has to answer its questions; no program may")
    return 0


SUBMIT: tuple[Argument, ...] = (
    argument(
        "--sign-off",
        action="store_true",
        help="add the Signed-off-by of your git identity; requires that you have declared the origin",
    ),
)


def submit(request: Request) -> int:
    """Prepare the validated series for the mailing list, in build/outgoing/; a person sends it."""
    from harness.errors import NotReadyError
    from harness.series import load_series, read_input
    from harness.submit.prepare import prepare
    from harness.submit.record import FILE
    from harness.submit.render import as_table
    from harness.submit.validated import read_validated

    options, layout = _options(request), request.layout
    # Refuse before the tree is fetched.
    load_series(layout, options.series)
    sha256, place = read_input(layout, options.series).sha256, _place(request, options)
    read_validated(layout, options.series, sha256, place, source=options.source)
    with request.checkout():
        tree = _tree(request)
        done = prepare(layout, tree, options.series, request.reporter, sign_off=request.arguments.sign_off)
    name = f"{done.series}-v{done.version}"
    Output().print(as_table(name, done.checklist, done.reasons))
    for stale in done.stale:
        request.reporter.warn(f"removed from {stale.patch!r}: {stale.line}: {stale.reason}")
    say(f"\n{done.folder}: {len(done.mails)} mails; recipients.txt, checklist.html, send.txt, {FILE}")
    if not done.ready:
        raise NotReadyError(
            f"{name} is not ready to send: {done.reasons[0].text}",
            "resolve the items marked [!]; docs/submit.md describes how a person takes a series over",
            details=tuple(reason.text for reason in done.reasons[1:]),
        )
    return 0
