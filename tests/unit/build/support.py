"""A fake QEMU checkout and the options to build it with."""

import os
import shutil
import time

from harness.build import build
from harness.layout import Layout
from harness.progress import Silent
from harness.tree import Checkout, Facts
from tests.unit.defaults import ROOT, options_with

FAKE = ROOT / "tests" / "fakeqemu"
BOTH = ("x86_64-softmmu", "s390x-softmmu")


def make_layout(tmp_path):
    return Layout(root=ROOT, build=tmp_path / "build", trees=tmp_path / "trees", cache=tmp_path / "cache")


def make_options(**changes):
    known = {"variants": ("base", "patched"), "memory_mib": (256,), "rounds": 1, "timeout": 10, "jobs": 2}
    return options_with(**{**known, "ccache": False, **changes})


def checkout_at(path, label="base", commit="c1"):
    """The sources of the fake QEMU below ``path``."""
    return Checkout(
        path=path,
        tree_name="7.2",
        pin="7.2",
        label=label,
        variant=label.partition("-")[0],
        commit=commit,
        facts=Facts(version="7.2.0", targets=BOTH),
    )


def make_checkout(layout, label="base", commit="c1"):
    path = layout.build_root("7.2", label) / "src"
    shutil.copytree(FAKE, path)
    return checkout_at(path, label, commit)


def build_it(checkout, layout, *, reporter=None, **options):
    return build(checkout, make_options(**options), layout, reporter or Silent())


def configure_runs(checkout):
    runs = checkout.path.parent / "configure-runs"
    return len(runs.read_text().splitlines()) if runs.exists() else 0


def edit(path, old, new):
    """Change a source file and its timestamp, so that ninja notices even with coarse timestamps."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    future = time.time() + 2
    os.utime(path, (future, future))
