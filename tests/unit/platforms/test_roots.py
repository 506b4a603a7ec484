"""The README's commands, and what nox -s platforms makes of their output."""

import re
from pathlib import Path

import pytest

from harness.errors import FetchError, HarnessError, MissingError, OptionError
from harness.platforms import table
from harness.progress import Silent
from tests.platforms import __main__ as program
from tests.platforms import root as module
from tests.platforms.cases import CASES, ONLY, Outcome, as_root, as_user, lines_of, rust
from tests.platforms.reading import Stage, readme_commands, remedies, stages
from tests.platforms.root import SUITES, Ran, Root, make_root
from tests.unit.programs import write_program

OUTPUT = """\
nox > Running session teardown
configure 7.2 base …
configure 7.2 base: done in 14.0 s
  compile 7.2 base: 50 % util_readline.c
compile 7.2 base: done in 802.1 s
fetching x: failed in 2.0 s
report: done in 0.2 s
error: missing: gcc (this user is not root and has no passwordless sudo)
remedy: run: sudo apt-get update && sudo apt-get install -y --no-install-recommends gcc
"""


def test_readme_has_two_commands_that_need_no_pip():
    assert readme_commands() == ("pipx run nox -s teardown", "pipx run nox -s tests")
    for family in table().families.values():
        assert "pipx" in family.start.split(), "what the first command needs"


def test_commands_are_those_of_the_first_block():
    text = (
        "\n## Two commands\n\ntext\n\n```sh\na  b   # why\n\n# only a comment\nc 'd e'\n```\n```sh\nf\n```\n"
    )
    assert readme_commands(text) == ("a b", "c 'd e'")
    with pytest.raises(ValueError, match="Two commands"):
        readme_commands("\n## Other\n```sh\na\n```\n")


def test_stages_and_remedies_are_read():
    assert stages(OUTPUT) == (
        Stage(title="configure 7.2 base", seconds=14.0),
        Stage(title="compile 7.2 base", seconds=802.1),
        Stage(title="report", seconds=0.2),
    )
    assert remedies(OUTPUT) == ("sudo apt-get update && sudo apt-get install -y --no-install-recommends gcc",)


def ran(output="", status=0):
    return Ran(status=status, output=output, wall_s=90.4, cpu_s=12.6)


class FakeRoot:
    """Answers commands by a function of the line, and records them."""

    def __init__(self, answer):
        self.answer = answer
        self.lines: list[tuple[str, str, bool]] = []

    def run(self, line, *, who="root", network=True, log):
        self.lines.append((line, who, network))
        return self.answer(line, who, network)


def play(case, answer):
    root = FakeRoot(answer)
    return root, list(case(root, Path("log")))


def test_first_command_is_run_cold_and_again_without_network():
    root, outcomes = play(as_root, lambda *_: ran("report.html"))
    assert [outcome.reason for outcome in outcomes] == ["", "", ""]
    assert root.lines[0][0].endswith("install -y --no-install-recommends -qq pipx git")
    assert root.lines[1] == ("pipx run nox -s teardown", "root", True)
    assert root.lines[2][0].startswith("pipx run nox -s teardown -- ")
    assert root.lines[2][2] is False


@pytest.mark.parametrize(
    ("output", "status", "last"),
    [
        ("ERROR: Subproject anyhow-1-rs is buildable: NO", 1, ("10.2 with Rust, cancelled", "")),
        ("ERROR: other", 1, ("10.2 with Rust", "exit status 1")),
        ("build/10.2/pristine/native/qemu-system-x86_64", 0, ("10.2 with Rust", "")),
    ],
)
def test_rust_is_cancelled_only_without_crates(output, status, last):
    _, outcomes = play(rust, lambda line, *_: ran(output, status if " build " in line else 0))
    assert (outcomes[-1].what.partition(":")[0], outcomes[-1].reason) == last
    assert [outcome.reason for outcome in outcomes[:-1]] == ["", ""]


def test_failure_and_missing_output_are_reasons():
    _, outcomes = play(as_root, lambda line, *_: ran(status=7) if line.endswith("teardown") else ran())
    assert [outcome.reason for outcome in outcomes] == ["", "exit status 7", "no 'report.html'"]
    assert list(lines_of(outcomes[1])) == ["first command, cold: FAILED: exit status 7, 90 s, 13 s of CPU"]
    good = Outcome(what="x", ran=ran(OUTPUT))
    assert list(lines_of(good)) == [
        "x: ok, 90 s, 13 s of CPU",
        "      14.0 s  configure 7.2 base",
        "     802.1 s  compile 7.2 base",
    ]


