"""Emulated hosts: plan, init script, records and samples. A shell script takes the place of QEMU."""

import re
import subprocess
from pathlib import Path

import pytest

from harness.bench import Subject
from harness.build.hosts import HOSTS
from harness.build.programs import SOURCES
from harness.errors import OptionError
from harness.guest import shortage
from harness.progress import Silent
from harness.teardown import emulated
from harness.teardown.emulated import machine_arguments, run_emulated, sample_from
from harness.teardown.image import (
    PROPERTIES,
    ROUNDS,
    TRIGGERS,
    Image,
    can_run,
    init_script,
    place_of,
    plan_cells,
    refuse_hosts,
)
from harness.teardown.model import Property
from harness.teardown.records import ConsoleReader, GuestRecord

from ..programs import write_program
from .support import make_cell
from .test_scenario import options

S390X = HOSTS["s390x"]


def cell(**fields):
    return make_cell(**{"host": "s390x", "target": "s390x-softmmu", "timeout_s": 5.0, **fields})


def subject(variant, **fields):
    words = () if variant == "base" else ("-async-teardown",)
    given = {"host": "s390x", "target": "s390x-softmmu", "path": f"/built/{variant}", "sha256": ""}
    return Subject(**{"variant": variant, "version": "", "options": words, **given, **fields})


# ---- records


def test_records_are_parsed_among_kernel_messages_in_pieces_of_any_size():
    text = (
        b"[    0.1] Linux version 6.1\r\n"
        b'\x1e{"kernel": "6.1.0-50-s390x"}\r\n'
        b'half a line \x1e{"index": 7, "exit_s": 0.25, "helpers": 1}\r\n'
        b"[    2.0] random: crng init done\r\n"
        b'\x1e{"property": "clone"}\x1e{"done": true}\r\n'
    )
    for size in (1, 5, 1000):
        console = ConsoleReader()
        found = [record for at in range(0, len(text), size) for record in console.feed(text[at : at + size])]
        assert [(r.kernel, r.index, r.property, r.done) for r in found] == [
            ("6.1.0-50-s390x", None, "", False),
            ("", 7, "", False),
            ("", None, "clone", False),
            ("", None, "", True),
        ]
        assert (found[1].exit_s, found[1].helpers) == (0.25, 1)
        assert console.damaged == 0
        assert "half a line" in console.last_lines()


@pytest.mark.parametrize(
    "line",
    [
        b'\x1e{"index": 1, "exit_s": 0.\x5b 12.3] printk in between\n',
        b'\x1e{"index": "one"}\n',
        b"\x1e\xff\xfe\n",
        b"\x1e[1]\n",
        b"\x1e\n",
    ],
)
def test_damaged_record_is_counted_and_affects_no_other(line):
    console = ConsoleReader()
    assert console.feed(line) == []
    assert console.damaged == 1
    assert [record.index for record in console.feed(b'\x1e{"index": 2}\n')] == [2]


def test_truncated_record_is_ignored_and_memory_is_limited():
    console = ConsoleReader()
    assert console.feed(b'\x1e{"index": 1, "exit_s"') == []
    for _ in range(40):
        assert console.feed(b"x" * 10000) == []
    assert len(console._pending) <= 65536


def test_panic_is_detected_and_last_lines_have_no_control_characters():
    console = ConsoleReader()
    console.feed(b"".join(b"line %d\n" % number for number in range(50)))
    console.feed(b"\x1b[31m[ 3.1] Kernel panic - not syncing: VFS: no root\x1b[0m\r\nCPU: 0")
    assert console.panic == "Kernel panic - not syncing: VFS: no root"
    assert console.last_lines()[-3:] == (
        "line 49",
        "[ 3.1] Kernel panic - not syncing: VFS: no root",
        "CPU: 0",
    )
    assert len(console.last_lines()) <= 21


# ---- samples


