"""Parse the output of ninja, compilers, configure and ccache."""

from harness.build.reading import NinjaReader, configure_errors, first_error, read_cache_log, read_summary

PARALLEL = """\
[1/9] Compiling C object a.c.o
../src/a.c:1:1: warning: unused
[2/9] Compiling C object libcommon.fa.p/hw_pci.c.o
FAILED: [code=1] b.c.o
gcc -c very long -o b.c.o
In file included from ../src/b.c:1:
../src/b.h: At top level:
../src/b.h:9:2: error: #error first
    9 | #error first
      |  ^~~~~
../src/b.h:11:2: error: #error second
[3/9] Compiling C object c.c.o
FAILED: c.c.o
gcc -c c.c
../src/c.c:1:1: error: a later one
ninja: build stopped: subcommand failed.
"""


def test_first_failure_is_separated_from_parallel_output():
    reader = NinjaReader()
    progress = [found for line in PARALLEL.splitlines() if (found := reader.feed(line))]
    assert progress[1] == (2, 9, "hw_pci.c")
    assert (reader.done, reader.total, reader.failures) == (3, 9, 2)
    assert reader.details() == (
        "../src/b.h: At top level:",
        "../src/b.h:9:2: error: #error first",
        "    9 | #error first",
        "      |  ^~~~~",
    )


def test_killed_compiler_and_full_disk_are_recognised():
    for line in (
        "gcc: fatal error: Killed signal terminated program cc1",
        "/tmp/x.s: No space left on device",
    ):
        assert first_error(["noise", line])[0] == line


def test_error_of_meson_during_regeneration_is_kept():
    reader = NinjaReader()
    for line in ("[0/1] Regenerating build files.", "../src/meson.build:7:0: ERROR: Unknown variable x."):
        reader.feed(line)
    assert reader.details() == ("../src/meson.build:7:0: ERROR: Unknown variable x.",)


def test_unrecognised_output_is_shown_unchanged():
    assert first_error(["something odd"]) == ("something odd",)
    assert configure_errors("a\n\nb\n") == ("a", "b")


def test_configure_errors_include_their_indented_lines():
    text = "checking\nERROR: Cannot find Ninja\n   install it\nmore\n"
    assert configure_errors(text) == ("ERROR: Cannot find Ninja", "   install it")


def test_summary_is_parsed_into_sections():
    text = "noise : x\n  Host binaries\n    git : git\n    iasl      : \n\nFound ninja\n    stray : y\n"
    assert read_summary(text) == {"Host binaries": {"git": "git", "iasl": ""}}


def test_cache_log_is_summed_up(tmp_path):
    log = tmp_path / "stats.log"
    log.write_text(
        "# a.c\ndirect_cache_hit\n# b.c\ndirect_cache_miss\npreprocessed_cache_hit\n# c.c\ncache_miss\n"
        "# d\ncalled_for_link\n# e.c\nunsupported_compiler_option\n"
    )
    use = read_cache_log(log)
    assert (use.hits, use.misses, use.uncacheable) == (2, 1, 1)
    assert read_cache_log(tmp_path / "none").hits == 0
