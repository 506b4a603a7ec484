"""harness.pipeline: which variants a command means."""

from __future__ import annotations

import pytest

from harness.errors import OptionError
from harness.pipeline import with_feature
from tests.unit.build.support import make_options


def test_cycles_leave_out_what_has_no_feature_unless_it_is_named() -> None:
    assert with_feature(make_options()).variants == ("patched",)
    named = make_options(given=("-Dvariants=base,patched",))
    assert with_feature(named).variants == ("base", "patched")


def test_cycles_are_refused_for_hosts_that_are_emulated() -> None:
    with pytest.raises(OptionError, match="cycles are run on this machine"):
        with_feature(make_options(hosts=("native", "s390x")))
