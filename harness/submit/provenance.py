"""``provenance.toml``: a person says who wrote a series, with what, under which licence, having read what.

The harness writes the form and reads the answers; it never answers. What it can judge is whether the answers
are complete, are about these patches and this policy, and whether they, the patches and series.toml agree.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.authoring.compare import patch_id
from harness.authoring.files import write_file
from harness.check.provenance import says_generated
from harness.errors import ProvenanceError
from harness.jsonfile import UNREADABLE
from harness.process import run
from harness.series import Mail, Series, read_mail
from harness.series.form import diff_start
from harness.submit.policy import Policy
from harness.tree.git import Git

FILE = "provenance.toml"
OPEN = "?"
LICENCES = (
    *("GPL-2.0-or-later", "GPL-2.0-only", "LGPL-2.1-or-later", "LGPL-2.0-or-later", "BSD-2-Clause"),
    *("BSD-3-Clause", "MIT", "GPL-2.0+", "LGPL-2.1+"),
)
"""SPDX names of licences that QEMU, GPL version 2 as a whole, can take (its LICENSE file)."""
_PERSON = re.compile(r"\S[^<>\n]* <[^<>@\s]+@[^<>@\s]+>")
_NOBODY = re.compile(
    r"\b(?:bot|maintainers|noreply|root|localhost|unknown|nobody)\b|\.invalid>", re.IGNORECASE
)


class Declaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """The answers."""

    person: str
    date: str
    written_by: tuple[str, ...]
    tools: tuple[str, ...]
    generated: str
    derived_from: str
    licence: str
    policy: str
    policy_sha256: str
    policy_read: str
    patches: dict[str, str]
    """Patch-id → subject of what the declaration is about."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a series is not ready to be sent. ``rule`` is stable; ``quote`` is what the rule's source says."""

    rule: str
    text: str
    quote: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who git says the user is; both may be empty."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


def git_identity(folder: Path) -> Identity:
    """``user.name`` and ``user.email`` as git-config(1) sees them from ``folder``."""

    def ask(key: str) -> str:
        ended = run(["git", "-C", folder, "config", "--get", key], check=False, merge_stderr=False)
        return ended.output.strip() if ended.returncode == 0 else ""

    return Identity(name=ask("user.name"), email=ask("user.email"))


def read_declaration(folder: Path) -> Declaration | None:
    """The declaration in ``folder``; None without one. Raises ProvenanceError when it cannot be read."""
    path = folder / FILE
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Declaration)
    except FileNotFoundError:
        return None
    except (OSError, *UNREADABLE) as error:
        raise ProvenanceError(
            f"{path} cannot be read: {' '.join(str(error).split())}",
            f"mend it as docs/submit.md says, or begin anew: qemu-harness series declare {folder.name}",
        ) from error


def write_form(git: Git, series: Series, policy: Policy) -> Path:
    """Write a form with nothing answered. Raises ProvenanceError when there is a declaration already."""
    path = series.folder / FILE
    if path.exists():
        raise ProvenanceError(
            f"{path} is there already", "remove it when it is not true any more, and run this again"
        )
    lines = [
        "# Where this series comes from. A person answers each question below by replacing its ?, and stands",
        "# for the answers; the harness only reads them. docs/submit.md says what is made of each.",
        "",
        "# Who declares this: Name <address>, the git identity that signs off.",
        f'person = "{OPEN}"',
        "# When: YYYY-MM-DD.",
        f'date = "{OPEN}"',
        "# Everybody who wrote a part of it: Name <address>.",
        f'written-by = ["{OPEN}"]',
        "# Every tool that made a part of its text (coccinelle, a generator, an AI assistant); [] for none.",
        f'tools = ["{OPEN}"]',
        "# Does any of it come from an AI content generator? yes or no.",
        f'generated = "{OPEN}"',
        "# Other works that it was derived from or that were copied from; none, or which and by what right.",
        f'derived-from = "{OPEN}"',
        "# Licence of what is contributed, by its SPDX name, such as GPL-2.0-or-later.",
        f'licence = "{OPEN}"',
        "# Have you read the policy named here, and the Developer's Certificate of Origin? yes or no.",
        f'policy-read = "{OPEN}"',
        f"policy = {_quoted(policy.source)}",
        f'policy-sha256 = "{policy.sha256}"',
        "",
        "# What it is about: a patch that changes materially needs a new declaration.",
        "[patches]",
        *(f'"{its_id}" = {_quoted(subject)}' for its_id, subject in series_patch_ids(git, series).items()),
        "",
    ]
    write_file(path, "\n".join(lines).encode())
    return path


def series_patch_ids(git: Git, series: Series) -> dict[str, str]:
    """Stable patch-id → subject of each patch."""
    return {patch_id(git, one.data[diff_start(one.data) :]): one.subject for one in series.patches}


def unanswered(declaration: Declaration) -> tuple[str, ...]:
    """The keys that nobody has answered, or not in a form that is an answer."""
    told = msgspec.to_builtins(declaration)
    open_ = [key for key, value in told.items() if value in (OPEN, "") or list(value) in ([OPEN], [""])]
    for key, value, form in (
        ("person", declaration.person, _PERSON),
        ("date", declaration.date, re.compile(r"\d{4}-\d{2}-\d{2}")),
        ("generated", declaration.generated, re.compile(r"yes|no")),
        ("policy-read", declaration.policy_read, re.compile(r"yes|no")),
    ):
        if key not in open_ and not form.fullmatch(value):
            open_.append(key)
    people = declaration.written_by
    if "written-by" not in open_ and not (people and all(map(_PERSON.fullmatch, people))):
        open_.append("written-by")
    return tuple(dict.fromkeys(open_))


