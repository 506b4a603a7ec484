"""What the commands that run guests share: their binaries, and what is built and fetched for them."""

import argparse
from types import SimpleNamespace

import pytest

from harness.commands.guests import Chosen, choose_subjects, make_subjects, refuse_other_hosts
from harness.commands.request import Request
from harness.errors import OptionError
from harness.options import parse_options
from harness.progress import Silent

BOTH = ("x86_64-softmmu", "s390x-softmmu")


@pytest.fixture
def request_(layout):
    return Request(
        layout=layout,
        words=(),
        arguments=argparse.Namespace(binary=[]),
        reporter=Silent(),
        command="qemu-harness teardown",
    )


def test_firmware_is_fetched_while_the_first_variant_is_built(request_, calls):
    prepared, quiet = SimpleNamespace(), Silent()
    options = parse_options(request_.layout, ["-Dhosts=native,s390x"])
    chosen = Chosen(options=options, targets=BOTH, named=(), checked=SimpleNamespace())

    def build_all(*_, meanwhile):
        for job in meanwhile:
            job(quiet)
        return prepared, ()

    calls.spy("harness.pipeline.build_all", build_all)
    calls.spy("harness.guest.firmware.fetch_firmware", lambda *_: None)
    calls.spy("harness.pipeline.build_emulators", lambda *_: ("emulator",))
    assert make_subjects(request_, chosen) == ((), ())
    assert calls.made == ["build_all", "fetch_firmware"]
    assert make_subjects(request_, chosen, emulate=True) == ((), ("emulator",))
    assert calls.given["fetch_firmware"] == [((request_.layout, quiet, BOTH), {})] * 2
    assert calls.given["build_emulators"] == [((prepared, request_.layout, options, request_.reporter), {})]


def test_all_targets_are_run_unless_the_first_is_asked_for(request_, calls):
    calls.spy("harness.pipeline.check_request", lambda *_: SimpleNamespace())
    options = parse_options(request_.layout, [])
    assert options.targets == BOTH
    assert choose_subjects(request_, options, build=True).targets == BOTH
    assert choose_subjects(request_, options, build=True, first_target=True).targets == BOTH[:1]


def test_command_without_a_binary_is_refused(request_):
    with pytest.raises(OptionError, match=r"^--no-build needs a binary to run$") as error:
        choose_subjects(request_, parse_options(request_.layout, []), build=False)
    assert error.value.remedy == "add --binary NAME=PATH"


def test_other_hosts_are_refused_by_name(layout):
    refuse_other_hosts(parse_options(layout, []), "load runs")
    with pytest.raises(OptionError, match=r"^-Dhosts=native,s390x: load runs on host native only$") as error:
        refuse_other_hosts(parse_options(layout, ["-Dhosts=native,s390x"]), "load runs")
    assert error.value.remedy == "omit -Dhosts="
