"""A stand-in for the child process that runs validate: it judges by the text of the series, at once."""

from pathlib import Path

import msgspec

from harness.jsonfile import utc_now, write_json
from harness.process import Finished
from harness.progress import Silent
from harness.series import read_input
from harness.validate.run import series_facts
from harness.watch.work import Worker
from tests.unit.validate.test_outputs import results


class Child:
    """Replaces harness.process.run in harness.watch.work. ``calls`` are the digests of the judged series."""

    def __init__(self, layout, *, moment=lambda: None, **changes):
        self.layout, self.moment, self.changes = layout, moment, changes
        self.calls = []
        self.silent = False
        """Whether it ends without results."""
        self.words = []
        self.ended = Finished(argv=("validate",), returncode=20, output="", duration_s=0.0)

    def __call__(self, words, *, env, **_):
        self.words = [str(word) for word in words]
        series = next(word for word in self.words if word.startswith("-Dseries="))
        found = read_input(self.layout, series.partition("=")[2])
        self.calls.append(found.sha256)
        self.moment()
        text = "".join(patch.text for patch in found.patches)
        if "BROKEN" not in text and not self.silent:
            verdict = "apply" if "gone" in text else "findings"
            fields = {
                "verdict": verdict,
                "started": utc_now(),
                "series": series_facts(found, None),
                **self.changes,
            }
            judged = msgspec.structs.replace(results(), **fields)
            write_json(Path(env["QEMU_HARNESS_BUILD"]) / "results" / "validate.json", judged)
        self.moment()
        return self.ended


def make_worker(store, layout, clone):
    """Return a worker whose folder is that of the store."""
    return Worker(
        store=store, layout=layout, reporter=Silent(), folder=store.path.parent, clone=clone, branch="master"
    )