def judge(
    git: Git, series: Series, declaration: Declaration | None, policy: Policy, *, today: datetime.date
) -> tuple[Reason, ...]:
    """Every reason why the origin of ``series`` does not allow it to be sent."""
    mails = [read_mail(one.data, one.file) for one in series.patches]
    cover = [read_mail(series.cover.encode(), "cover letter")] if series.cover else []
    reasons = [*_said_elsewhere(series, (*cover, *mails), policy)]
    if declaration is None:
        reasons.append(
            Reason(
                rule="no-declaration",
                text=f"no person has declared where it comes from: qemu-harness series declare {series.name}",
            )
        )
        return tuple(reasons)
    return (*reasons, *_declared(git, series, declaration, policy, today), *_licence(mails, declaration))


def _said_elsewhere(series: Series, mails: Sequence[Mail], policy: Policy) -> Iterator[Reason]:
    """What series.toml and the patches themselves say of their origin."""
    origin = series.metadata.origin
    if origin is not None and origin.generated:
        yield Reason(
            rule="generated",
            text=f"series.toml says that it was written by {origin.written_by}",
            quote=policy.quote,
        )
    if origin is not None and origin.derived_from:
        yield Reason(rule="derived", text=f"series.toml says that it derives from {origin.derived_from}")
    for mail in mails:
        if said := says_generated(mail.message):
            yield Reason(rule="generated", text=f"{mail.origin} says: {said}", quote=policy.quote)


def _declared(
    git: Git, series: Series, declaration: Declaration, policy: Policy, today: datetime.date
) -> Iterator[Reason]:
    if open_ := unanswered(declaration):
        yield Reason(
            rule="incomplete", text=f"{FILE} leaves open: {', '.join(open_)}; only a person can answer"
        )
        return
    if declaration.generated == "yes":
        yield Reason(
            rule="generated", text="its declaration says that an AI content generator made part of it",
            quote=policy.quote,
        )  # fmt: skip
    for tool in declaration.tools:
        if says_generated(f"Made-with: {tool}"):
            yield Reason(rule="generated", text=f"its declaration names the tool {tool}", quote=policy.quote)
    if declaration.policy_read != "yes":
        yield Reason(rule="policy", text="whoever declared it has not read the policy")
    if declaration.policy_sha256 != policy.sha256:
        yield Reason(
            rule="policy",
            text=f"it was declared on {declaration.policy}; in force now is {policy.source}, another text",
        )
    if _NOBODY.search(declaration.person):
        yield Reason(rule="person", text=f"{declaration.person} is not the name and address of a person")
    try:
        when = datetime.date.fromisoformat(declaration.date)
    except ValueError:
        when = None
    if when is None or when > today + datetime.timedelta(days=1):
        yield Reason(rule="date", text=f"it was declared on {declaration.date}, which is no day gone by")
    now = series_patch_ids(git, series)
    for its_id, subject in now.items():
        if its_id not in declaration.patches:
            yield Reason(
                rule="changed", text=f"{subject!r} is not the patch that was declared: declare it anew"
            )


def _licence(mails: Sequence[Mail], declaration: Declaration) -> Iterator[Reason]:
    licence = declaration.licence
    if licence not in (OPEN, "") and licence not in LICENCES:
        yield Reason(rule="licence", text=f"{licence} is no licence that QEMU is known to take")
    for mail in mails:
        for change in mail.changes:
            added = [line for hunk in change.hunks for line in hunk.added]
            found = next(
                (m for line in added if (m := re.search(r"SPDX-License-Identifier: (\S+)", line))), None
            )
            if found and found[1] not in LICENCES:
                yield Reason(
                    rule="licence", text=f"{change.path} says {found[1]}, which QEMU is not known to take"
                )


def sign_off_line(series: Series, declaration: Declaration | None, identity: Identity) -> str:
    """``Signed-off-by:`` of the git identity. Raises ProvenanceError unless it declared the origin."""
    if declaration is None:
        raise ProvenanceError(
            f"--sign-off: nobody has declared where {series.name} comes from",
            f"the person who signs answers first: qemu-harness series declare {series.name}",
        )
    if open_ := unanswered(declaration):
        raise ProvenanceError(
            f"--sign-off: {series.folder / FILE} leaves open: {', '.join(open_)}",
            "the person who signs answers each question",
        )
    if not identity.name or not identity.email:
        raise ProvenanceError(
            "--sign-off: git does not know who you are", "git config --global user.name and user.email"
        )
    if str(identity) != declaration.person:
        raise ProvenanceError(
            f"--sign-off: {declaration.person} declared it, and git says that you are {identity}",
            "sign off as the person who declared it, or let the one who signs declare it",
        )
    return f"Signed-off-by: {identity}"


def _quoted(text: str) -> str:
    """``text`` as a TOML string."""
    return msgspec.json.encode(text).decode()