def test_user_runs_the_line_that_is_printed():
    def answer(line, who, network):
        asked = [line for line, who, _ in root_lines if who == "root" and line.endswith(" gcc")]
        root_lines.append((line, who, network))
        if who == "developer" and not asked:
            return ran(f"{OUTPUT}nox > exit code 3: missing", status=1)
        return ran("report.html")

    root_lines = []
    root, outcomes = play(as_user, answer)
    assert [outcome.reason for outcome in outcomes] == [""] * 5
    assert root.lines[2] == ("apt-get update && apt-get install -y --no-install-recommends gcc", "root", True)
    assert [(who, network) for _, who, network in root.lines[3:]] == [
        ("developer", True),
        ("developer", False),
    ]


@pytest.mark.parametrize(
    "output", ["exit code 3", f"exit code 3\n{OUTPUT}{OUTPUT}", OUTPUT], ids=["none", "two", "other code"]
)
def test_refusal_without_a_single_line_fails(output):
    _, outcomes = play(as_user, lambda _line, who, _net: ran(output, status=who != "root"))
    assert outcomes[1].reason == "no single line to run"


def test_every_case_is_documented_and_has_releases():
    assert set(ONLY) <= set(CASES)
    assert {release for releases in ONLY.values() for release in releases} <= set(SUITES)
    assert set(table().families["debian"].run) == set(SUITES)
    assert all(case.__doc__ for case in CASES.values())


def test_root_has_the_checkout_and_the_settings_of_the_machine(tmp_path, monkeypatch):
    commands = []
    real = module.run

    def run(words, **options):
        commands.append([str(word) for word in words])
        if words[0] == "debootstrap":
            (Path(words[-2]) / "etc").mkdir(parents=True)
        return real(["true"]) if words[0] in ("debootstrap", "chroot") else real(words, **options)

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "debootstrap").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(module, "settings", lambda: iter([("etc/apt/apt.conf.d/90machine", "Acquire::x;\n")]))
    checkout = tmp_path / "checkout"
    (checkout / "folder").mkdir(parents=True)
    (checkout / "folder" / "file").write_text("text")
    (checkout / "untracked").write_text("text")
    real(["git", "-C", checkout, "init", "-q"])
    real(["git", "-C", checkout, "add", "folder"])
    root = make_root("13", tmp_path / "roots", checkout, Silent())
    copy = root.path / "home" / "developer" / "qemu-harness"
    assert (copy / "folder" / "file").read_text() == "text"
    assert not (copy / "untracked").exists()
    assert (root.path / "etc/apt/apt.conf.d/90machine").read_text() == "Acquire::x;\n"
    (made,) = [words for words in commands if words[0] == "debootstrap"]
    assert made[-3] == "trixie"
    assert re.match(r"\w+:", made[-1]), "the machine's own mirror"
    root.remove()
    assert not root.path.exists()


def test_root_needs_root_and_debootstrap(tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    with pytest.raises(MissingError, match="debootstrap"):
        make_root("12", tmp_path, tmp_path, Silent())


def test_failed_debootstrap_is_an_error(tmp_path, monkeypatch):
    write_program(tmp_path / "bin" / "debootstrap", "echo E: no mirror; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    with pytest.raises(FetchError, match="debootstrap of Debian 12 failed: E: no mirror"):
        make_root("12", tmp_path / "roots", tmp_path, Silent())


@pytest.mark.parametrize(("reason", "code"), [("", 0), ("it broke", HarnessError.code)])
def test_program_runs_the_chosen_cases_and_removes_the_root(tmp_path, monkeypatch, capsys, reason, code):
    made = []

    def make(release, folder, *_):
        made.append(release)
        (folder / release).mkdir(parents=True)
        return Root(path=folder / release, release=release)

    def case(root, log):
        """The case."""
        yield Outcome(what="command", ran=ran(), reason=reason)

    monkeypatch.setattr(program, "make_root", make)
    monkeypatch.setattr(program, "run_guarded", lambda work, **_: work())
    monkeypatch.setitem(CASES, "rust", case)
    assert program.main(["--cases", "rust", "--folder", str(tmp_path)]) == code
    assert made == ["13"], "Debian 12 is left out"
    assert not (tmp_path / "13").exists()
    assert f"command: {f'FAILED: {reason}' if reason else 'ok'}" in capsys.readouterr().out


def test_unknown_names_are_refused():
    with pytest.raises(OptionError, match="--releases: '11'"):
        program.chosen("12,11", tuple(SUITES), "releases")
