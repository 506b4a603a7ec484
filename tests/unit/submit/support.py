"""A result of validate, and a person who declares where a series comes from."""

import tomlkit

from harness.authoring.compare import patch_id
from harness.check.model import (
    CommitBuild,
    Finding,
    StageRow,
    ValidatedPatch,
    ValidatedSeries,
    ValidateResults,
)
from harness.jsonfile import write_json
from harness.series import load_series, read_input
from harness.series.form import diff_start
from harness.submit.policy import find_policy
from harness.tree import start_of
from harness.tree.git import Git
from tests.structs import filled


def finding(rule, severity="error", patch=1):
    return Finding(rule=rule, severity=severity, message=f"{rule} is wrong", remedy="fix it", patch=patch)


def validate(layout, tree, name, *found, **fields):
    """Write validate.json for the current series; keyword arguments replace fields."""
    given = read_input(layout, name)
    patches = tuple(
        filled(ValidatedPatch, number=number, subject=mail.subject.title, sha256=mail.sha256)
        for number, mail in enumerate(given.patches, start=1)
    )
    series = filled(ValidatedSeries, name=name, total=len(patches), sha256=given.sha256, patches=patches)
    base = given.metadata.base or "pristine"
    values = {
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:01+00:00",
        "complete": True,
        "verdict": "findings" if found else "clean",
        "options": {"targets": ["x86_64-softmmu"]},
        "pin": tree.pin.name,
        "base": base,
        "base_commit": start_of(tree, base),
        "series": series,
        "findings": found,
        "builds": tuple(filled(CommitBuild, patch=one.number, host="native") for one in patches),
        "stages": (StageRow(name="check", outcome="ok"),),
    }
    results = filled(ValidateResults, **{**values, **fields})
    write_json(layout.results / "validate.json", results)
    return results


PERSON = "Test Person <person@qemu-test.org>"


def declare(layout, tree, name, **answers):
    """Write the declaration of a person who wrote the whole series by hand."""
    series, policy, git = load_series(layout, name), find_policy(tree, layout), Git(repository=tree.path)
    values = {
        "person": PERSON,
        "date": "2026-01-02",
        "written-by": [PERSON],
        "tools": [],
        "generated": "no",
        "derived-from": "none",
        "licence": "GPL-2.0-or-later",
        "policy": policy.source,
        "policy-sha256": policy.sha256,
        "policy-read": "yes",
        "patches": {patch_id(git, one.data[diff_start(one.data) :]): one.subject for one in series.patches},
        **answers,
    }
    path = series.folder / "provenance.toml"
    path.write_text(tomlkit.dumps(values))
    return path
