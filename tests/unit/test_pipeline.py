"""harness.pipeline: which variants a command means."""

from __future__ import annotations

import dataclasses

import pytest

from harness.build.hosts import HOSTS
from harness.errors import OptionError
from harness.pipeline import for_host, with_feature
from tests.unit.build.support import make_options


def test_cycles_leave_out_what_has_no_feature_unless_it_is_named() -> None:
    assert with_feature(make_options()).variants == ("patched",)
    named = make_options(given=("-Dvariants=base,patched",))
    assert with_feature(named).variants == ("base", "patched")


def test_cycles_are_refused_for_hosts_that_are_emulated() -> None:
    with pytest.raises(OptionError, match="cycles are run on this machine"):
        with_feature(make_options(hosts=("native", "s390x")))


def test_cross_builds_are_for_guests_of_their_host_unless_targets_are_named() -> None:
    both = make_options(hosts=("native", "s390x"), targets=("x86_64-softmmu", "s390x-softmmu"))
    assert for_host(both, HOSTS["s390x"]).targets == ("s390x-softmmu",)
    assert for_host(both, HOSTS["native"]).targets == both.targets
    named = dataclasses.replace(both, given=("-Dtargets=x86_64-softmmu,s390x-softmmu",))
    assert for_host(named, HOSTS["s390x"]).targets == both.targets
