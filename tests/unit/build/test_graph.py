"""build.ninja and .ninja_deps of real builds by ninja, of sources that stand for QEMU's."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.build.graph import Graph, Step, read_graph, read_headers, relative

NINJA = str(Path(sys.executable).parent / "ninja")
BUILD = """\
rule c_COMPILER
  command = gcc -I../src/include -MD -MF $out.d -c $in -o $out
  depfile = $out.d
  deps = gcc
rule c_LINKER
  command = gcc -o $out $in
rule STATIC_LINKER
  command = ar rcs $out $in
rule CUSTOM_COMMAND
  command = cp $in $out
build a.p/a.c.o: c_COMPILER ../src/a.c | implicit.h || gen.h
build b.p/odd$ name.c.o: c_COMPILER ../src/sub/../b.c
build libb.a: STATIC_LINKER b.p/odd$ name.c.o
build gen.h: CUSTOM_COMMAND ../src/gen.json
build implicit.h: CUSTOM_COMMAND ../src/gen.json
build prog: c_LINKER a.p/a.c.o
build libc.a: STATIC_LINKER a.p/a.c.o
build all: phony prog libb.a
"""


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "src"
    (source / "include").mkdir(parents=True)
    (source / "sub").mkdir()
    (source / "a.c").write_text('#include "x.h"\nint main(void) { return X; }\n')
    (source / "b.c").write_text("int b;\n")
    (source / "gen.json").write_text("\n")
    for name in ("x", "y", "unused"):
        (source / "include" / f"{name}.h").write_text('#include "y.h"\n' if name == "x" else "#define X 0\n")
    build = tmp_path / "native"
    build.mkdir()
    (build / "build.ninja").write_text(BUILD)
    return build


def test_goals_reach_sources_and_what_generates_headers(folder):
    graph = read_graph(folder)
    reached = graph.reach(["prog", "no-such-goal"])
    assert graph.sources(reached) == {"a.c", "gen.json"}
    assert dict(graph.objects_of(reached)) == {"a.c": "a.p/a.c.o"}
    assert graph.count(reached) == 1
    assert dict(graph.objects_of(graph.reach(["all"]))) == {"a.c": "a.p/a.c.o", "b.c": "b.p/odd name.c.o"}
    assert graph.steps["a.p/a.c.o"] == Step(
        rule="c_COMPILER", outputs=("a.p/a.c.o",), inputs=("../src/a.c",), others=("implicit.h", "|| 0")
    )


def test_programs_are_links_and_the_archives_that_none_contains(folder):
    assert read_graph(folder).programs == ("prog", "libb.a")
    inside = Graph(
        {
            "prog": Step(rule="cpp_LINKER_RSP", outputs=("prog",), inputs=("libx.a",), others=()),
            "libx.a": Step(rule="STATIC_LINKER_RSP", outputs=("libx.a",), inputs=(), others=()),
        }
    )
    assert inside.programs == ("prog",)


def test_sources_are_relative_to_the_tree():
    assert relative("../src/hw/arm/virt.c") == "hw/arm/virt.c"
    assert relative("../src/sub/../b.c") == "b.c"
    assert relative("../elsewhere/b.c") == relative("qapi/gen.c") == relative("/usr/src/b.c") == ""


def test_headers_are_those_that_the_compiler_has_read(folder):
    wanted = {"include/x.h", "include/y.h", "include/unused.h"}
    a, b = {"a.p/a.c.o": "a.c"}, {"b.p/odd name.c.o": "b.c"}
    assert read_headers(folder, a, wanted) == {}, "nothing is compiled yet"
    subprocess.run([NINJA, "all"], cwd=folder, check=True, capture_output=True)
    assert read_headers(folder, a | b, wanted) == {"include/x.h": {"a.c"}, "include/y.h": {"a.c"}}
    assert read_headers(folder, a, {"include/y.h"}) == {"include/y.h": {"a.c"}}
    assert read_headers(folder, b, wanted) == {}
    (folder.parent / "src" / "a.c").write_text("int main(void) { return 0; }\n")
    subprocess.run([NINJA, "all"], cwd=folder, check=True, capture_output=True)
    assert read_headers(folder, a, wanted) == {}, "the last compilation counts"
    (folder / ".ninja_deps").write_bytes(b"# ninjadeps\n\x63\0\0\0")
    assert read_headers(folder, a, wanted) == {}
