"""Convert a Source into a git repository with the commits ``import``, ``pristine`` and, on request,
``base``."""

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from harness.errors import OptionError, TreeError, VerifyError
from harness.jsonfile import load, storing, write_json
from harness.layout import Layout, safe_part
from harness.lock import locked
from harness.progress import Reporter, Silent
from harness.source.clone import Clone
from harness.source.fetch import Source
from harness.source.pin import Edit, Pin, Traces
from harness.tree.content import from_archive, from_folder
from harness.tree.edits import commit_edits, find_traces, needed_edits
from harness.tree.facts import Facts, read_facts
from harness.tree.fastimport import MESSAGE, REF, import_entries
from harness.tree.git import Git, borrow_objects, make_repository
from harness.tree.paths import bad_link, bad_path

FORMAT = 2
"""Version of the import. Increase it if the code would create other commits: trees are then regenerated."""
STATE_FILE = "harness.json"


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A bare git repository with the tags ``import`` and ``pristine``; ``start_of`` adds ``base``.

    ``name`` is the pin's name, ``local-<digest>`` for another source, or ``clone-<name>-<digest>``;
    ``digest`` is the source's. ``pin`` has the tree's name if the source is none of qemu-src/pins.toml.
    """

    path: Path
    name: str
    pin: Pin
    digest: str
    pristine: str
    facts: Facts
    clone: Path | None = None
    """The user's clone that lends its objects."""


class _State(msgspec.Struct, frozen=True, kw_only=True):
    """What the file STATE_FILE of an imported tree records."""

    format: int
    digest: str
    edits: str
    """Digest of the prepare edits that ``pristine`` has."""
    pristine: str
    facts: Facts


def import_source(source: Source, layout: Layout, reporter: Reporter) -> Tree:
    """Return the tree of ``source``; import it if necessary. Raises TreeError, BusyError, StorageError.

    ``import`` is the unchanged release, ``pristine`` adds the pin's prepare edits. A new tree is created in a
    temporary folder and renamed. The tree of a clone borrows its objects: nothing is copied.
    """
    if source.clone is not None:
        return _borrow(source, source.clone, layout, reporter)
    if source.kind == "local" and not source.digest:
        return _import_folder(source, layout, reporter)
    is_pin = bool(source.pin.name) and source.kind != "local"
    name = source.pin.name if is_pin else f"local-{source.digest[:12]}"
    path = layout.tree(name)
    with locked(path, f"the tree {name}", reporter):
        tree = _existing(path, name, source)
        if tree is not None:
            return tree
        git = Git(repository=path)
        state = load(path / STATE_FILE, _State)
        is_imported = state is not None and (state.format, state.digest) == (FORMAT, source.digest)
        if is_imported and git.find("import^{commit}", "import^{tree}"):
            return _prepare(git, name, source, reporter)  # only the pin's edits have changed
        temporary = _temporary(path)
        git = make_repository(temporary)
        _import(git, source, reporter)
        tree = _prepare(git, name, source, reporter)
        _replace(temporary, path, reporter)
        return replace(tree, path=path)


def _borrow(source: Source, clone: Clone, layout: Layout, reporter: Reporter) -> Tree:
    """Return a tree that uses the objects of the user's clone in place, with the whole history.

    The tree is a repository of its own, whose info/alternates names the clone's objects
    (gitrepository-layout(5)): worktrees, refs and new objects are created in it, and nothing in the clone.
    """
    key = hashlib.sha256(str(clone.folder).encode()).hexdigest()[:8]
    name = f"clone-{safe_part(clone.folder.name)}-{key}"
    path = layout.tree(name)
    with locked(path, f"the tree {name}", reporter):
        git = Git(repository=path)
        if not (path / STATE_FILE).is_file():
            temporary = _temporary(path)
            make_repository(temporary)
            write_json(temporary / STATE_FILE, {"clone": str(clone.folder)})
            shutil.rmtree(path, ignore_errors=True)
            _replace(temporary, path, reporter)
        borrow_objects(path, clone.objects, clone.shallow)
        checked = f"refs/harness/checked/{clone.commit}"
        if git.find(checked) is None:
            _check_commit(git, clone.commit, str(clone.folder), reporter)
            git.run("update-ref", checked, clone.commit)
        pristine = _tag_pristine(git, clone.commit, source.pin, name, reporter)
        return Tree(
            path=path,
            name=name,
            pin=_named(source.pin, name),
            digest=clone.commit,
            pristine=pristine,
            facts=read_facts(git, pristine, str(clone.folder)),
            clone=clone.folder,
        )


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
            tree = _existing(path, name, known)
            if tree is None:
                tree = replace(_prepare(git, name, known, reporter), path=path)
                _replace(temporary, path, reporter)
            shutil.rmtree(temporary, ignore_errors=True)
            return tree


def _import(git: Git, source: Source, reporter: Reporter) -> None:
    with reporter.step(f"importing {source.path.name}") as step:
        if source.kind == "git":
            _import_commit(git, source, reporter)
        else:
            read = from_folder if source.path.is_dir() else from_archive
            import_entries(git, read(source.path), step)


def _import_commit(git: Git, source: Source, reporter: Reporter) -> None:
    """Import the tree of one commit, without its history, as the commit ``import``."""
    git.run(
        *("fetch", "--quiet", "--no-tags", "--depth=1", "--no-recurse-submodules"),
        *("--", source.path.absolute().as_uri(), f"+{source.digest}:refs/harness/source"),
    )
    _check_commit(git, source.digest, str(source.path), reporter)
    commit = git.read("commit-tree", f"{source.digest}^{{tree}}", stdin=MESSAGE.encode())
    git.run("update-ref", REF, commit)
    git.run("update-ref", "-d", "refs/harness/source")


