"""``provenance.toml``: a person declares the authors, tools, licence and origin of a series.

The harness writes the form and reads the answers; it never answers. It checks that the answers are complete,
that they refer to the current patches and policy, and that patches and series.toml do not contradict them.
"""

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
FORM = Path(__file__).parent / "templates" / FILE
"""The questions, each with the answer OPEN."""
OPEN = "?"
LICENCES = (
    *("GPL-2.0-or-later", "GPL-2.0-only", "LGPL-2.1-or-later", "LGPL-2.0-or-later", "BSD-2-Clause"),
    *("BSD-3-Clause", "MIT", "GPL-2.0+", "LGPL-2.1+"),
)
"""SPDX names of licences that QEMU, as a whole under GPL version 2, accepts (its LICENSE file)."""
_PERSON = re.compile(r"\S[^<>\n]* <[^<>@\s]+@[^<>@\s]+>")
_NOT_A_PERSON = re.compile(
    r"\b(?:bot|maintainers|noreply|root|localhost|unknown|nobody)\b|\.invalid>", re.IGNORECASE
)


class Declaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """The answers of a person. docs/submit.md describes the keys."""

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
    """The declared patches: patch-id → subject."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a series is not ready to send. ``rule`` is a stable id; ``quote`` is the text of QEMU's policy."""

    rule: str
    text: str
    quote: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The user's identity in git's configuration; both may be empty."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


def git_identity(folder: Path) -> Identity:
    """Read ``user.name`` and ``user.email`` of git-config(1) in ``folder``."""

    def ask(key: str) -> str:
        ended = run(["git", "-C", folder, "config", "--get", key], check=False, merge_stderr=False)
        return ended.output.strip() if ended.returncode == 0 else ""

    return Identity(name=ask("user.name"), email=ask("user.email"))


def read_declaration(folder: Path) -> Declaration | None:
    """Read the declaration in ``folder``; None without one. Raises ProvenanceError if it is malformed."""
    path = folder / FILE
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Declaration)
    except FileNotFoundError:
        return None
    except (OSError, *UNREADABLE) as error:
        raise ProvenanceError(
            f"cannot read {path}: {' '.join(str(error).split())}",
            f"correct it, or remove it and run `qemu-harness series declare {folder.name}` again",
        ) from error


def write_form(git: Git, series: Series, policy: Policy) -> Path:
    """Write a form with open questions. Raises ProvenanceError if there already is a declaration."""
    path = series.folder / FILE
    if path.exists():
        raise ProvenanceError(
            f"{path} already exists", "if it is no longer true, remove it and run this again"
        )
    lines = [
        *FORM.read_text(encoding="utf-8").splitlines(),
        f"policy = {_quoted(policy.source)}",
        f'policy-sha256 = "{policy.sha256}"',
        "",
        "# The declared patches. A patch that changes materially needs a new declaration.",
        "[patches]",
        *(f'"{its_id}" = {_quoted(subject)}' for its_id, subject in series_patch_ids(git, series).items()),
        "",
    ]
    write_file(path, "\n".join(lines).encode())
    return path


def series_patch_ids(git: Git, series: Series) -> dict[str, str]:
    """Return the subject of each patch by its stable patch-id."""
    return {patch_id(git, one.data[diff_start(one.data) :]): one.subject for one in series.patches}


def unanswered(declaration: Declaration) -> tuple[str, ...]:
    """Return the keys without an answer, or with one in a wrong format."""
    answers = msgspec.to_builtins(declaration)
    open_ = [key for key, value in answers.items() if value in (OPEN, "") or list(value) in ([OPEN], [""])]
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
    """Return every reason why the origin of ``series`` forbids sending it."""
    mails = [read_mail(one.data, one.file) for one in series.patches]
    cover = [read_mail(series.cover.encode(), "cover letter")] if series.cover else []
    reasons = [*_stated_in_series(series, (*cover, *mails), policy)]
    if declaration is None:
        reasons.append(
            Reason(
                rule="no-declaration",
                text=f"no person has declared its origin (qemu-harness series declare {series.name})",
            )
        )
        return tuple(reasons)
    return (*reasons, *_declared(git, series, declaration, policy, today), *_licence(mails, declaration))


