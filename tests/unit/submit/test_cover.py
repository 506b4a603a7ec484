"""Figures in the cover letter, its base, and mails as one mailbox."""

import dataclasses
import json

import msgspec
import pytest

from harness.bench import Subject
from harness.jsonfile import write_json
from harness.progress import Silent
from harness.series import load_series
from harness.submit.cover import Figures, base_commit, based_on_release, compose, find_figures
from harness.submit.mails import mailbox
from harness.submit.write import irregular_mails
from harness.teardown.results import teardown_file
from harness.tree import apply_series
from harness.tree.git import Git
from tests.unit.report.support import make_results, realistic

COMMIT = "c" * 40


def measured(layout, commit, **fields):
    """Write a measurement whose patched binary was built from ``commit``."""
    subjects = tuple(
        Subject(variant=variant, target="x86_64-softmmu", path="q", sha256=variant * 4)
        for variant in ("base", "patched")
    )
    write_json(teardown_file(layout), make_results(realistic(), binaries=subjects, **fields))
    builds = [
        {"variant": one.variant, "commit": commit, "binaries": [{"sha256": one.sha256}]} for one in subjects
    ]
    (layout.results / "build.json").write_text(json.dumps({"schema": 1, "builds": builds}))


@pytest.mark.slow
def test_figures_are_only_used_if_built_from_the_same_commits(layout):
    assert "there is no measurement" in find_figures(layout, COMMIT).why
    measured(layout, COMMIT)
    found = find_figures(layout, COMMIT)
    assert found.why == ""
    assert "Medians of 6 rounds" in " ".join(found.text.split())
    assert max(map(len, found.text.splitlines())) <= 72
    assert "=====" not in found.text
    assert "used other patches" in find_figures(layout, "d" * 40).why
    measured(layout, COMMIT, complete=False)
    assert "did not complete" in find_figures(layout, COMMIT).why
    (layout.results / "build.json").unlink()
    measured_file = teardown_file(layout)
    measured_file.write_text("{")
    assert "cannot read" in find_figures(layout, COMMIT).why


@pytest.mark.parametrize("line", ["From now on", ">From x", "From 0 Mon Sep 17 00:00:00 2001"])
def test_lines_that_begin_with_from_are_quoted(line, tmp_path):
    mail = f"From 0 Mon Sep 17 00:00:00 2001\nFrom: a@b.org\n\n{line}\n".encode()
    box = mailbox([mail, mail])
    assert box.count(f"\n>{line}\n".encode()) == 2
    assert box.count(b"\n\nFrom 0 Mon") == 1


def test_base_commit_is_written_if_upstream_has_it(tree, layout, folder):
    series = load_series(layout, "mine")
    assert base_commit(series, tree, tree.pristine) == ""
    assert based_on_release(series, tree) == "The patches apply to QEMU 1.2.3."
    upstream = {"digest": "a" * 40, "pristine": "a" * 40}
    cloned = dataclasses.replace(tree, **upstream)
    assert base_commit(series, cloned, cloned.pristine) == "a" * 40
    edited = dataclasses.replace(tree, digest="a" * 40)
    assert base_commit(series, edited, edited.pristine) == "", (
        "prepare edits make another commit than upstream's"
    )
    metadata = msgspec.structs.replace(series.metadata, base="base")
    reduced = dataclasses.replace(series, metadata=metadata)
    assert base_commit(reduced, cloned, cloned.pristine) == ""
    assert "with upstream's implementation" in based_on_release(reduced, tree)
    assert base_commit(series, cloned, "c" * 40) == "c" * 40, "the commit that the mails state"
    metadata = msgspec.structs.replace(series.metadata, based_on=("1@e.org",))
    above = dataclasses.replace(series, metadata=metadata)
    assert base_commit(above, cloned, "c" * 40) == "a" * 40, "the required series are above it"
    toml = folder / "series.toml"
    toml.write_text(toml.read_text() + f'base-commit = "{"b" * 40}"\n')
    series = load_series(layout, "mine")
    assert base_commit(series, cloned, cloned.pristine) == "b" * 40
    tip = apply_series(tree, series, layout, Silent()).commit
    body = compose(
        series,
        tree,
        Git(repository=tree.path),
        base=tree.pristine,
        tip=tip,
        figures=Figures(text="fast"),
        range_diff="1: a\n" * 200,
    )
    assert body.endswith(f"\n\nbase-commit: {'b' * 40}\n")
    assert "Measured with qemu-harness:\n\nfast\n" in body
    assert "too long for a mail" in body


def test_mail_that_is_not_plain_text_is_reported():
    head = b"From: A <a@b.org>\nSubject: [PATCH] x\n"
    body = b"\nWhy.\n---\ndiff --git a/x b/x\nold mode 100644\nnew mode 100755\n"
    assert irregular_mails({"0001-x.patch": head + body}) == ()
    (line,) = irregular_mails({"0001-x.patch": head + b"Content-Type: text/plain; format=flowed\n" + body})
    assert line.startswith("0001-x.patch: it is format=flowed")
