"""nox -s mutate: which tests run for a module, what remains between runs, and how the score is computed."""

import json

import pytest

from harness.errors import OptionError
from tests.mutate.folder import STATS, prepare
from tests.mutate.score import Mutant, render_rows, render_survivors, rows_of, total_of, verdict_of
from tests.mutate.targets import DEFAULT, ROOT, Target, choose_targets
from tests.unit.repositories import git, write_files


def test_every_default_target_exists_and_has_tests():
    targets = choose_targets([])
    assert [target.path for target in targets] == list(DEFAULT)
    for target in targets:
        assert all((ROOT / "harness" / module).is_file() for module in target.modules)
        assert target.modules
        assert all((ROOT / path).exists() for path in target.tests), target


@pytest.mark.parametrize(
    "word", ["series/mail.py", "harness/series/mail.py", "harness.series.mail", "series.mail"]
)
def test_a_module_runs_in_the_folder_of_its_target(word):
    assert choose_targets([word, word]) == (Target(path="series", modules=("series/mail.py",)),)


def test_a_module_outside_of_the_default_targets_has_a_folder_of_its_own():
    (target,) = choose_targets(["tree/apply.py"])
    assert (target.name, target.tests) == ("tree.apply", ("tests/unit/tree/test_apply.py",))
    assert choose_targets(["tree/git.py"])[0].tests == ("tests/unit/tree",)


def test_unknown_module_is_refused():
    with pytest.raises(OptionError, match="sereis"):
        choose_targets(["sereis"])


def mutant(verdict, module="m.py", seconds=1.0):
    return Mutant(
        module=module, name=f"{module}.{verdict}", verdict=verdict, seconds=seconds, diff=f"-{verdict}"
    )


def test_score_counts_timeouts_as_killed_and_unreached_mutants_as_survivors():
    verdicts = ["killed"] * 4 + ["timeout", "survived", "no tests", "no tests", "not run", "not run"]
    (row,) = rows_of(map(mutant, verdicts))
    assert (row.mutants, row.killed, row.not_run, row.seconds) == (10, 4, 2, 10)
    assert row.score == 100 * 5 / 8
    assert total_of([row, row]).score == row.score
    assert total_of([row, row]).mutants == 20
    assert [line.split()[0] for line in render_rows([row]).splitlines()] == ["module", "m.py", "total"]


def test_module_that_has_not_been_run_has_no_score():
    (row,) = rows_of([mutant("not run")])
    assert row.score is None
    assert "%" not in render_rows([row])


def test_survivors_are_listed_by_module_with_their_diffs():
    listed = render_survivors(
        [mutant("no tests", "b.py"), mutant("killed", "a.py"), mutant("survived", "a.py")]
    )
    assert listed == "a.py.survived: survived\n-survived\n\nb.py.no tests: no tests\n-no tests\n\n"


@pytest.mark.parametrize(
    ("exit_code", "verdict"),
    [(0, "survived"), (1, "killed"), (33, "no tests"), (-24, "timeout"), (-11, "killed"), (None, "not run")],
)
def test_verdict_of_an_exit_code(exit_code, verdict):
    assert verdict_of(exit_code) == verdict


@pytest.fixture
def checkout(tmp_path):
    names = ("harness/series/mail.py", "harness/series/form.txt", "tests/test_mail.py", "README.md")
    files = {name: name for name in names} | {".gitignore": "/build/\n", "build/large": ""}
    root = write_files(tmp_path / "root", files)
    git(root, "init", "--quiet")
    return root


TARGET = Target(path="series", modules=("series/mail.py",))


def test_folder_is_a_copy_of_the_checkout_that_follows_it(checkout, tmp_path):
    folder = prepare(tmp_path / "build", TARGET, root=checkout)
    copy = folder / "mutants"
    assert folder == tmp_path / "build" / "mutate" / "series"
    assert (folder / "harness").resolve() == checkout / "harness"
    assert (copy / "README.md").read_text(encoding="utf-8") == "README.md"
    assert (copy / "harness" / "series" / "form.txt").is_file()
    assert not (copy / "build").exists()
    (copy / "harness" / "series" / "gone.py").touch()
    (checkout / "README.md").write_text("changed", encoding="utf-8")
    (checkout / "tests" / "test_mail.py").unlink()
    prepare(tmp_path / "build", TARGET, root=checkout)
    assert (copy / "README.md").read_text(encoding="utf-8") == "changed"
    assert not (copy / "tests" / "test_mail.py").exists()
    assert not (copy / "harness" / "series" / "gone.py").exists()


def test_survivors_run_again_after_a_change_of_the_checkout(checkout, tmp_path):
    copy = prepare(tmp_path / "build", TARGET, root=checkout) / "mutants"
    meta, stats = copy / "harness" / "series" / "mail.py.meta", copy / STATS
    codes = {"killed": 1, "survived": 0, "unreached": 33, "timeout": -24}
    meta.write_text(json.dumps({"exit_code_by_key": codes}), encoding="utf-8")
    stats.touch()
    prepare(tmp_path / "build", TARGET, root=checkout)
    assert json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"] == codes
    assert stats.exists()
    (checkout / "tests" / "test_more.py").touch()
    prepare(tmp_path / "build", TARGET, root=checkout)
    changed = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    assert changed == {**codes, "survived": None, "unreached": None}
    assert not stats.exists()


def test_other_mutants_are_removed_with_their_verdicts(checkout, tmp_path):
    folder = prepare(tmp_path / "build", TARGET, root=checkout)
    (folder / "results.json").touch()
    prepare(tmp_path / "build", TARGET, root=checkout)
    assert (folder / "results.json").exists()
    (folder / "generator").write_text("an older worker.py", encoding="ascii")
    prepare(tmp_path / "build", TARGET, root=checkout)
    assert not (folder / "results.json").exists()


def test_module_with_damaged_verdicts_is_mutated_again(checkout, tmp_path):
    place = prepare(tmp_path / "build", TARGET, root=checkout) / "mutants" / "harness" / "series"
    for name in ("mail.py", "mail.py.meta", "form.py", "form.py.meta"):
        (place / name).write_text('{"exit_code_by_key": {}}', encoding="utf-8")
    (place / "mail.py.meta").write_text('{"exit_code_by_key": {"x_', encoding="utf-8")
    (checkout / "harness" / "series" / "form.py").touch()
    prepare(tmp_path / "build", TARGET, root=checkout)
    assert {path.name for path in place.glob("*.py*")} == {"form.py", "form.py.meta"}
