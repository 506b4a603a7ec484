"""The working folder of mutmut, below ``build/mutate``. Its ``mutants`` is a copy of the checkout."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.mutate.score import SURVIVED, verdict_of
from tests.mutate.targets import ROOT, Target

PLUGINS_OFF = ("cacheprovider", "xdist", "unraisableexception", "threadexception")
"""Plugins of pytest that mutants run without. The last two collect garbage, half of the time of a mutant."""
GENERATOR = ("requirements.txt", "score.py", "worker.py")
"""Files next to this one that decide which mutants there are."""
STATS = "mutmut-stats.json"
"""mutmut's record of the tests that reach each function."""


def prepare(build: Path, target: Target, *, root: Path = ROOT) -> Path:
    """Update the folder of ``target``, keep the verdicts of its mutants, and return its path.

    If the checkout has changed since the last run, survivors lose their verdict. Killed mutants keep theirs,
    unless their function has changed: only ``--fresh`` notices a weaker test.
    """
    folder = build / "mutate" / target.name
    _remove_other_mutants(folder)
    copy = folder / "mutants"
    copy.mkdir(parents=True, exist_ok=True)
    source = folder / "harness"
    if not source.is_symlink():
        source.symlink_to(root / "harness")
    (folder / "setup.cfg").write_text(_configuration(target), encoding="utf-8")
    files = {path: root / path for path in _files(root)}
    # mutmut copies modules itself, and compares their times.
    others = {path: file for path, file in files.items() if not _is_module(path)}
    _copy(others, copy)
    _forget_modules(copy, root)
    _remove_damaged(copy)
    digest = hashlib.sha256()
    for path, file in files.items():
        digest.update(f"{path}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    _begin_again(folder, digest.hexdigest())
    return folder


def _remove_other_mutants(folder: Path) -> None:
    """Remove verdicts of mutants that were generated otherwise: mutmut numbers the mutants of a function."""
    place = Path(__file__).parent
    made_by = hashlib.sha256(b"".join((place / name).read_bytes() for name in GENERATOR)).hexdigest()
    stamp = folder / "generator"
    if not stamp.is_file() or stamp.read_text(encoding="ascii") != made_by:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        stamp.write_text(made_by, encoding="ascii")


def _configuration(target: Target) -> str:
    lines = {
        "source_paths": ["harness"],
        "only_mutate": [target.pattern],
        "pytest_add_cli_args": [f"-pno:{name}" for name in PLUGINS_OFF],
        "pytest_add_cli_args_test_selection": target.tests,
        "use_git_change_detection": ["false"],
    }
    return "[mutmut]\n" + "".join(
        f"{name} =\n" + "".join(f"    {value}\n" for value in values)
        if len(values) > 1
        else f"{name} = {values[0]}\n"
        for name, values in lines.items()
    )


def _files(root: Path) -> Iterator[str]:
    """What git tracks in the checkout, and what it would: no build folders and no clones."""
    words = ("git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    yield from sorted(path for path in set(listed.split("\0")) if path and (root / path).is_file())


def _is_module(path: str) -> bool:
    return path.startswith("harness/") and path.endswith(".py")


def _copy(files: dict[str, Path], copy: Path) -> None:
    """Make ``copy`` hold ``files`` and no others, apart from modules and what belongs to mutmut."""
    for old in [path for path in copy.rglob("*") if path.is_file() or path.is_symlink()]:
        path = str(old.relative_to(copy))
        if path not in files and not path.startswith("harness/") and path != STATS:
            old.unlink()
    for path, file in files.items():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy / path)


def _forget_modules(copy: Path, root: Path) -> None:
    """Remove copies of modules that are gone: tests would still be able to import them."""
    for module in (copy / "harness").rglob("*.py"):
        if not (root / module.relative_to(copy)).is_file():
            module.unlink()


def _remove_damaged(copy: Path) -> None:
    """Let mutmut mutate a module again if it was killed while it wrote the verdicts."""
    for meta in (copy / "harness").rglob("*.meta"):
        try:
            json.loads(meta.read_text(encoding="utf-8"))
        except ValueError:
            meta.unlink()
            meta.with_suffix("").unlink(missing_ok=True)


def _begin_again(folder: Path, digest: str) -> None:
    """Let mutmut run again what no test has noticed, unless the checkout is as it was."""
    state = folder / "checkout"
    if state.is_file() and state.read_text(encoding="ascii") == digest:
        return
    (folder / "mutants" / STATS).unlink(missing_ok=True)
    for meta in (folder / "mutants" / "harness").rglob("*.meta"):
        known = json.loads(meta.read_text(encoding="utf-8"))
        codes = known["exit_code_by_key"]
        known["exit_code_by_key"] = {
            name: None if verdict_of(code) in SURVIVED else code for name, code in codes.items()
        }
        meta.write_text(json.dumps(known), encoding="utf-8")
    state.write_text(digest, encoding="ascii")
