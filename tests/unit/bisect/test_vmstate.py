"""The migration stream of each commit is compared with that of the base, by scripts that stand for QEMU's."""

import json
from types import SimpleNamespace

import pytest

from harness.bisect import commits
from harness.bisect import vmstate as module
from harness.bisect.vmstate import MOST, SCRIPT, Streams
from harness.errors import TimeoutExpiredError
from tests.unit.bisect.support import RecordingSandbox, judged

CHECKER = """\
import json, os, sys
assert sys.argv[1::2] == ["-s", "-d"] and os.path.dirname(sys.argv[2]) == os.getcwd()
source, dest = (json.load(open(path)) for path in (sys.argv[2], sys.argv[4]))
errors = 0
def error(text):
    global errors
    errors += 1
    print(text)
for section, state in source.items():
    if section not in dest:
        error(f'Section "{section}" does not exist in dest')
        continue
    state = state["Subsections"][0]
    dest[section] = dest[section]["Subsections"][0]
    start = f'Section "{section}", Description "{state["name"]}":'
    if state["version_id"] > dest[section]["version_id"]:
        error(f"{start} version error: 2 > 1")
    if state["name"] == "odd":
        error(f'{start} expected field "twice", got "first"')
    for field in state["Fields"]:
        if field["field"] not in [one["field"] for one in dest[section]["Fields"]]:
            error(f'{start} expected field "{field["field"]}"')
sys.exit(errors)
"""
BINARY = """\
#!/bin/sh
[ "$1 $2 $3" = "-M none -dump-vmstate" ] || exit 9
[ -e state.json ] && cp state.json "$4" || { echo noise; echo noise; echo "no state" | tee "$4"; exit 1; }
"""
TARGETS = ("arm-linux-user", "x86_64-softmmu")
BASE = {"rtc": ["a", "b"], "old": ["x"], "odd": ["first", "twice"]}


class Tree:
    """A build folder with a binary that prints ``state``."""

    def __init__(self, folder, checker=CHECKER, targets=TARGETS):
        self.folder, self.targets = folder, targets
        self.sandbox = RecordingSandbox()
        self.streams = Streams(checker=checker)
        self.log = folder / "log"
        for name in ("qemu-system-x86_64", "qemu-system-arm"):
            (folder / name).write_text(BINARY)
            (folder / name).chmod(0o755)

    def __call__(self, number, state, *, version=1, test=""):
        """Compare commit ``number``, whose devices have the fields ``state``; return what is found.

        The field ``test``, such as ``b.x``, is conditional. A device ``a.b`` has the description ``b``, which
        contains another one of this name, with the fields.
        """
        (self.folder / "state.json").unlink(missing_ok=True)
        described = {}
        for device, names in (state or {}).items():
            name = device.rpartition(".")[2]
            fields = [{"field": field, "field_exists": f"{name}.{field}" == test} for field in names]
            inner = {"name": name, "version_id": version, "Fields": fields}
            described[device] = {"name": name, "Subsections": [inner]}
        if state is not None:
            (self.folder / "state.json").write_text(json.dumps(described))
        build = SimpleNamespace(folder=str(self.folder))
        found = self.streams.compare(build, self.targets, number, self.sandbox, self.log)
        assert {folder for _, folder in self.sandbox.commands} <= {self.folder}
        return [(one.rule, one.severity, one.patch, one.message) for one in found]


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def text(field):
    return f'section "rtc": Description "rtc": expected field "{field}"'


def test_removed_field_is_attributed_to_its_commit(tree):
    assert tree(0, BASE) == []
    count = len(tree.sandbox.commands)
    assert tree(1, BASE) == []
    assert len(tree.sandbox.commands) == count + 1, "equal states need no comparison"
    assert str(tree.folder / "qemu-system-x86_64") in tree.sandbox.commands[-1][0]
    assert tree(2, BASE | {"rtc": ["a"]}) == [("migration-breaks", "warning", 2, text("b"))]
    assert len(tree.sandbox.commands) == count + 4, "the script runs in the sandbox, in both directions"
    assert tree(3, BASE | {"rtc": ["a"]}) == [], "it is reported once"


def test_commit_that_configures_again_is_compared(tree):
    tree(0, BASE)
    for path in tree.folder.glob("vmstate-*"):
        path.unlink()  # configure begins with an empty folder
    assert tree(1, BASE) == []
    assert tree(2, BASE | {"rtc": ["a"]}) == [("migration-breaks", "warning", 2, text("b"))]


def test_renamed_field_is_reported_for_one_direction(tree):
    tree(0, BASE)
    found = tree(1, BASE | {"rtc": ["a", "c"]}, version=2)
    assert [one for one in found if '"rtc"' in one[3]] == [("migration-breaks", "warning", 1, text("b"))]


