"""Convert a Source into a git repository with the commits ``import``, ``pristine`` and ``base``."""

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
"""Version of the import. Increase it if the code would create other commits: trees are then regenerated."""
STATE_FILE = "harness.json"


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A bare git repository with the tags ``import``, ``pristine`` and ``base``.

    ``name`` is the pin's name, or ``local-<digest>`` for a local source; ``digest`` is the source's.
    """

    path: Path
    name: str
    pin: Pin
    digest: str
    pristine: str
    base: str


def import_source(source: Source, layout: Layout, reporter: Reporter) -> Tree:
    """Return the tree of ``source``; import it if necessary. Raises TreeError, BusyError, StorageError.

    ``import`` is the unchanged release, ``pristine`` adds the pin's prepare edits, and ``base`` adds the
    unmerge edits to that. A new tree is created in a temporary folder and renamed.
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
        temporary = _temporary(path)
        git = make_repository(temporary)
        _import(git, source, reporter)
        _edit(git, name, source, reporter)
        _replace(temporary, path, reporter)
        tree = _existing(path, name, source)
        assert tree is not None
        return tree


def _import_folder(source: Source, layout: Layout, reporter: Reporter) -> Tree:
    """Import a plain folder. Its digest is the id of the imported tree, so it is not known before."""
    anchor = layout.trees / "local"
    with locked(anchor, "the import of a local folder", reporter):
        temporary = _temporary(anchor)
        git = make_repository(temporary)
        _import(git, source, reporter)
        digest = git.read("rev-parse", "import^{tree}")
        known = Source(pin=source.pin, kind="local", path=source.path, digest=digest)
        name = f"local-{digest[:12]}"
        path = layout.tree(name)
        with locked(path, f"the tree {name}", reporter):
            if _existing(path, name, known) is None:
                _edit(git, name, known, reporter)
                _replace(temporary, path, reporter)
            shutil.rmtree(temporary, ignore_errors=True)
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
    """Import the tree of one commit, without its history, as the commit ``import``."""
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
    """Compare the release with the pin. Differences are a TreeError, or a warning for a local source."""
    pin, problems = source.pin, []
    version = git.run("cat-file", "blob", "import:VERSION", check=False, merge_stderr=False)
    if version.returncode != 0:
        raise TreeError(f"{source.path} is not a QEMU source: it has no file VERSION", "pass a QEMU source")
    if version.output.strip() != pin.version:
        problems.append(f"its version is {version.output.strip()}, the pin specifies {pin.version}")
    listed = git.read(
        "ls-tree", "--name-only", "import", "configs/targets/", "default-configs/targets/"
    ).splitlines()
    present = {Path(path).stem for path in listed if path.endswith("-softmmu.mak")}
    if present != set(pin.targets):
        missing, extra = sorted(set(pin.targets) - present), sorted(present - set(pin.targets))
        problems.append(
            f"missing targets: {' '.join(missing) or 'none'}; "
            f"targets that are not in the pin: {' '.join(extra) or 'none'}"
        )
    for problem in problems:
        if source.kind == "local":
            reporter.warn(f"{source.path.name} does not match pin {pin.name}: {problem}")
        else:
            raise TreeError(
                f"the source of pin {pin.name} does not match it: {problem}", "correct qemu-src/pins.toml"
            )


def _edit(git: Git, name: str, source: Source, reporter: Reporter) -> Tree:
    """Create and tag ``pristine`` and ``base``, and record the source and edits that they were made from."""
    pin = source.pin
    pristine = commit_edits(
        git, "refs/tags/import", pin.prepare, "prepare\n\n" + _describe(pin.prepare), pin=pin.name
    )
    base = commit_edits(git, pristine, pin.unmerge, "unmerge\n\n" + _describe(pin.unmerge), pin=pin.name)
    traces = find_traces(git, base, pin.traces)
    if traces:
        raise TreeError(
            f"pin {pin.name}: after the unmerge edits, base contains {len(traces)} traces of the feature",
            "add edits to qemu-src/pins.toml, or list the paths in its traces.except_paths",
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
    """Return the tree at ``path`` if it is complete and was made from this source with these edits."""
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


def _describe(edits: tuple[Edit, ...]) -> str:
    return "".join(f"{edit.file}: {edit}\n" for edit in edits)


def _temporary(path: Path) -> Path:
    """Return a path next to ``path``, after removing the leftovers of a killed run (the lock is held)."""
    temporary = path.with_name(f".{path.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    return temporary


def _replace(temporary: Path, path: Path, reporter: Reporter) -> None:
    try:
        if path.exists():
            kept = path.with_name(f"{path.name}.old")
            shutil.rmtree(kept, ignore_errors=True)
            path.rename(kept)
            reporter.warn(f"tree {path.name} is damaged or has another source: renamed to {kept}")
        temporary.rename(path)
    except OSError as error:
        raise StorageError(f"cannot create {path}: {error}", "make the folder writable") from error


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}", "free some disk space") from error
