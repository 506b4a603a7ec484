"""A Source → a git repository with the commits ``import``, ``pristine`` and ``base``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import StorageError, TreeError
from harness.jsonfile import UNREADABLE
from harness.layout import Layout
from harness.lock import locked
from harness.progress import Reporter
from harness.source import Edit, Pin, Source
from harness.tree.content import TreeEntry, from_archive, from_folder
from harness.tree.edits import commit_edits, find_traces
from harness.tree.fastimport import import_entries
from harness.tree.git import Git, make_repository
from harness.tree.paths import bad_link, bad_path

FORMAT = 1
"""Raised when trees must be made anew, because this code would now make other commits."""
STATE_FILE = "harness.json"


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A bare git repository with the tags ``import``, ``pristine`` and ``base``.

    ``name`` is the pin's name, or ``local-<digest>`` for a local source; ``digest`` that of the source.
    """

    path: Path
    name: str
    pin: Pin
    digest: str
    pristine: str
    base: str


def import_source(source: Source, layout: Layout, reporter: Reporter) -> Tree:
    """The tree of ``source``, made if it is not there. Raises TreeError, BusyError, StorageError.

    ``import`` is the release as it is, ``pristine`` has the pin's prepare edits on top, ``base`` the
    unmerge edits on top of that. All are made aside and put in place by one rename.
    """
    if source.kind == "local" and not source.digest:
        return _import_folder(source, layout, reporter)
    name = source.pin.name if source.kind != "local" else f"local-{source.digest[:12]}"
    path = layout.tree(name)
    with locked(path, f"the tree {name}", reporter):
        tree = _existing(path, name, source)
        if tree is not None:
            return tree
        if _state(path).get("digest") == source.digest and _state(path).get("format") == FORMAT:
            return _edit(Git(repository=path), name, source, reporter)  # only the pin's edits have changed
        aside = _aside(path)
        git = make_repository(aside)
        _import(git, source, reporter)
        _edit(git, name, source, reporter)
        _replace(aside, path, reporter)
        tree = _existing(path, name, source)
        assert tree is not None
        return tree


def _import_folder(source: Source, layout: Layout, reporter: Reporter) -> Tree:
    """A plain folder has no digest before it is read: it is imported, and its tree's id is the digest."""
    anchor = layout.trees / "local"
    with locked(anchor, "the import of a local folder", reporter):
        aside = _aside(anchor)
        git = make_repository(aside)
        _import(git, source, reporter)
        digest = git.read("rev-parse", "import^{tree}")
        known = Source(pin=source.pin, kind="local", path=source.path, digest=digest)
        name = f"local-{digest[:12]}"
        path = layout.tree(name)
        with locked(path, f"the tree {name}", reporter):
            if _existing(path, name, known) is None:
                _edit(git, name, known, reporter)
                _replace(aside, path, reporter)
            shutil.rmtree(aside, ignore_errors=True)
            tree = _existing(path, name, known)
            assert tree is not None
            return tree


def _import(git: Git, source: Source, reporter: Reporter) -> None:
    with reporter.step(f"importing {source.path.name}") as step:
        if source.is_git:
            _import_commit(git, source, reporter)
        else:
            entries: Iterator[TreeEntry] = (
                from_folder(source.path) if source.path.is_dir() else from_archive(source.path)
            )
            import_entries(git, entries, "import\n", "refs/tags/import", step)
    _check_release(git, source, reporter)


def _import_commit(git: Git, source: Source, reporter: Reporter) -> None:
    """The tree of one commit, without its history, as our own import commit."""
    git.run(
        *("fetch", "--quiet", "--no-tags", "--depth=1", "--no-recurse-submodules"),
        *("--", source.path.absolute().as_uri(), f"+{source.digest}:refs/harness/source"),
    )
    listed = git.read("ls-tree", "-r", "-z", source.digest).split("\0")
    submodules = []
    for line in filter(None, listed):
        facts, _, path = line.partition("\t")
        mode, _, blob = facts.split(" ")
        problem = bad_path(path)
        if mode == "120000":
            problem = problem or bad_link(path, git.read("cat-file", "blob", blob))
        elif mode == "160000":
            submodules.append(path)
        if problem:
            raise TreeError(f"{source.path} is refused: {path!r}: {problem}", "use a source that you trust")
    if submodules:
        reporter.warn(f"submodules are not part of the tree: {' '.join(submodules)}")
    commit = git.read("commit-tree", f"{source.digest}^{{tree}}", stdin=b"import\n")
    git.run("update-ref", "refs/tags/import", commit)
    git.run("update-ref", "-d", "refs/harness/source")


