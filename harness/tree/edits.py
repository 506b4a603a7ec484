"""Commit the declared edits of a pin on top of a commit, without a worktree."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from harness.errors import TreeError
from harness.jsonfile import storing
from harness.progress import Reporter
from harness.source.pin import Edit, Traces
from harness.tree.git import Git


def commit_edits(git: Git, parent: str, edits: Sequence[Edit], message: str, *, pin: str) -> str:
    """Commit ``edits`` on top of ``parent`` and return the commit id; without edits, that of ``parent``.

    Raises TreeError, which names pin, file and edit, if a text does not occur exactly once.
    """
    if not edits:
        return git.read("rev-parse", "--verify", f"{parent}^{{commit}}")
    with (
        storing(f"write {git.repository}"),
        tempfile.TemporaryDirectory(prefix=".edit-", dir=git.repository) as scratch,
    ):
        tree = _edited(git, parent, edits, Path(scratch), pin=pin)
        return git.read("commit-tree", tree, "-p", parent, stdin=message.encode())


def needed_edits(
    git: Git, parent: str, edits: Sequence[Edit], *, is_own: bool, pin: str, reporter: Reporter
) -> tuple[Edit, ...]:
    """Return those of ``edits`` that the tree at ``parent`` needs: their ``unless`` matches no file of it.

    ``is_own``: the tree is the pin's archive, which every needed edit must match. In another tree, an edit
    that does not match is reported and left out.
    """
    needed = []
    for edit in edits:
        if edit.unless and _has_match(git, parent, edit.unless):
            continue
        try:
            if not is_own:
                commit_edits(git, parent, (edit,), "try\n", pin=pin)
        except TreeError as error:
            reporter.note(f"not applied: {error.cause}")
            continue
        needed.append(edit)
    return tuple(needed)


def _has_match(git: Git, commit: str, pattern: str) -> bool:
    folder = PurePosixPath(pattern).parent
    listed = git.read("ls-tree", "--name-only", "-z", commit, "--", f"{folder}/")
    return any(PurePosixPath(path).match(pattern) for path in listed.split("\0") if path)


def edit_text(data: bytes, edit: Edit, *, pin: str) -> bytes:
    """Return ``data`` (of ``edit.file``) after a replace or remove-block. Raises TreeError."""
    if edit.kind == "replace":
        old = edit.old.encode()
        _expect_once(data.count(old), edit, pin, edit.old)
        return data.replace(old, edit.new.encode())
    first, last = edit.first.encode(), edit.last.encode()
    # Whole lines, from the first text to the nearest last one.
    starts = [match.start() for match in re.finditer(rb"^" + re.escape(first) + rb"$", data, re.MULTILINE)]
    _expect_once(len(starts), edit, pin, edit.first)
    ending = re.compile(rb"^" + re.escape(last) + rb"(?:\n|\Z)", re.MULTILINE)
    end = ending.search(data, starts[0] + len(first))
    _expect_once(1 if end else 0, edit, pin, edit.last)
    assert end is not None
    return data[: starts[0]] + data[end.end() :]


def find_traces(git: Git, commit: str, traces: Traces) -> list[str]:
    """Return the matches of the patterns in ``commit``: lines as ``path:line:text``, and names of files."""
    if not traces.patterns:
        return []
    patterns = [word for pattern in traces.patterns for word in ("-e", pattern)]
    excluded = [f":(exclude,literal){path}" for path in traces.except_paths]
    found = git.run(
        *("grep", "-n", "-I", "-i", "-E", *patterns, commit, "--", ".", *excluded),
        env={"LC_ALL": "C"},  # twice as fast; the patterns are ASCII
        check=False,
        merge_stderr=False,
    )
    named = git.read("ls-tree", "-r", "--name-only", commit).splitlines()
    wanted = [re.compile(pattern, re.IGNORECASE) for pattern in traces.patterns]
    return [line.removeprefix(f"{commit}:") for line in found.output.splitlines()] + [
        f"{path}: the name of the file" for path in named if any(pattern.search(path) for pattern in wanted)
    ]


def _edited(git: Git, parent: str, edits: Sequence[Edit], scratch: Path, *, pin: str) -> str:
    index = {"GIT_INDEX_FILE": str(scratch / "index")}
    git.run("read-tree", parent, env=index)
    files = list(dict.fromkeys(edit.file for edit in edits))
    modes = {path: facts[0] for facts, path in git.entries("ls-files", "-s", "-z", "--", *files, env=index)}
    for edit in edits:
        if modes.get(edit.file) not in ("100644", "100755"):
            raise _misfit(edit, pin, "the tree has no such file")
    words = ["--work-tree", str(scratch), "checkout-index", f"--prefix={scratch}/tree/", "--", *files]
    git.run(*words, env=index)
    lines, changed = [], []
    removed = {edit.file for edit in edits if edit.kind == "remove"}
    for file in files:
        if file in removed:
            lines.append(f"0 {'0' * 40}\t{file}")
            continue
        path = scratch / "tree" / file
        data = path.read_bytes()
        for edit in edits:
            if edit.file == file:
                data = edit_text(data, edit, pin=pin)
        path.write_bytes(data)
        changed.append(file)
    if changed:
        paths = [scratch / "tree" / file for file in changed]
        blobs = git.read("hash-object", "-w", "--no-filters", "--", *paths).split()
        lines += [f"{modes[file]} {blob}\t{file}" for file, blob in zip(changed, blobs, strict=True)]
    git.run("update-index", "--index-info", env=index, stdin=("\n".join(lines) + "\n").encode())
    return git.read("write-tree", env=index)


def _expect_once(count: int, edit: Edit, pin: str, text: str) -> None:
    if count != 1:
        line = next((line.strip() for line in text.splitlines() if line.strip()), "")
        raise _misfit(edit, pin, f"{line!r} occurs {count} times, not once")


def _misfit(edit: Edit, pin: str, problem: str) -> TreeError:
    return TreeError(
        f"pin {pin}: the edit '{edit}' of {edit.file} does not match this source: {problem}",
        "correct the edit in qemu-src/pins.toml, or select the release of this source with -Dpin=",
    )
