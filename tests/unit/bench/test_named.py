"""--binary NAME=PATH[,ARG...]."""

import hashlib

import pytest

from harness.bench.named import named_subjects, read_help
from harness.errors import OptionError

TARGETS = ("x86_64-softmmu", "s390x-softmmu")


def program(folder, name, text=""):
    """Create a program that prints its version for --version, and ``text`` for -help."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\ncase $1 in --version) echo QEMU 9;; -help) printf '%s' '{text}';; esac\n")
    path.chmod(0o755)
    return path


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


def test_unknown_target_is_refused(tmp_path):
    with pytest.raises(OptionError, match="toaster"):
        named_subjects([f"x={program(tmp_path, 'qemu-system-toaster')}"], TARGETS)


@pytest.mark.parametrize(
    ("text", "cause"),
    [("", "is not NAME=PATH"), ("mine", "is not NAME=PATH"), ("=x", "is not NAME=PATH"), ("a=", "NAME=PATH")],
)
def test_other_formats_are_refused(text, cause):
    with pytest.raises(OptionError, match=cause):
        named_subjects([text], TARGETS)


def test_file_that_is_not_a_program_is_refused(tmp_path):
    (tmp_path / "text").write_text("")
    with pytest.raises(OptionError, match="is not a program"):
        named_subjects([f"a={tmp_path / 'text'}"], TARGETS)


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
    path = tmp_path / "qemu"
    path.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    assert read_help(path) == "-help\n"
