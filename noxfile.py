"""The project's commands. `nox -l` lists them; `nox -s NAME -- ARGUMENTS` passes arguments on.

Plain `nox` runs lint and unit. Every other session is run by name.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from pathlib import Path

import nox
import nox.command

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "unit"]

ROOT = Path(__file__).parent

# All sessions share one environment. Otherwise nox creates one per session, each with numpy and scipy.
# nox depends on virtualenv, so virtualenv is available even where Debian's python3-venv is missing.
shared = nox.session(venv_backend="none")
ENVIRONMENT = ROOT / ".nox" / "harness"
PYTHON = ENVIRONMENT / "bin" / "python"
PROJECT = ("--constraint", "constraints.txt", "--editable", ".[test]")
WORKERS = ("--numprocesses=auto", "--dist=worksteal")  # neighbours share fixtures and imports
AUDITORS = ("pip-audit==2.10.1", "pip-licenses==5.5.5")
LICENCES = ROOT / "docs" / "licences.md"


def run(session: nox.Session, *words: str, python: Path = PYTHON, **options: object) -> object:
    """Run a Python module in the environment of ``python``, by default the shared one."""
    folder = python.parent
    path = f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {
        "PATH": path,
        "VIRTUAL_ENV": str(folder.parent),
        # Python is started often; without compiled modules each start takes twice the time.
        "PYTHONDONTWRITEBYTECODE": None,
        **options.pop("env", {}),
    }
    return session.run(str(python), "-m", *words, env=environment, external=True, **options)


def make_environment(session: nox.Session, folder: Path) -> None:
    """Create an empty environment in ``folder``; replace an existing one."""
    session.run(sys.executable, "-m", "virtualenv", "--quiet", "--clear", str(folder), external=True)


def install(session: nox.Session, extra: str = "") -> None:
    """Install the project with its pinned dependencies, unless the environment is up to date."""
    stamp, identity = ENVIRONMENT / f"installed{extra}", ENVIRONMENT / "identity"
    # An environment works only in the folder and with the Python that it was created with.
    made_for = f"{sys.version} {ROOT}"
    wanted = hashlib.sha256(made_for.encode())
    for name in ("pyproject.toml", "constraints.txt"):
        wanted.update((ROOT / name).read_bytes())
    whole = identity.is_file() and identity.read_text() == made_for and PYTHON.exists()
    if whole and stamp.is_file() and stamp.read_text() == wanted.hexdigest():
        return
    if not whole:
        make_environment(session, ENVIRONMENT)
        identity.write_text(made_for)
    # Python compiles what a run imports. Compiling all modules of all packages takes half of pip's time.
    words = ("--quiet", "--no-compile", "--constraint", "constraints.txt", "--editable", f".{extra}")
    run(session, "pip", "install", *words)
    stamp.write_text(wanted.hexdigest())


def separate(session: nox.Session, name: str, *words: str) -> Path:
    """Python of an environment of its own with packages: the shared one is pinned, audited and locked."""
    python = ROOT / ".nox" / name / "bin" / "python"
    if not python.exists():
        make_environment(session, python.parent.parent)
    run(session, "pip", "install", "--quiet", *words, python=python)
    return python


def licences(session: nox.Session, python: Path) -> str:
    """The text of docs/licences.md: its introduction and what the installed packages specify."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    names = [line.partition("==")[0] for line in lines if not line.startswith("#")]
    words = (f"--python={PYTHON}", "--from=mixed", "--format=markdown", "--with-system", "--packages", *names)
    table = run(session, "piplicenses", *words, python=python, silent=True, log=False)
    return LICENCES.read_text().partition("|")[0] + str(table)


def forward(session: nox.Session, *words: str, python: Path = PYTHON) -> None:
    """Run a module with the session's arguments. Pass an interrupt on and let it end its processes.

    nox itself ends with 1 after every failure, so its last line states the exit code and its meaning.
    """
    try:
        run(
            session,
            *words,
            *session.posargs,
            env={"QEMU_HARNESS_COMMAND": f"nox -s {session.name} --"},
            python=python,
            interrupt_timeout=60,
            terminate_timeout=60,
        )
    except nox.command.CommandFailed as error:
        code = re.search(r"code (\d+)", str(error))
        session.error(f"exit code {code[1]}: {meaning_of(int(code[1]))}" if code else str(error))


def meaning_of(code: int) -> str:
    """The meaning of an exit code of the harness. Its module of errors needs no other package."""
    found = importlib.util.spec_from_file_location("harness_errors", ROOT / "harness" / "errors.py")
    errors = importlib.util.module_from_spec(found)
    found.loader.exec_module(errors)
    meanings = {error.code: error.summary for error in errors.all_errors()}
    return meanings.get(code, "an internal error, or a signal; docs/errors.md lists the exit codes")


def harness(session: nox.Session, stage: str, *words: str) -> None:
    """Run one stage."""
    install(session)
    forward(session, "harness", "--die-with-parent", stage, *words)


@shared
def lint(session: nox.Session) -> None:
    """Check style and types with ruff and strict mypy."""
    install(session, "[test]")
    run(session, "ruff", "format", "--check", ".")
    run(session, "ruff", "check", ".")
    run(session, "mypy")


@shared
def unit(session: nox.Session) -> None:
    """Run the unit tests: no network, no QEMU, one to two minutes. Arguments are passed to pytest."""
    install(session, "[test]")
    run(session, "pytest", *WORKERS, "-m", "not slow", *session.posargs)