def test_valid_record_gives_a_good_sample():
    record = GuestRecord(index=1, start_s=1, populated_mib=139, exit_s=0.5, reclaim_s=0.5, exit_status=-9)
    sample = sample_from(cell(), record)
    assert (sample.outcome, sample.host, sample.exit_s, sample.populated_mib) == ("ok", "s390x", 0.5, 139)


@pytest.mark.parametrize(
    ("record", "wanted", "reason"),
    [
        (GuestRecord(error="QEMU ended while it started; QEMU printed: boo"), {}, "QEMU printed: boo"),
        (GuestRecord(index=1), {}, "no figures"),
        (GuestRecord(exit_s=1, reclaim_s=1, exit_status=1), {}, "status 1 on sigkill"),
        (
            GuestRecord(exit_s=1, reclaim_s=1, exit_status=-9),
            {"helper": True},
            "no helper shares QEMU's memory",
        ),
        (GuestRecord(exit_s=1, reclaim_s=1, exit_status=-9, helpers=1), {}, "should have none"),
        (
            GuestRecord(exit_s=1, reclaim_s=9, exit_status=-9, helpers=1, stuck=1),
            {"helper": True},
            "not freed",
        ),
    ],
)
def test_failures_are_those_of_native_samples(record, wanted, reason):
    sample = sample_from(cell(**wanted), record)
    assert sample.outcome == "failed"
    assert reason in sample.reason


# ---- the plan


def test_host_times_guests_of_its_own_architecture_and_sizes():
    subjects = [
        subject("base"),
        subject("patched"),
        subject("base", target="x86_64-softmmu"),
        subject("base", host="native"),
    ]
    given = options(rounds=1, hosts=("native", "s390x"), triggers=("sigkill",))
    cells = plan_cells(given, S390X, subjects, sizes=(128, 1024), first_index=41)
    assert [c.index for c in cells] == [41, 42, 43, 44]
    assert sorted((c.variant, c.memory_mib) for c in cells) == [
        ("base", 128),
        ("base", 1024),
        ("patched", 128),
        ("patched", 1024),
    ]
    unlimited = options(rounds=0, hosts=("s390x",), triggers=("sigkill",))
    assert {c.round for c in plan_cells(unlimited, S390X, subjects, sizes=(128,), first_index=1)} == {
        *range(1, ROUNDS + 1)
    }
    assert {(c.host, c.target, c.accel, c.payload) for c in cells} == {
        ("s390x", "s390x-softmmu", "tcg", "paused")
    }
    words = ("-Dhosts=s390x", "-Dmemory=512M")  # as options.given has them
    asked = options(rounds=1, hosts=("s390x",), memory_mib=(512,), given=words, triggers=("sigkill",))
    cells = plan_cells(asked, S390X, subjects, sizes=(128,), first_index=1)
    assert {c.memory_mib for c in cells} == {512}


def test_plan_without_cells_is_refused():
    with pytest.raises(OptionError, match="nothing to time on an emulated s390x"):
        plan_cells(options(), S390X, [subject("base", host="native")], sizes=(128,), first_index=1)


def test_hosts_that_cannot_be_timed_are_refused():
    assert [host.name for host in HOSTS.values() if can_run(host)] == ["s390x"]
    refuse_hosts(options(hosts=("native", "s390x"), targets=("s390x-softmmu",)))
    with pytest.raises(OptionError, match="can build for this host, but not emulate it"):
        refuse_hosts(options(hosts=("aarch64",), targets=("s390x-softmmu",)))
    with pytest.raises(OptionError, match="times guests of s390x-softmmu, which is not in -Dtargets"):
        refuse_hosts(options(hosts=("s390x",), targets=("x86_64-softmmu",)))


# ---- init and QEMU's arguments