def _check_commit(git: Git, commit: str, origin: str, reporter: Reporter) -> None:
    """Refuse names and links of a commit that could leave a checkout; report its submodules. Raises
    TreeError."""
    submodules = []
    for (mode, _, blob), path in git.entries("ls-tree", "-r", "-z", commit):
        problem = bad_path(path)
        if mode == "120000":
            problem = problem or bad_link(path, git.read("cat-file", "blob", blob))
        elif mode == "160000":
            submodules.append(path)
        if problem:
            raise TreeError(f"{origin} is refused: {path!r}: {problem}", "use a source that you trust")
    if submodules:
        reporter.note(f"submodules are not part of the tree: {' '.join(submodules)}")


def _prepare(git: Git, name: str, source: Source, reporter: Reporter) -> Tree:
    """Create and tag ``pristine``, and record the source, the edits and the facts of the tree."""
    facts = read_facts(git, REF, str(source.path))
    if source.release and facts.version != source.release:
        raise VerifyError(
            f"{source.path.name} contains QEMU {facts.version}, not {source.release}: another signed release",
            f"remove {source.path} and run again",
        )
    pristine = _tag_pristine(git, REF, source.pin, name, reporter)
    edits = _digest(source.pin.prepare)
    state = _State(format=FORMAT, digest=source.digest, edits=edits, pristine=pristine, facts=facts)
    write_json(git.repository / STATE_FILE, state)
    reporter.note(f"tree {name}: QEMU {facts.version}, pristine {pristine[:12]}")
    return _tree(git.repository, name, source, state)


def _tag_pristine(git: Git, start: str, pin: Pin, name: str, reporter: Reporter) -> str:
    """Commit the prepare edits that the tree at ``start`` needs, and tag the result ``pristine``."""
    edits = needed_edits(git, start, pin.prepare, is_own=name == pin.name, pin=pin.name, reporter=reporter)
    pristine = commit_edits(git, start, edits, "prepare\n\n" + _describe(edits), pin=name)
    git.run("update-ref", "refs/tags/pristine", pristine)
    return pristine


def _named(pin: Pin, name: str) -> Pin:
    """Return ``pin``, with the tree's name if the source is none of qemu-src/pins.toml."""
    return pin if pin.name else msgspec.structs.replace(pin, name=name)


def start_of(tree: Tree, state: str, reporter: Reporter | None = None) -> str:
    """Return the commit of the state ``pristine`` or ``base``; create ``base`` if necessary.

    ``base`` is pristine with the pin's unmerge edits. Raises OptionError if the pin has none, TreeError if
    they do not match, BusyError, StorageError.
    """
    if state == "pristine":
        return tree.pristine
    pin = tree.pin
    if not pin.unmerge:
        raise OptionError(
            f"{tree.name} has no variant base: qemu-src/pins.toml declares no feature to remove",
            "use pristine, or another pin with -Dpin=",
        )
    reporter = reporter or Silent()
    git = Git(repository=tree.path)
    ref = f"refs/harness/base/{_digest(pin.unmerge, pin.traces)[:16]}"
    with locked(tree.path, f"the tree {tree.name}", reporter):
        known = git.find(f"{ref}^{{commit}}", f"{ref}^{{commit}}~1", f"{ref}^{{tree}}")
        if known is None or known[1] != tree.pristine:
            commit = commit_edits(
                git, tree.pristine, pin.unmerge, "unmerge\n\n" + _describe(pin.unmerge), pin=pin.name
            )
            traces = find_traces(git, commit, pin.traces)
            if traces:
                raise TreeError(
                    f"pin {pin.name}: after the unmerge edits, base has {len(traces)} traces of the feature",
                    "add edits to qemu-src/pins.toml, or list the paths in its traces.except_paths",
                    details=tuple(traces[:20]),
                )
            git.run("update-ref", ref, commit)
            git.run("update-ref", "refs/tags/base", commit)
            reporter.note(f"tree {tree.name}: base {commit[:12]}")
            return commit
        return known[0]


def _existing(path: Path, name: str, source: Source) -> Tree | None:
    """Return the tree at ``path`` if it is complete and was made from this source with these edits."""
    state = load(path / STATE_FILE, _State)
    wanted = (FORMAT, source.digest, _digest(source.pin.prepare))
    if state is None or (state.format, state.digest, state.edits) != wanted:
        return None
    found = Git(repository=path).find("pristine^{commit}", "pristine^{tree}")
    if found is None or found[0] != state.pristine:
        return None
    return _tree(path, name, source, state)


def _tree(path: Path, name: str, source: Source, state: _State) -> Tree:
    return Tree(
        path=path,
        name=name,
        pin=_named(source.pin, name),
        digest=source.digest,
        pristine=state.pristine,
        facts=state.facts,
    )


def _digest(edits: tuple[Edit, ...], traces: Traces | None = None) -> str:
    declared = [msgspec.structs.asdict(one) for one in (*edits, *([traces] if traces else []))]
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()


def _describe(edits: tuple[Edit, ...]) -> str:
    return "".join(f"{edit.file}: {edit}\n" for edit in edits)


def _temporary(path: Path) -> Path:
    """Return a path next to ``path``, after removing the leftovers of a killed run (the lock is held)."""
    temporary = path.with_name(f".{path.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    return temporary


def _replace(temporary: Path, path: Path, reporter: Reporter) -> None:
    with storing(f"create {path}"):
        if path.exists():
            kept = path.with_name(f"{path.name}.old")
            shutil.rmtree(kept, ignore_errors=True)
            path.rename(kept)
            reporter.warn(f"tree {path.name} is damaged or has another source: renamed to {kept}")
        temporary.rename(path)