@shared
def tests(session: nox.Session) -> None:
    """Run lint, then every test that needs no QEMU build. Arguments are passed to pytest."""
    lint(session)
    run(session, "pytest", *WORKERS, *session.posargs)


@shared
def doctor(session: nox.Session) -> None:
    """List the required programs and libraries; install missing packages if permitted."""
    harness(session, "doctor")


@shared
def build(session: nox.Session) -> None:
    """Fetch the pinned QEMU, apply the series, build the variants: nox -s build -- -Dvariants=pristine."""
    harness(session, "build")


@shared
def teardown(session: nox.Session) -> None:
    """Main job: build, then time the teardown of large guests: nox -s teardown -- -Dmemory=1G."""
    harness(session, "teardown")


@shared
def report(session: nox.Session) -> None:
    """Regenerate report.html, report.md and teardown.xml from the last run, or from a stored one."""
    harness(session, "report")


@shared
def calibrate(session: nox.Session) -> None:
    """Can verdicts be trusted on this machine? Compare QEMU with itself, and with itself delayed by 5 ms."""
    harness(session, "calibrate")


@shared
def cycles(session: nox.Session) -> None:
    """Start and end QEMU at random moments, check for leftovers: nox -s cycles -- -Dcycles=500 -Dseed=1."""
    harness(session, "cycles")


@shared
def properties(session: nox.Session) -> None:
    """Build, then check 18 properties of each variant: nox -s properties -- --rows 1,3-5."""
    harness(session, "properties")


@shared
def clients(session: nox.Session) -> None:
    """Measure when clients such as libvirt, QMP and shells are notified of a guest's end: -Dmemory=1G,4G."""
    harness(session, "clients")


@shared
def faults(session: nox.Session) -> None:
    """Inject faults into the harness and check that it recovers: nox -s faults -- --cases kill."""
    install(session, "[test]")
    forward(session, "tests.faults")


@shared
def load(session: nox.Session) -> None:
    """Put QEMU under load: end 50 guests at random, restart one of 16 GiB: nox -s load -- --minutes 5."""
    harness(session, "load")


@shared
def validate(session: nox.Session) -> None:
    """Judge any series as a maintainer's CI would: nox -s validate -- -Dseries=thread.mbox.gz."""
    harness(session, "validate")


@shared
def behaviour(session: nox.Session) -> None:
    """Run the behaviour tests of a series on base and patched: nox -s behaviour -- -Dseries=NAME."""
    harness(session, "behaviour")


@shared
def bisect(session: nox.Session) -> None:
    """Find the commit that made QEMU slower: nox -s bisect -- -Dsource=CLONE --good REV --bad REV."""
    harness(session, "bisect")


@shared
def series(session: nox.Session) -> None:
    """Maintain a series as patches and as commits: nox -s series -- status async-teardown."""
    harness(session, "series")


@shared
def submit(session: nox.Session) -> None:
    """Prepare the validated series for the mailing list in build/outgoing/; a person sends it."""
    harness(session, "submit")


@shared
def fuzz(session: nox.Session) -> None:
    """Fuzz the parsers of patches, mailboxes, TOML and results: nox -s fuzz -- --seconds 180."""
    if "--guided" not in session.posargs:
        install(session, "[test]")
        forward(session, "tests.fuzz")
        return
    forward(session, "tests.fuzz", python=separate(session, "guided", *PROJECT, "atheris==3.0.0"))


@shared
def mutate(session: nox.Session) -> None:
    """Mutation testing: change the code, see whether a test fails: nox -s mutate -- series options.py."""
    words = (*PROJECT, "--requirement", "tests/mutate/requirements.txt")
    forward(session, "tests.mutate", python=separate(session, "mutate", *words))


@shared
def audit(session: nox.Session) -> None:
    """Check the pinned dependencies for published advisories and for their licences: docs/security.md."""
    install(session, "[test]")
    python = separate(session, "audit", *AUDITORS)
    if licences(session, python) != LICENCES.read_text():
        session.error("docs/licences.md differs from the licences of the installed packages: run nox -s lock")
    words = ("--requirement=constraints.txt", "--no-deps", "--disable-pip", "--strict")
    run(session, "pip_audit", *words, *session.posargs, python=python)


@shared
def platforms(session: nox.Session) -> None:
    """Run the README's commands in fresh roots of Debian 12 and 13: nox -s platforms -- --cases root."""
    install(session)
    forward(session, "tests.platforms")


@shared
def clean(session: nox.Session) -> None:
    """Remove what the harness created in this checkout; --cache also empties the download cache."""
    harness(session, "clean")


@shared
def lock(session: nox.Session) -> None:
    """Regenerate constraints.txt from pyproject.toml, and docs/licences.md. For maintainers."""
    install(session, "[test]")
    run(
        session,
        "pip",
        "install",
        "--quiet",
        "--upgrade",
        "--upgrade-strategy",
        "eager",
        "--editable",
        ".[test]",
    )
    frozen = run(session, "pip", "freeze", "--all", "--exclude=pip", "--exclude-editable", silent=True)
    head = "# Made by `nox -s lock` from pyproject.toml. Every environment is installed with it.\n"
    (ROOT / "constraints.txt").write_text(head + str(frozen))
    LICENCES.write_text(licences(session, separate(session, "audit", *AUDITORS)))