@pytest.mark.parametrize(
    ("content", "user"),
    [
        (b"\0-runas user\0", "-runas nobody"),
        (b"\0-run-with [chroot=dir][,user=name]\n   Set\0", "-run-with user=nobody"),
    ],
)
def test_init_runs_each_cell_and_property_with_quoted_arguments(tmp_path, content, user):
    binary = tmp_path / "qemu"
    binary.write_bytes(content)
    cells = [
        cell(index=1, variant="base"),
        cell(index=2, variant="patched", options=("-name", "it's; reboot"), helper=True, binary=str(binary)),
    ]
    script = init_script(cells, [(name, cells[1]) for name in PROPERTIES])
    file = tmp_path / "init"
    file.write_text(script)
    subprocess.run(["sh", "-n", file], check=True)
    lines = [line for line in script.splitlines() if line.startswith("/bin/measure ")]
    assert len(lines) == len(cells) + len(PROPERTIES)
    assert lines[0].startswith(
        f"/bin/measure sample 1 sigkill 4k 1 5 -- {place_of('base', 's390x-softmmu')} "
    )
    assert "fd=3" in lines[0]
    assert "prealloc=on" in lines[0]
    assert "'it'\"'\"'s; reboot'" in lines[1]
    assert lines[-1].endswith("-daemonize -pidfile /tmp/qemu.pid")
    assert [line for line in lines if line.endswith(user)], "as the binary spells it"
    assert script.index('"done": true') < script.index("poweroff")


def test_init_prints_valid_records():
    script = init_script([], [])
    prints = [line for line in script.splitlines() if line.startswith("printf")]
    ended = subprocess.run(["sh", "-c", "; ".join(prints)], capture_output=True, check=True)
    records = ConsoleReader().feed(ended.stdout)
    assert records[0].kernel
    assert records[-1].done


def test_measure_supports_each_trigger_and_property():
    """The lists in C and Python must be equal."""
    table = re.search(r"known\[\] = \{(.*?)\};", (SOURCES / "measure.c").read_text(), re.DOTALL)
    assert set(re.findall(r'\{ "(\w+)"', table[1])) == set(TRIGGERS)
    tried = re.findall(r'strcmp\(name, "(\w+)"\)', (SOURCES / "property.c").read_text())
    assert set(tried) == set(PROPERTIES)


# ---- the machine


@pytest.fixture
def machine(layout, tmp_path, monkeypatch):
    """Run a shell script in place of QEMU; $console is the descriptor of the console."""
    cells = (cell(index=5), cell(index=6, variant="patched"))
    image = Image(
        kernel=tmp_path / "vmlinuz",
        release="6.1",
        initramfs=tmp_path / "cpio",
        machine="s390-ccw-virtio",
        console="ttysclp0",
        console_words=("-device", "sclpconsole,chardev=console"),
        firmware=("/fw",),
        cells=cells,
        properties=("clone",),
    )
    monkeypatch.setattr(emulated, "make_image", lambda *_, **__: image)
    monkeypatch.setattr(emulated, "memory_shortage", lambda *_: None)

    def run(script):
        head = "#!/bin/bash\nfor word; do case $word in *,fd=*) console=${word##*=};; esac; done\n"
        program = write_program(tmp_path / "qemu", head + 'say() { printf "$1\\n" >&"$console"; }\n' + script)
        seen = []
        run.reporter = Silent()
        ran = run_emulated(
            layout, options(timeout=1), S390X, (), run.reporter, emulator=program, on_sample=seen.append
        )
        assert list(ran.samples) == sorted(seen, key=lambda sample: sample.index)
        assert [sample.index for sample in ran.samples] == [5, 6]
        return ran

    run.image = image
    return run


GOOD = 'say \'\\036{"index": %d, "exit_s": 0.1, "reclaim_s": 0.1, "exit_status": -9}\'\n'


def test_complete_run_gives_good_samples_and_properties(machine):
    ran = machine(
        'say \'\\036{"kernel": "6.1.0-9"}\'\n'
        + GOOD % 5
        + GOOD % 6
        + 'say \'\\036{"property": "clone"}\'; say \'\\036{"done": true}\'; sleep 60'
    )
    assert [sample.outcome for sample in ran.samples] == ["ok", "ok"]
    assert ran.facts.kernel == "6.1.0-9"
    assert ran.facts.boot_s is not None
    assert [(row.name, row.outcome) for row in ran.facts.properties] == [("clone", "ok")]


