"""Kill a watch at moments spread over its whole run, let it go on, and compare what it knows in the end.

    python -m tests.unit.watch.killed FOLDER MOMENTS

A process of its own, because it forks: pytest has threads. A moment is a statement of SQL, or a step of the
child that judges. Writes a line for each moment after which something differs.
"""

import os
import signal
import sys
from pathlib import Path

from harness.layout import Layout
from harness.watch import work
from harness.watch.loop import Plan, watch
from harness.watch.sections import Choice
from harness.watch.store import Store
from tests.unit.check.support import cover
from tests.unit.watch.children import Child, make_worker
from tests.unit.watch.inboxes import FOREIGN, make_clone, reply, series, write_maildir

MAILS = [
    *series(1, 2),
    reply(1),
    *series(2, 1),
    *series(1, 2, version=2),
    reply(1, version=2),
    *series(3, 3)[:3],
    *series(4, 1, title="qemu: support it", diff=FOREIGN),
    *series(5, 1, diff=FOREIGN.replace("src/qemu", "hw")),
    *series(6, 1, message="BROKEN"),
    cover(ident="other@example.org"),
]
WHAT = (
    "SELECT title, number, state, reason, sha256, given, rank FROM version ORDER BY id",
    "SELECT version, run.state, verdict, run.sha256, base, run.reason, final FROM run ORDER BY id",
    "SELECT sha256, thread, size FROM mail ORDER BY id",
    "SELECT name FROM file ORDER BY name",
    "SELECT id, newest, sections FROM series ORDER BY id",
)


def known(store):
    """Return everything but times and counters."""
    return [tuple(row) for query in WHAT for row in store.rows(query)]


def go(folder, state, moment):
    layout = Layout(root=folder, build=state / "build", trees=folder / "trees", cache=folder / "cache")
    with Store(state / "watch.sqlite") as store:
        store.db.set_trace_callback(lambda _: moment())
        work.run = Child(layout, moment=moment)
        plan = Plan(inboxes=(folder / "inbox",), choice=Choice(), once=True)
        watch(make_worker(store, layout, folder / "qemu"), plan, lambda: None)


def forked(act):
    """Call ``act`` in a child process; return how that ended (os.waitstatus_to_exitcode)."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at(number):
    count = 0

    def moment():
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return moment


def main(folder, moments):
    make_clone(folder / "qemu")
    (folder / "patches").mkdir()
    write_maildir(folder / "inbox", MAILS)
    total = []
    go(folder, folder / "undisturbed", lambda: total.append(None))
    with Store(folder / "undisturbed" / "watch.sqlite") as store:
        expected = known(store)
    sys.stdout.write(f"{len(total)} moments, {len(expected)} facts\n")
    sys.stdout.flush()  # a fork copies what is not written
    for at in range(moments):
        number = 1 + at * (len(total) - 1) // (moments - 1)
        state = folder / f"at-{number}"
        how = [forked(lambda n=number, s=state: go(folder, s, killed_at(n)))]
        how.append(forked(lambda s=state: go(folder, s, lambda: None)))
        with Store(state / "watch.sqlite") as store:
            found = known(store)
        if how != [-signal.SIGKILL, 0] or found != expected:
            rest = [one for one in found if one not in expected] or [
                one for one in expected if one not in found
            ]
            sys.stdout.write(f"killed at {number}: ended as {how}, differs: {rest[:3]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
