"""--binary NAME=PATH[,ARG...]."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.binaries import parse_binaries
from harness.errors import OptionError


def program(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_name_path_and_words(tmp_path: Path) -> None:
    path = program(tmp_path, "qemu-system-s390x")
    (plain, switched) = parse_binaries([f"a={path}", f"b={path},-run-with,async-teardown=on"])
    assert (plain.name, plain.path, plain.words, plain.target) == ("a", path, (), "s390x-softmmu")
    assert switched.words == ("-run-with", "async-teardown=on")
    (other,) = parse_binaries([f"x={program(tmp_path, 'kvm')}"])
    assert other.target == ""


@pytest.mark.parametrize(
    ("text", "cause"),
    [("", "is not NAME=PATH"), ("mine", "is not NAME=PATH"), ("=x", "is not NAME=PATH"), ("a=", "NAME=PATH")],
)
def test_other_forms_are_refused(text: str, cause: str) -> None:
    with pytest.raises(OptionError, match=cause):
        parse_binaries([text])


def test_no_program_and_names_twice_are_refused(tmp_path: Path) -> None:
    path = program(tmp_path, "qemu")
    (tmp_path / "text").write_text("")
    with pytest.raises(OptionError, match="is no program"):
        parse_binaries([f"a={tmp_path / 'text'}"])
    with pytest.raises(OptionError, match="twice"):
        parse_binaries([f"a={path}", f"a={path}"])