def test_kernel_panic_fails_the_remaining_cells(machine):
    ran = machine(
        'say \'\\036{"kernel": "6.1.0-9"}\'\n'
        + GOOD % 5
        + "say '[9.0] pc : \\033[31mbad'; say '[9.1] Kernel panic - not syncing: boo'; sleep 0.2\n"
        + "say '[9.2] Call Trace:'"
    )
    assert machine.reporter.lines[-3:] == [
        "  [9.0] pc : bad",
        "  [9.1] Kernel panic - not syncing: boo",
        "  [9.2] Call Trace:",
    ]
    assert [sample.outcome for sample in ran.samples] == ["ok", "failed"]
    assert ran.samples[1].reason.endswith("emulated host panicked: Kernel panic - not syncing: boo")
    assert ran.facts.properties[0].outcome == "failed"


@pytest.mark.parametrize(
    ("script", "available", "reason"),
    [
        ("echo 'qemu: no such machine' >&2; exit 1", 4096, "the emulated host ended: qemu: no such machine"),
        ("exec sleep 60", 4096, "the emulated host was killed: did not boot within 0.2 s"),
        (
            "exec sleep 60",
            99,
            "the guest was ended because only 99 MiB of the machine's memory were available",
        ),
    ],
    ids=["error", "silent", "shortage"],
)
def test_host_that_does_not_boot_fails_its_samples(machine, monkeypatch, script, available, reason):
    monkeypatch.setattr(shortage, "POLL_S", 0.01)
    monkeypatch.setattr(shortage, "available_mib", lambda: available)
    monkeypatch.setattr(emulated, "BOOT_LIMIT_S", 0.2 if available == 4096 else 20)
    ran = machine(script)
    assert {(sample.outcome, sample.reason) for sample in ran.samples} == {("failed", reason)}
    assert ran.facts.boot_s is None


def test_damaged_record_fails_only_its_cell(machine):
    ran = machine(
        'say \'\\036{"kernel": "6"}\'; say \'\\036{"index": 5, "exit_s": 0.[ 1.1] printk\'\n'
        + GOOD % 6
        + 'say \'\\036{"property": "clone", "error": "boo"}\'; say \'\\036{"done": true}\''
    )
    assert [sample.outcome for sample in ran.samples] == ["failed", "ok"]
    assert ran.samples[0].reason == "the record is missing or damaged on the console"
    assert (ran.facts.properties[0].outcome, ran.facts.properties[0].reason) == ("failed", "boo")


def test_memory_shortage_cancels_the_samples_and_starts_nothing(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(emulated, "memory_shortage", lambda *guest: f"needs {guest}")
    ran = machine('touch "$0.started"')
    # An emulated host runs Linux under TCG, which needs memory for its translation buffer.
    assert {(sample.outcome, sample.reason) for sample in ran.samples} == {
        ("cancelled", "the emulated s390x needs (1025, 'linux', 'tcg')")
    }
    assert {row.outcome for row in ran.facts.properties} == {"cancelled"}
    assert not (tmp_path / "qemu.started").exists()


def test_command_line_has_kernel_console_and_firmware(machine):
    words = " ".join(machine_arguments(machine.image, Path("/qemu"), 2048, 7))
    assert "-accel tcg,thread=multi,tb-size=128 -smp 2 -m 2048M -L /fw" in words
    assert "console=ttysclp0 panic=-1" in words
    assert "socket,id=console,fd=7 -device sclpconsole,chardev=console" in words


def test_details_of_properties_are_recorded(machine):
    ran = machine(
        GOOD % 5
        + GOOD % 6
        + 'say \'\\036{"property": "clone", "detail": "7 of 9"}\'; say \'\\036{"done": true}\''
    )
    assert ran.facts.properties == (Property(name="clone", outcome="ok", detail="7 of 9"),)
