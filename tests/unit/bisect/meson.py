"""A configured build with a fake of meson and ninja."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from harness.bisect.qtests import run_tests
from harness.bisect.suites import QemuTest
from tests.unit.bisect.support import RecordingSandbox
from tests.unit.check.support import Recorder

SCRIPT = """\
#!/bin/sh
echo "$PWD $CC $*" >> calls
case $1 in
introspect) [ -e "./$2.json" ] || exit 2; cat "./$2.json"; echo noise >&2 ;;
test)
    for file in results-*.json; do
        if [ -e "$file" ]; then mv "$file" meson-logs/validate.json; break; fi
    done
    if [ -e hang ]; then sleep 60; fi
    exit 1 ;;
esac
"""


@dataclass
class Meson:
    """A configured build with a fake of meson and ninja, which record their calls in the file ``calls``."""

    top: Path
    sandbox: RecordingSandbox = field(default_factory=RecordingSandbox)

    def __post_init__(self):
        (self.folder / "pyvenv" / "bin").mkdir(parents=True)
        (self.folder / "meson-logs").mkdir()
        for path in (self.folder / "pyvenv" / "bin" / "meson", self.ninja):
            path.write_text(SCRIPT)
            path.chmod(0o755)

    @property
    def folder(self):
        return self.top / "native"

    @property
    def ninja(self):
        return self.folder / "ninja"

    @property
    def log(self):
        return self.top / "log"

    @property
    def build(self):
        commands = (
            SimpleNamespace(purpose="configure", env={"CC": "cc-12"}, argv=("../src/configure",)),
            SimpleNamespace(purpose="compile", env={}, argv=(str(self.ninja), "-j3", "all")),
        )
        return SimpleNamespace(folder=str(self.folder), source=str(self.top / "src"), commands=commands)

    @property
    def calls(self):
        """Arguments of the calls; each ran in the build folder, with the variables of configure."""
        lines = (self.folder / "calls").read_text().splitlines()
        prefix = f"{self.folder} cc-12 "
        assert all(line.startswith(prefix) for line in lines)
        assert [folder for _, folder in self.sandbox.commands] == [self.folder] * len(lines)
        return [line.removeprefix(prefix) for line in lines]

    def describe(self, tests, targets):
        """Let ``meson introspect`` print ``tests`` and ``targets``."""
        for name, entries in (("tests", tests), ("targets", targets)):
            (self.folder / f"--{name}.json").write_text(json.dumps(entries))

    def give(self, *runs):
        """Let each ``meson test`` end with one of ``runs``: results, or whole entries, by meson's name."""
        for number, run in enumerate(runs):
            entries = [
                {"name": name} | (entry if isinstance(entry, dict) else {"result": entry, "duration": 0.126})
                for name, entry in run.items()
            ]
            text = "\n".join(json.dumps(entry) for entry in entries)
            (self.folder / f"results-{number}.json").write_text(f"{text}\n\n")

    def run(self, *names, known=(), **env):
        tests = [QemuTest(name=name, suite="unit", programs=(), sources=()) for name in names]
        more = {"patch": 3, "log": self.log, "processes": 2, "step": Recorder(), "env": env, "known": known}
        return run_tests(self.build, tests, self.sandbox, **more)


def entry(name, *suites, command=(), **more):
    """One test, as ``meson introspect --tests`` describes it."""
    return {"name": name, "suite": list(suites), "cmd": list(command), "depends": []} | more


def target(ident, path, *sources):
    """One target, as ``meson introspect --targets`` describes it."""
    groups = [{"linker": ["cc"]}, {"sources": list(sources)}]
    return {"id": ident, "filename": [path], "target_sources": groups}
