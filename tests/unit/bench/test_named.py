"""--binary NAME=PATH[,ARG...]."""

import hashlib

import pytest

from harness.bench.named import named_subjects, read_help
from harness.errors import OptionError
from tests.unit.programs import write_program

TARGETS = ("x86_64-softmmu", "s390x-softmmu")


def program(folder, name, text=""):
    """Create a program that prints its version for --version, and ``text`` for -help."""
    script = f"case $1 in --version) echo QEMU 9;; -help) printf '%s' '{text}';; esac"
    return write_program(folder / name, script)


def test_binary_has_name_path_and_arguments(tmp_path):
    path = program(tmp_path, "qemu-system-s390x")
    plain, switched = named_subjects([f"a={path}", f"b={path},-run-with,async-teardown=on"], TARGETS)
    assert (plain.variant, plain.path, plain.options, plain.able) == ("a", str(path), (), False)
    assert (plain.target, plain.host, plain.version) == ("s390x-softmmu", "native", "QEMU 9")
    assert plain.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (switched.options, switched.able) == (("-run-with", "async-teardown=on"), True)


def test_single_target_is_the_default_for_other_file_names(tmp_path):
    (other,) = named_subjects([f"x={program(tmp_path, 'kvm')}"], TARGETS[1:])
    assert other.target == "s390x-softmmu"
    with pytest.raises(OptionError, match="does not contain the target"):
        named_subjects([f"x={tmp_path / 'kvm'}"], TARGETS)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "is not NAME=PATH"),
        ("mine", "is not NAME=PATH"),
        ("=x", "is not NAME=PATH"),
        ("a=", "NAME=PATH"),
        ("a={folder}/text", "is not a program"),
        ("a={folder}/qemu-system-toaster", "toaster"),
    ],
)
def test_other_formats_files_and_targets_are_refused(tmp_path, text, cause):
    program(tmp_path, "qemu-system-toaster")
    (tmp_path / "text").write_text("")
    with pytest.raises(OptionError, match=cause):
        named_subjects([text.format(folder=tmp_path)], TARGETS)


def test_duplicate_names_are_refused(tmp_path):
    one, other = (program(tmp_path, f"qemu-system-{name}") for name in ("x86_64", "s390x"))
    found = named_subjects([f"a={one}", f"a={other}"], TARGETS)
    assert [subject.target for subject in found] == list(TARGETS)
    with pytest.raises(OptionError, match="given twice"):
        named_subjects([f"a={one}", f"a={one}"], TARGETS)
    with pytest.raises(OptionError, match="also the name of a build"):
        named_subjects([f"base={one}"], TARGETS, built=("base", "patched"))


def test_arguments_of_the_feature_are_read_from_the_help_if_requested(tmp_path):
    path = program(tmp_path, "qemu-system-x86_64", "-async-teardown enable")
    texts = [f"mine={path}", f"other={path},-x"]
    asked, given = named_subjects(texts, TARGETS)
    assert (asked.options, given.options) == (("-async-teardown",), ("-x",))
    assert [subject.options for subject in named_subjects(texts, TARGETS, ask=False)] == [(), ("-x",)]


def test_help_is_the_output_of_the_binary(tmp_path):
    assert read_help(write_program(tmp_path / "qemu", 'echo "$@"')) == "-help\n"
