"""Row 15: a small build with a thin archive, compiled and linked in other configurations."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from harness.build.database import CompileCommand
from harness.properties import configurations
from harness.properties.configurations import (
    CONFIGURATIONS,
    Configuration,
    Rebuild,
    compile_words,
    link_words,
    without_macros,
)
from harness.properties.emulated import parts_of
from harness.properties.outcome import Cancelled, Failed, Parts
from harness.teardown.model import EmulatedHost, Property
from tests.structs import filled
from tests.unit.repositories import write_files

from .support import make_binary

# Dozens of real processes: run by nox -s tests.
pytestmark = pytest.mark.slow

# Folders differ between releases, and the sources of the feature between series.
SOURCES = {
    "system/helper.c": """
/* Asynchronous teardown: init_async_teardown() */
#include "config-host.h"
#ifdef CONFIG_SECCOMP
const char *helper(void) { return "filtered"; }
#else
const char *helper(void) { return "unfiltered"; }
#endif
""",
    "os-posix.c": """
#include "config-host.h"
#ifdef CONFIG_LINUX
enum { QEMU_OPTION_asyncteardown = 15 };
int option(void) { return QEMU_OPTION_asyncteardown; }
#else
int option(void) { return 0; }
#endif
""",
    "system/vl.c": """
#include <stdio.h>
#include "config-host.h"
const char *helper(void);
int option(void);
#ifdef CONFIG_LINUX
struct { const char *name; } table[] = {{ "async-teardown" }};
#endif
int main(void) { printf("%s %d\\n", helper(), option()); return 0; }
""",
    "block/io.c": 'const char *message = "teardown of async requests";\n',
}
OBJECTS = {
    "system/helper.c": "libutil.a.p/helper.c.o",
    "os-posix.c": "libblock.fa.p/os-posix.c.o",
    "system/vl.c": "libcommon.fa.p/vl.c.o",
    "block/io.c": "libblock.fa.p/io.c.o",
}
NINJA = """
rule c_COMPILER
 command = cc -iquote . -MD -MF $out.d -o $out -c $in
rule ar
 command = rm -f $out && ar csrDT $out $in
rule c_LINKER_RSP
 command = cc @$out.rsp
 rspfile = $out.rsp
 rspfile_content = -o $out $in