def test_new_field_needs_a_version_or_a_condition(tree):
    tree(0, BASE)
    more = BASE | {"rtc": ["a", "b", "c"]}
    new = 'section "rtc": Description "rtc": field "c" is new, without a higher version_id'
    assert tree(1, more | {"old": ["x", "c"]}, test="old.c") == [
        ("migration-breaks", "warning", 1, new),
        ("migration-backward", "note", 1, text("c").replace("rtc", "old")),
    ]
    assert tree(2, more, test="rtc.c") == [("migration-backward", "note", 2, text("c"))]
    versions = tree(3, BASE | {"rtc": ["a", "b", "d"]}, version=2)
    assert ("migration-backward", "note", 3, text("d")) in versions
    assert {rule for rule, *_ in versions} == {"migration-backward"}


def test_devices_come_and_go(tree):
    tree(0, BASE)
    assert tree(1, BASE | {"new": ["y"]}) == [], "a new device breaks nothing"
    gone = ("migration-breaks", "note", 2, 'device "old" is removed')
    assert tree(2, {device: BASE[device] for device in ("rtc", "odd")}) == [gone]


def test_what_devices_share_is_reported_once(tree):
    shared = {f"{name}.pci": ["a", "b"] for name in ("e1000", "nvme", "xhci")}
    tree(0, BASE | shared)
    message = 'section "e1000.pci" and 2 others: Description "pci": expected field "b"'
    found = tree(1, BASE | {name: ["a"] for name in shared})
    assert found == [("migration-breaks", "warning", 1, message)]


def test_each_target_is_reported(tmp_path):
    tree = Tree(tmp_path, targets=("x86_64-softmmu", "arm-softmmu"))
    tree(0, BASE)
    assert tree(1, BASE | {"rtc": ["a"]}) == [("migration-breaks", "warning", 1, text("b"))] * 2
    unreadable = [message.partition(" ")[0] for *_, message in tree(2, None)]
    assert unreadable == ["qemu-system-x86_64", "qemu-system-arm"]


def test_many_messages_are_cut(tree):
    many = [f"f{at}" for at in range(30)]
    tree(0, {"rtc": many})
    assert len(tree(1, {"rtc": []})) == MOST


def test_state_that_cannot_be_printed_or_compared_is_said(tmp_path):
    tree = Tree(tmp_path, checker="import sys; sys.argv[2] == sys.argv[4] or sys.exit('noise\\nnoise\\nodd')")
    tree(0, BASE)
    unreadable = "qemu-system-x86_64 cannot print the state of its devices: no state"
    assert tree(1, None) == [("migration-breaks", "warning", 1, unreadable)]
    assert "no state" in tree.log.read_text()
    assert tree(2, None) == []
    failed = "vmstate-static-checker.py cannot compare the state of devices: odd"
    assert tree(3, {}) == [
        ("migration-breaks", "warning", 3, failed),
        ("migration-backward", "note", 3, failed),
    ]


def test_programs_that_hang_are_ended(tree, monkeypatch):
    tree(0, BASE)
    monkeypatch.setattr(module, "LIMIT_S", 0.2)
    tree.streams.checker = "import time; time.sleep(60)"
    with pytest.raises(TimeoutExpiredError):
        tree(1, {})
    (tree.folder / "qemu-system-x86_64").write_text("#!/bin/sh\nsleep 60\n")
    with pytest.raises(TimeoutExpiredError):
        tree(2, {})
    assert "-dump-vmstate" in tree.sandbox.commands[-1][0]


def test_base_that_cannot_print_its_state_is_not_compared(tree):
    assert tree(0, None) == []
    assert tree(1, BASE) == []
    silent = Tree(tree.folder, checker="")
    assert (silent(0, BASE), silent(1, {})) == ([], [])
    assert silent.sandbox.commands == [], "a tree without the script"


def test_each_commit_is_compared(walk, layout, monkeypatch):
    walk.series = judged(2)
    object.__setattr__(walk.series, "read", lambda commit, path: f"{commit} {path}")
    compared = []

    def compare(self, build, targets, number, *rest):
        assert rest == (walk.sandbox, walk.log(number, "vmstate"))
        compared.append((f"{self.checker}: {build.commit}", tuple(targets), number))
        return []

    monkeypatch.setattr(commits.Streams, "compare", compare)
    walk(targets=("x86_64-softmmu",))
    assert compared == [(f"c0 {SCRIPT}: c{number}", ("x86_64-softmmu",), number) for number in range(3)]
    compared.clear()
    walk(qemu_tests=("none",))
    walk(hosts=("s390x",))
    assert compared == []