def _check_release(git: Git, source: Source, reporter: Reporter) -> None:
    """What the pin says of the release must be so; of a local source, differences are only said."""
    pin, problems = source.pin, []
    version = git.run("cat-file", "blob", "import:VERSION", check=False, merge_stderr=False)
    if version.returncode != 0:
        raise TreeError(f"{source.path} is no QEMU source: it has no file VERSION", "pass a QEMU source")
    if version.output.strip() != pin.version:
        problems.append(f"it is version {version.output.strip()}, the pin says {pin.version}")
    listed = git.read(
        "ls-tree", "--name-only", "import", "configs/targets/", "default-configs/targets/"
    ).splitlines()
    there = {Path(path).stem for path in listed if path.endswith("-softmmu.mak")}
    if there != set(pin.targets):
        lacking, more = sorted(set(pin.targets) - there), sorted(there - set(pin.targets))
        problems.append(
            f"targets that it lacks: {' '.join(lacking) or 'none'}; not in the pin: {' '.join(more)}"
        )
    for problem in problems:
        if source.kind == "local":
            reporter.warn(f"{source.path.name} is not as pin {pin.name} says: {problem}")
        else:
            raise TreeError(
                f"pin {pin.name} does not describe its source: {problem}", "mend qemu-src/pins.toml"
            )


def _edit(git: Git, name: str, source: Source, reporter: Reporter) -> Tree:
    """Make ``pristine`` and ``base`` from ``import``, tag them, and write down what they were made from."""
    pin = source.pin
    pristine = commit_edits(
        git, "refs/tags/import", pin.prepare, "prepare\n\n" + _tell(pin.prepare), pin=pin.name
    )
    base = commit_edits(git, pristine, pin.unmerge, "unmerge\n\n" + _tell(pin.unmerge), pin=pin.name)
    traces = find_traces(git, base, pin.traces)
    if traces:
        raise TreeError(
            f"pin {pin.name}: the unmerge edits leave {len(traces)} traces of the feature in base",
            "add edits, or declare the paths in traces.except_paths, in qemu-src/pins.toml",
            details=tuple(traces[:20]),
        )
    refs = f"update refs/tags/pristine {pristine}\nupdate refs/tags/base {base}\n"
    git.run("update-ref", "--stdin", stdin=refs.encode())
    state = {
        "format": FORMAT,
        "digest": source.digest,
        "edits": _edits_digest(pin),
        "pristine": pristine,
        "base": base,
    }
    _write(git.repository / STATE_FILE, json.dumps(state, indent=1) + "\n")
    reporter.note(f"tree {name}: pristine {pristine[:12]}, base {base[:12]}")
    return _tree(git.repository, name, source, state)


def _existing(path: Path, name: str, source: Source) -> Tree | None:
    """The tree at ``path`` if it is whole and was made from this source by these edits."""
    state = _state(path)
    wanted = {"format": FORMAT, "digest": source.digest, "edits": _edits_digest(source.pin)}
    if any(state.get(key) != value for key, value in wanted.items()):
        return None
    found = Git(repository=path).find("pristine^{commit}", "base^{commit}", "base^{tree}")
    if found is None or found[:2] != (state.get("pristine"), state.get("base")):
        return None
    return _tree(path, name, source, state)


def _tree(path: Path, name: str, source: Source, state: dict[str, object]) -> Tree:
    return Tree(
        path=path,
        name=name,
        pin=source.pin,
        digest=source.digest,
        pristine=str(state["pristine"]),
        base=str(state["base"]),
    )


def _state(path: Path) -> dict[str, object]:
    try:
        state = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, *UNREADABLE):
        return {}
    return state if isinstance(state, dict) else {}


def _edits_digest(pin: Pin) -> str:
    declared = [asdict(edit) for edit in (*pin.prepare, *pin.unmerge)]
    text = json.dumps([declared, len(pin.prepare), asdict(pin.traces)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _tell(edits: tuple[Edit, ...]) -> str:
    return "".join(f"{edit.file}: {edit}\n" for edit in edits)


def _aside(path: Path) -> Path:
    """An empty place beside ``path``; what a killed run left there is removed (we hold the lock)."""
    aside = path.with_name(f".{path.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    return aside


def _replace(aside: Path, path: Path, reporter: Reporter) -> None:
    try:
        if path.exists():
            kept = path.with_name(f"{path.name}.old")
            shutil.rmtree(kept, ignore_errors=True)
            path.rename(kept)
            reporter.warn(f"the tree {path.name} is of another source or damaged: kept as {kept}")
        aside.rename(path)
    except OSError as error:
        raise StorageError(f"cannot put {path} in place: {error}", "make the folder writable") from error


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}", "free some disk space") from error
