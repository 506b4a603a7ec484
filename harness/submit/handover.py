"""The commands with which a person sends the mails, for each tool; and a dry run of git send-email.

This module never sends mail: git send-email only runs with ``--dry-run``, and with an invalid mail server.
"""

import os
import string
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import SubmitError
from harness.process import run, shell_quote
from harness.submit.facts import Verdict
from harness.submit.mails import REFUSED
from harness.submit.recipients import Recipients

TEMPLATES = Path(__file__).with_name("templates")
SEND_EMAIL = (
    *("git", "send-email", "--no-thread", "--no-chain-reply-to", "--suppress-cc=author"),
    *("--suppress-cc=body", "--suppress-cc=self", "--suppress-cc=cccmd", "--no-format-patch"),
)
"""git-send-email(1): the files already contain threading and recipients, so no further ones are added."""


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """Result of a dry run. ``accepted`` is None if it could not run."""

    accepted: bool | None
    summary: str

    def judge(self, *, ready: bool) -> tuple[Verdict, str]:
        """Return verdict and evidence. Raises SubmitError if mails that are not ready were accepted."""
        if self.accepted is None:
            return "person", self.summary
        if self.accepted and not ready:
            raise SubmitError(
                f"{self.summary}, although they are not ready to send", "report this; nothing was written"
            )
        return ("yes" if self.accepted else "no"), self.summary


def send_email_command(files: Sequence[Path], recipients: Recipients, *, dry: bool) -> list[str]:
    """Return the command line of git send-email. Without ``dry`` it asks before each mail."""
    to = [f"--to={address}" for address in recipients.header("to")]
    mode = ["--dry-run", "--confirm=never"] if dry else ["--confirm=always"]
    return [*SEND_EMAIL, *mode, *to, *(os.fspath(path) for path in files)]


def try_send_email(files: Sequence[Path], recipients: Recipients, sender: str) -> DryRun:
    """Run git send-email --dry-run in an empty repository, without the user's configuration."""
    # The user's alias files and hooks must not influence the result.
    with tempfile.TemporaryDirectory(prefix="qemu-harness-") as scratch:
        env = {"HOME": scratch, "GIT_CONFIG_NOSYSTEM": "1", "XDG_CONFIG_HOME": scratch}
        run(["git", "init", "--quiet", scratch], env=env)
        programs = Path(run(["git", "--exec-path"], env=env).output.strip())
        if not (programs / "git-send-email").exists():
            return DryRun(
                accepted=None, summary="git send-email is not installed (apt-get install git-email)"
            )
        words = send_email_command(files, recipients, dry=True)
        words[2:2] = [f"--from={sender}", "--smtp-server=127.0.0.1", "--smtp-server-port=1"]
        ended = run(words, env=env, cwd=Path(scratch), check=False, timeout_s=120)
    if ended.returncode == 0:
        mails = sum(line.startswith(("Dry-OK", "Dry-Sent")) for line in ended.output.splitlines())
        return DryRun(accepted=mails == len(files), summary=f"git send-email --dry-run accepts {mails} mails")
    refused = REFUSED in ended.output
    lines = [line.strip() for line in ended.output.splitlines() if line.strip()]
    summary = (
        "git send-email refuses the files, as intended"
        if refused
        else f"git send-email fails: {lines[-1] if lines else 'no output'}"
    )
    return DryRun(accepted=False, summary=summary)


def instructions(folder: Path, recipients: Recipients, name: str, *, version: int, ready: bool) -> str:
    """Return the commands for each tool; for a series that is not ready, no command that sends."""
    files = f"{shell_quote([folder])}/*.patch"
    to, cc = recipients.header("to"), recipients.header("cc")
    people = [
        *(word for one in to for word in ("--to", one)),
        *(word for one in cc for word in ("--cc", one)),
    ]
    values = {
        "topic": shell_quote([f"{name}-v{version}"]),
        "staging": shell_quote([f"{name}-v{version}-staging"]),
        "version": str(version),
        "dry": f"{shell_quote(send_email_command([], recipients, dry=True))} {files}",
        "real": f"{shell_quote(send_email_command([], recipients, dry=False))} {files}",
        "box": shell_quote([folder / "series.mbox"]),
        "editor": shell_quote([f"cp {shell_quote([folder / 'cover.txt'])}"]),
        "cover": shell_quote([folder / "cover.txt"]),
        "people": shell_quote(people),
        "groups": shell_quote([*(["--to", *to] if to else []), *(["--cc", *cc] if cc else [])]),
    }
    text = (TEMPLATES / ("send.txt" if ready else "not-ready.txt")).read_text(encoding="utf-8")
    return string.Template(text).substitute(values)
