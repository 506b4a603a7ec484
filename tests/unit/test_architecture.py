"""docs/architecture.md, compared with the code: imports in one direction, small and documented modules."""

import ast
import re

from tests.unit.defaults import ROOT
from tests.unit.syntax import nodes

PACKAGE = ROOT / "harness"

BASE = (
    "ahead",
    "console",
    "diskwatch",
    "errors",
    "figures",
    "job",
    "jsonfile",
    "layout",
    "lock",
    "machine",
    "options",
    "platforms",
    "process",
    "progress",
    "results",
    "sandbox",
    "trust",
)
ORDER = (
    "source",
    "series",
    "tree",
    "authoring",
    "build",
    "guest",
    "bench",
    "teardown",
    "cycles",
    "properties",
    "clients",
    "load",
    "behaviour",
    "regression",
    "remote",
    "check",
    "bisect",
    "report",
    "validate",
    "ci",
    "submit",
    "watch",
)
TOP = ("guard", "pipeline", "commands", "cli", "__main__", "__init__")
MODULES = sorted(PACKAGE.rglob("*.py"))
PROGRAMS = [
    path
    for name in ("faults", "fuzz", "mutate", "platforms")
    for path in (ROOT / "tests" / name).glob("*.py")
]
FILES = [*MODULES, *(ROOT / "tests").rglob("*.py"), ROOT / "noxfile.py"]
LINES = 400


def stage_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_names(path):
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_stages(path):
    return {name.split(".")[1] for name in imported_names(path) if name.startswith("harness.")}


def test_product_does_not_import_the_tests():
    users = {path for path in MODULES for name in imported_names(path) if name.startswith("tests.")}
    assert users == set()


def test_no_module_imports_what_later_releases_of_python_lack():
    """Python 3.12 and 3.13 removed these (PEP 594, PEP 632), and setuptools removes the last one."""
    removed = {
        *("aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils", "imghdr"),
        *("imp", "lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "pipes", "smtpd", "sndhdr"),
        *("spwd", "sunau", "telnetlib", "uu", "xdrlib", "pkg_resources"),
    }
    line = re.compile(rf"^\s*(?:import|from) (?:{'|'.join(removed)})\b", re.MULTILINE)
    assert not [path.name for path in FILES if line.search(path.read_text(encoding="utf-8"))]


def test_archives_are_extracted_by_what_every_release_of_python_has():
    """Filters of tarfile came with 3.11.4; Debian 12 has 3.11.2. Without one, later releases warn."""
    call = re.compile(r"\.(?:extractall|unpack_archive)\b")
    assert not [path.name for path in FILES if call.search(path.read_text(encoding="utf-8"))]


def test_lists_name_every_module():
    assert {stage_of(path) for path in MODULES} == {*BASE, *ORDER, *TOP}


def allowed_imports(stage):
    if stage in ORDER:
        return {*BASE, *ORDER[: ORDER.index(stage) + 1]}
    return set(BASE) if stage in {*BASE, "guard"} else {*BASE, *ORDER, *TOP}


def test_imports_go_one_way():
    backward = {
        str(path.relative_to(PACKAGE)): sorted(imported_stages(path) - allowed_imports(stage_of(path)))
        for path in MODULES
    }
    assert {path: stages for path, stages in backward.items() if stages} == {}


def test_modules_are_short_and_documented():
    for path in (*MODULES, *PROGRAMS):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES, path
        assert ast.get_docstring(nodes(path)[0]), path


def test_library_code_does_not_print():
    speakers = {PACKAGE / "cli.py", PACKAGE / "commands" / "request.py", PACKAGE / "progress.py"}
    for path in set(MODULES) - speakers:
        calls = {
            node.func.id
            for node in nodes(path)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert "print" not in calls, path


def test_architecture_names_every_stage():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for stage in ORDER:
        assert f"`{stage}/`" in text
    for module in ("cli.py", "commands/", "pipeline.py", "guard.py", *(f"{name}.py" for name in BASE)):
        assert module in text


def test_readme_describes_every_session():
    sessions = {
        node.name: ast.get_docstring(node)
        for node in ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    documented = dict(row for row in rows if row[0] in sessions)
    assert documented == sessions


def test_report_renders_and_runs_nothing():
    """It imports results, and nothing that starts guests or writes results files."""
    runners = {"record_", "run_", "write_json", "Recorder", "open_bench"}
    for path in (PACKAGE / "report").glob("*.py"):
        names = {
            alias.name for node in nodes(path) if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        assert not {name for name in names if name.startswith(tuple(runners))}, path
