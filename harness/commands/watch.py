"""The command that validates the series of a list as they arrive."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.request import Argument, Request, argument, number, say
from harness.errors import OptionError, StorageError
from harness.lock import locked
from harness.options import Options

if TYPE_CHECKING:
    from harness.watch.store import Store

LOCK_S = 10.0
"""Seconds to wait for another watch of the same state."""

WATCH: tuple[Argument, ...] = (
    argument(
        "words",
        nargs="+",
        metavar="INBOX",
        help="a public-inbox repository, a maildir or a mailbox; or `status`: print the state of the"
        " queue; or `mail SERIES`: print the answer to a series, which a person may send",
    ),
    argument("--once", action="store_true", help="end when nothing is queued; for cron and CI"),
    argument(
        "--only",
        action="append",
        default=[],
        metavar="RULE",
        help="judge only series that touch this section of MAINTAINERS, folder (hw/net/) or path"
        " pattern; can be repeated, the first rule comes first",
    ),
    argument(
        "--since",
        default="",
        metavar="YYYY-MM-DD",
        help="leave out older mails of an archive or maildir that is read for the first time",
    ),
    argument(
        "--state", type=Path, metavar="FOLDER", help="folder of the state (default: watch/ in the checkout)"
    ),
    argument(
        "--site-url",
        default="",
        metavar="URL",
        help="public address of the folder of the site, for the links of its feed",
    ),
    argument(
        "--dispatch", choices=("gitlab",), help="judge series by pipelines of a project of GitLab, not here"
    ),
    argument(
        "--project", default="", metavar="GROUP/PROJECT", help="with --dispatch: the project, a fork of QEMU"
    ),
    argument(
        "--ref", default="", metavar="BRANCH", help="with --dispatch: its branch (default: its default one)"
    ),
    argument("--minutes", type=number, default=120, metavar="N", help="time limit of one run (default: 120)"),
    argument("--gib", type=number, default=40, metavar="N", help="disk limit of the builds (default: 40)"),
)


def watch(request: Request) -> int:
    """Validate the series of a mailing list as they arrive: qemu-harness watch INBOX -Dsource=CLONE."""
    action, *names = request.arguments.words
    if action == "status":
        return _status(request, names)
    if action == "mail":
        return _mail(request, names)
    return _watch(request, [action, *names])


def _watch(request: Request, names: list[str]) -> int:
    from harness.pipeline import refuse_folder
    from harness.sandbox import open_sandbox
    from harness.watch.inbox import kind_of
    from harness.watch.loop import FILE, Plan, choice_of, find_clone, watch
    from harness.watch.store import Store
    from harness.watch.work import Worker

    arguments, options = request.arguments, request.options()
    layout, reporter = request.layout, request.reporter
    _refuse(options)
    if arguments.since and not _is_day(arguments.since):
        raise OptionError(f"--since: {arguments.since!r} is no date", "write YYYY-MM-DD")
    if not arguments.dispatch and (arguments.project or arguments.ref):
        raise OptionError("--project and --ref are for --dispatch", "add --dispatch gitlab, or omit them")
    address = _address(arguments.site_url)
    inboxes = tuple(Path(name).expanduser().resolve() for name in names)
    for inbox in inboxes:
        kind_of(inbox)
    clone, branch = find_clone(options.source)
    choice = choice_of(clone, branch, arguments.only)
    folder = _folder(request)
    if options.bisect != "none" and not arguments.dispatch:
        refuse_folder(dataclasses.replace(layout, build=folder / "build"))
    with locked(folder / "watch", f"the watch in {folder}", reporter, timeout_s=LOCK_S):
        with open_sandbox(dataclasses.replace(layout, build=folder / "build"), "bwrap", reporter):
            pass  # a machine without one refuses before a mail is read
        with Store(folder / FILE) as store:
            worker = Worker(
                store=store,
                layout=layout,
                reporter=reporter,
                folder=folder,
                clone=clone,
                branch=branch,
                words=tuple(word for word in request.words if not word.startswith("-Dsource=")),
                minutes=arguments.minutes,
                gib=arguments.gib,
            )
            dispatch = None
            if arguments.dispatch:
                from harness.watch.dispatch import GitLab

                dispatch = GitLab(worker, arguments.project, arguments.ref)
            plan = Plan(inboxes=inboxes, choice=choice, since=arguments.since, once=arguments.once)
            watch(worker, plan, lambda: _site(store, folder / "site", address), dispatch)
            _print_status(store)
    return 0


def _is_day(text: str) -> bool:
    """Return whether ``text`` is a day of 1970 or later, as YYYY-MM-DD."""
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return day.isoformat() == text and day.year >= 1970


def _site(store: Store, folder: Path, address: str) -> None:
    from harness.watch.site.write import write_site

    write_site(store, folder, address)


def _address(text: str) -> str:
    """Return ``--site-url`` with a slash at its end; empty without one. Raises OptionError."""
    from harness.watch.site.series import is_url

    if text and (not is_url(text) or "?" in text or "#" in text):
        raise OptionError(
            f"--site-url: {text!r} is no address of a folder",
            "write the address of index.html without its name",
        )
    return text and f"{text.rstrip('/')}/"


def _refuse(options: Options) -> None:
    for name in ("series", "pin", "patches"):
        if options.has(name):
            raise OptionError(f"-D{name}=: watch judges whole series, which it finds itself", "omit it")
    if options.isolation == "none":
        raise OptionError("-Disolation=none: mails of a list are not trusted", "omit it")


def _folder(request: Request) -> Path:
    folder: Path = request.arguments.state or request.layout.root / "watch"
    return folder.expanduser().resolve()


def _open(request: Request) -> Store:
    from harness.watch.loop import FILE
    from harness.watch.store import Store

    path = _folder(request) / FILE
    if not path.is_file():
        raise StorageError(f"{path} does not exist", "start the watch first, or name its folder: --state")
    return Store(path)


def _print_status(store: Store) -> None:
    from harness.watch.status import status_lines

    for line in status_lines(store):
        say(line)


def _status(request: Request, names: list[str]) -> int:
    if names:
        raise OptionError("watch status accepts no arguments", "run: qemu-harness watch status")
    with _open(request) as store:
        _print_status(store)
    return 0


def _mail(request: Request, names: list[str]) -> int:
    from harness.watch.status import reply_to

    if len(names) != 1:
        raise OptionError("watch mail needs one series", "name its id or a Message-Id: watch mail 17")
    with _open(request) as store:
        say(reply_to(store, names[0]).rstrip("\n"))
    return 0