build libutil.a.p/helper.c.o: c_COMPILER ../src/system/helper.c
build libblock.fa.p/os-posix.c.o: c_COMPILER ../src/os-posix.c
build libcommon.fa.p/vl.c.o: c_COMPILER ../src/system/vl.c
build libutil.a: ar libutil.a.p/helper.c.o
build libblock.fa: ar libblock.fa.p/os-posix.c.o
build qemu-system-x86_64: c_LINKER_RSP libcommon.fa.p/vl.c.o libblock.fa libutil.a
"""
WITHOUT_SECCOMP = CONFIGURATIONS[0]


@pytest.fixture
def bench(tmp_path):
    macros = "#define CONFIG_LINUX 1\n\n#define CONFIG_SECCOMP\n#define CONFIG_SECCOMP_SYSRAWRC\n"
    write_files(tmp_path / "src", SOURCES)
    build = write_files(tmp_path / "build", {"config-host.h": macros, "build.ninja": NINJA})
    subprocess.run(["ninja", "-C", build, "--quiet"], check=True)
    commands = [
        {
            "directory": str(build),
            "file": f"../src/{name}",
            "output": output,
            "command": f"cc -iquote . -MD -MF {output}.d -o {output} -c ../src/{name}",
        }
        for name, output in OBJECTS.items()
    ]
    (build / "compile_commands.json").write_text(json.dumps(commands))
    binary = make_binary(path=str(build / "qemu-system-x86_64"))
    return SimpleNamespace(task=SimpleNamespace(binary=binary, emulated=()), work=tmp_path / "work")


def output_of(path):
    return subprocess.run([path], check=True, capture_output=True, text=True).stdout.strip()


def test_emulator_is_linked_without_a_response_file_too(bench, tmp_path):
    """meson writes such a rule for a command that is short enough, as that of a QEMU with few devices is."""
    build = tmp_path / "build"
    short = NINJA.replace("c_LINKER_RSP", "c_LINKER").replace("cc @$out.rsp", "cc -o $out $in")
    lines = [line for line in short.splitlines(keepends=True) if "rspfile" not in line]
    (build / "build.ninja").write_text("".join(lines))
    assert output_of(Rebuild(bench, WITHOUT_SECCOMP).link()) == "unfiltered 15"


def test_configuration_applies_to_archives_and_does_not_change_the_build(bench, tmp_path):
    before = {path: path.read_bytes() for path in (tmp_path / "build").rglob("*") if path.is_file()}
    built = Rebuild(bench, WITHOUT_SECCOMP).link()
    assert output_of(built) == "unfiltered 15"
    assert output_of(bench.task.binary.path) == "filtered 15"
    after = {path: path.read_bytes() for path in (tmp_path / "build").rglob("*") if path.is_file()}
    assert {p.name for p in after if before.get(p) != after[p]} <= {".ninja_log", ".ninja_deps"}


def test_failed_compilation_is_reported_with_its_first_error(bench, tmp_path):
    broken = Configuration(name="broken", without=(), added="#error no such thing\n")
    rebuild = Rebuild(bench, broken)
    with pytest.raises(Failed, match=r"system/helper\.c does not compile: .*no such thing"):
        rebuild.compile(rebuild.sources()[0])
    source = tmp_path / "src/system/helper.c"
    source.write_text(source.read_text().replace("unfiltered", "x").replace("*helper", "*other"))
    with pytest.raises(Failed, match=r"does not link: .*undefined"):
        Rebuild(bench, WITHOUT_SECCOMP).link()


def test_option_on_other_hosts_fails(bench, tmp_path):
    configurations._check_absent(bench)
    source = tmp_path / "src/system/vl.c"
    text = source.read_text()
    source.write_text(text + 'struct { const char *name; } again = { .name = "async-teardown" };\n')
    with pytest.raises(Failed, match=r"system/vl\.c contains the option without CONFIG_LINUX"):
        configurations._check_absent(bench)
    source.write_text(text + 'const char *message = "async-teardown: no", *thread_name = "async-teardown";\n')
    configurations._check_absent(bench)
    source.write_text("/* async_teardown */\n")
    configurations._check_absent(bench)  # the other source still has the option
    (tmp_path / "src/os-posix.c").write_text("/* async_teardown */\n")
    with pytest.raises(Cancelled, match="no source contains the option on Linux either"):
        configurations._check_absent(bench)


def test_sources_of_the_feature_are_found_by_their_content(bench, tmp_path):
    sources = [each.source for each in Rebuild(bench, WITHOUT_SECCOMP).sources()]
    assert sources == ["system/helper.c", "os-posix.c", "system/vl.c"]
    for name in SOURCES:
        (tmp_path / "src" / name).write_text("int nothing;\n")
    with pytest.raises(Cancelled, match="no source of the build contains"):
        Rebuild(bench, WITHOUT_SECCOMP).link()


@pytest.mark.parametrize(
    "file", ["../src/system/vl.c", "../system/vl.c", "../../src/system/vl.c", "system/vl.c"]
)
def test_sources_have_the_name_that_they_have_in_the_tree(file):
    command = CompileCommand(directory="/b", command="cc", file=file, output="o")
    assert command.source == "system/vl.c"


def test_binary_without_build_folder_cancels(bench, tmp_path):
    (tmp_path / "build/compile_commands.json").unlink()
    with pytest.raises(Cancelled, match="build folder"):
        Rebuild(bench, WITHOUT_SECCOMP)


def test_each_configuration_is_a_part(bench, monkeypatch):
    monkeypatch.setattr(configurations, "_behaves", lambda *_: {"exit_s": 0.001})
    bench.require_option = lambda: None
    parts = Parts()
    configurations.configured_otherwise(bench, parts)
    assert [(part.name, part.outcome) for part in parts.made] == [
        ("an s390x host", "cancel"),
        ("without seccomp", "pass"),
        ("without close_range", "pass"),
        ("not Linux: no such option", "pass"),
    ]


def test_commands_and_macros_are_changed():
    assert without_macros("#define CONFIG_A 1\n#define CONFIG_A_B\n", ["CONFIG_A"]) == "#define CONFIG_A_B\n"
    words = ["ccache", "cc", "-m64", "-MD", "-MQ", "x.o", "-MF", "x.o.d", "-o", "x.o", "-c", "x.c"]
    made = compile_words(words, "/inc", "/y.o", preprocess=True)
    assert made == ["ccache", "cc", "-iquote", "/inc", "-m64", "-E", "x.c", "-o", "/y.o"]
    assert link_words(["cc", "-o", "q", "a.o", "b.o"], {"a.o": "/a.o"}, "/q") == [
        *("cc", "-o", "/q", "/a.o", "b.o")
    ]


def test_results_of_an_emulated_host_become_parts():
    properties = (
        Property(name="clone", outcome="ok"),
        Property(name="seccomp", outcome="failed", reason="no filter"),
    )
    facts = filled(EmulatedHost, host="s390x", properties=properties)
    sample = SimpleNamespace(memory_mib=128, outcome="ok", reason="", exit_s=0.02, reclaim_s=None)
    made = parts_of(facts, (sample,))
    assert [(part.name, part.outcome, part.reason) for part in made] == [
        ("s390x: exit of 128 MiB", "pass", ""),
        ("s390x: clone", "pass", ""),
        ("s390x: seccomp", "fail", "no filter"),
    ]
    assert made[0].figures == {"exit_s": 0.02}
