from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.build.sharing import sharing_variables
from harness.errors import MissingError
from tests.unit.defaults import options_with


def test_default_options_share_nothing() -> None:
    assert sharing_variables(options_with()) == {}


def test_remote_cache_is_set_for_old_and_new_releases() -> None:
    assert sharing_variables(options_with(ccache_remote="file:/c")) == {
        "CCACHE_REMOTE_STORAGE": "file:/c",
        "CCACHE_SECONDARY_STORAGE": "file:/c",
    }


def test_distcc_is_started_by_ccache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="-Ddistcc="):
        sharing_variables(options_with(distcc="a/4"))
    program = tmp_path / "distcc"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert os.access(program, os.X_OK)
    assert sharing_variables(options_with(distcc="a/4 b")) == {
        "CCACHE_PREFIX": str(program),
        "DISTCC_HOSTS": "a/4 b",
    }