def _stated_in_series(series: Series, mails: Sequence[Mail], policy: Policy) -> Iterator[Reason]:
    """Yield the reasons that series.toml and the patches themselves state."""
    origin = series.metadata.origin
    if origin is not None and origin.generated:
        yield Reason(
            rule="generated",
            text=f"according to series.toml, it was written by {origin.written_by}",
            quote=policy.quote,
        )
    if origin is not None and origin.derived_from:
        yield Reason(rule="derived", text=f"according to series.toml, it derives from {origin.derived_from}")
    for mail in mails:
        if statement := says_generated(mail.message):
            yield Reason(rule="generated", text=f"{mail.origin} states: {statement}", quote=policy.quote)


def _declared(
    git: Git, series: Series, declaration: Declaration, policy: Policy, today: datetime.date
) -> Iterator[Reason]:
    if open_ := unanswered(declaration):
        yield Reason(
            rule="incomplete",
            text=f"{FILE} has unanswered questions: {', '.join(open_)}; only a person can answer them",
        )
        return
    if declaration.generated == "yes":
        yield Reason(
            rule="generated", text="according to its declaration, an AI content generator made part of it",
            quote=policy.quote,
        )  # fmt: skip
    for tool in declaration.tools:
        if says_generated(f"Made-with: {tool}"):
            yield Reason(rule="generated", text=f"its declaration names the tool {tool}", quote=policy.quote)
    if declaration.policy_read != "yes":
        yield Reason(rule="policy", text="the person who declared it has not read the policy")
    if declaration.policy_sha256 != policy.sha256:
        yield Reason(
            rule="policy",
            text=f"it was declared under {declaration.policy}; the current policy, {policy.source}, differs",
        )
    if _NOT_A_PERSON.search(declaration.person):
        yield Reason(rule="person", text=f"{declaration.person} is not the name and address of a person")
    try:
        when = datetime.date.fromisoformat(declaration.date)
    except ValueError:
        when = None
    if when is None or when > today + datetime.timedelta(days=1):
        yield Reason(rule="date", text=f"it was declared on {declaration.date}, which is not a past date")
    now = series_patch_ids(git, series)
    for its_id, subject in now.items():
        if its_id not in declaration.patches:
            yield Reason(
                rule="changed", text=f"{subject!r} differs from the declared patch; declare it again"
            )


def _licence(mails: Sequence[Mail], declaration: Declaration) -> Iterator[Reason]:
    licence = declaration.licence
    if licence not in (OPEN, "") and licence not in LICENCES:
        yield Reason(rule="licence", text=f"QEMU is not known to accept the licence {licence}")
    for mail in mails:
        for change in mail.changes:
            added = [line for hunk in change.hunks for line in hunk.added]
            found = next(
                (m for line in added if (m := re.search(r"SPDX-License-Identifier: (\S+)", line))), None
            )
            if found and found[1] not in LICENCES:
                yield Reason(
                    rule="licence",
                    text=f"{change.path} has the licence {found[1]}, which QEMU is not known to accept",
                )


def sign_off_line(series: Series, declaration: Declaration | None, identity: Identity) -> str:
    """Return ``Signed-off-by:`` of the git identity. Raises ProvenanceError unless it declared the origin."""
    if declaration is None:
        raise ProvenanceError(
            f"--sign-off: no person has declared the origin of {series.name}",
            f"run `qemu-harness series declare {series.name}` and answer its questions first",
        )
    if open_ := unanswered(declaration):
        raise ProvenanceError(
            f"--sign-off: {series.folder / FILE} has unanswered questions: {', '.join(open_)}",
            "answer each question, as the person who signs off",
        )
    if not identity.name or not identity.email:
        raise ProvenanceError(
            "--sign-off: git's user.name or user.email is not set", "set them with git config --global"
        )
    if str(identity) != declaration.person:
        raise ProvenanceError(
            f"--sign-off: {declaration.person} declared it, but git's identity is {identity}",
            "sign off as the person who declared it, or declare it as the person who signs off",
        )
    return f"Signed-off-by: {identity}"


def _quoted(text: str) -> str:
    """Return ``text`` as a TOML string."""
    return msgspec.json.encode(text).decode()
