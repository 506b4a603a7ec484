"""Files that QEMU's functional tests download: taken from a cache or fetched, by their digest.

Tests run without a network. A test gets copies of its assets in the build folder, and skips what lacks one.

Source: tests/functional/qemu_test/asset.py (QEMU_TEST_CACHE_DIR, QEMU_TEST_NO_DOWNLOAD).
"""

import ast
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.bisect.suites import QemuTest
from harness.errors import HarnessError
from harness.layout import Layout
from harness.lock import locked
from harness.progress import Reporter
from harness.source.archive import download

SUITE = "func"
"""Prefix of the suites of functional tests."""
DIGESTS = {64: "sha256", 128: "sha512"}


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file that a test names by URL and digest."""

    url: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Assets:
    """What functional tests need: variables, and for each test without all of its assets the reason."""

    env: dict[str, str]
    missing: dict[str, str]


def provide_assets(
    tests: Iterable[QemuTest],
    folder: Path,
    layout: Layout,
    reporter: Reporter,
    *,
    read: Callable[[str], str],
    read_base: Callable[[str], str],
) -> Assets:
    """Copy the assets of ``tests`` into the build folder ``folder``.

    ``read`` and ``read_base`` return the text of a file in the commit and in the base. An asset that no
    cache has is fetched only if the base names it: the addresses in a series are not trusted. Raises
    StorageError, BusyError.
    """
    place = folder / "functional-assets" / "download"
    missing: dict[str, str] = {}
    functional = False
    for test in tests:
        if not any(suite.startswith(SUITE) for suite in (test.suite, *test.suites)):
            continue
        functional = True
        for script in (path for path in test.sources if path.endswith(".py")):
            trusted = frozenset(read_assets(read_base(script)))
            for asset in read_assets(read(script)):
                reason = _provide(asset, place, layout, reporter, trusted=asset in trusted)
                if reason:
                    missing.setdefault(test.name, f"{asset.url} {reason}")
    env = {"QEMU_TEST_CACHE_DIR": str(place.parent), "QEMU_TEST_NO_DOWNLOAD": "1"} if functional else {}
    return Assets(env=env, missing=missing)


def read_assets(text: str) -> tuple[Asset, ...]:
    """Return the assets that a test declares, each ``Asset(URL, DIGEST)`` with constant arguments."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Asset":
            url, digest = (_constant(argument) for argument in (*node.args, None, None)[:2])
            if url and digest and len(digest) in DIGESTS:
                found[url, digest] = Asset(url=url, digest=digest)
    return tuple(found.values())


def _constant(node: ast.expr | None) -> str:
    """Return the text of a constant, or of constants that are added; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _constant(node.left), _constant(node.right)
        return left + right if left and right else ""
    return ""


def _provide(asset: Asset, place: Path, layout: Layout, reporter: Reporter, *, trusted: bool) -> str:
    """Copy ``asset`` to ``place``; return why that is not possible, or nothing.

    A copy, because a test of the series could write to the file.
    """
    target = place / asset.digest
    if _is_right(target, asset):
        return ""
    own = layout.downloads / "functional"
    user = Path(os.environ.get("QEMU_TEST_CACHE_DIR") or Path.home() / ".cache" / "qemu") / "download"
    found = next((one / asset.digest for one in (own, user) if _is_right(one / asset.digest, asset)), None)
    if found is None:
        if not trusted:
            return "is not cached, and not fetched because the series names it"
        found = own / asset.digest
        try:
            own.mkdir(parents=True, exist_ok=True)
            with locked(found, f"the download of {asset.url}", reporter):
                partial = found.with_name(f".{found.name}.part")
                download(asset.url, partial, reporter)
                if not _is_right(partial, asset):
                    partial.unlink()
                    return "is not cached, and has another digest now"
                partial.replace(found)
        except HarnessError as error:
            return f"is not cached and cannot be fetched: {error.cause.removeprefix(asset.url).strip(': ')}"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(found, target)
    return ""


def _is_right(path: Path, asset: Asset) -> bool:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, DIGESTS[len(asset.digest)]).hexdigest() == asset.digest
    except OSError:
        return False
