"""Work in a second thread: waited for, its errors left to the stage that needs it."""

import threading

import pytest

from harness.ahead import ahead
from harness.errors import FetchError
from harness.progress import Silent

LIMIT_S = 30.0


def test_jobs_are_done_in_order_before_the_block_is_left():
    gate, done = threading.Event(), []

    def first(quiet):
        assert gate.wait(LIMIT_S)
        with quiet.step("first"):
            done.append(threading.current_thread() is not threading.main_thread())

    reporter = Silent()
    with ahead([first, lambda quiet: done.append(quiet.note("second"))], reporter):
        assert done == [], "they run beside the block"
        gate.set()
    assert done == [True, None]
    assert reporter.lines[-1] == "meanwhile: first; second"


def test_progress_of_a_job_that_takes_longer_than_the_block_is_reported(monkeypatch):
    monkeypatch.setattr("harness.ahead.PATIENCE_S", 0.0)
    begun, gate = threading.Event(), threading.Event()

    class Opening(Silent):
        """Ends the job when its step is reported."""

        def step(self, title):
            gate.set()
            return super().step(title)

    def download(quiet):
        with quiet.step("fetching"):
            begun.set()
            assert gate.wait(LIMIT_S)

    reporter = Opening()
    with ahead([download], reporter):
        assert begun.wait(LIMIT_S)
    assert reporter.lines == ["fetching", "meanwhile: fetching"]


def test_error_ends_the_jobs_and_is_not_reported():
    done = []

    def fails(_):
        raise FetchError("no network", "connect")

    reporter = Silent()
    with ahead([fails, lambda _: done.append(1)], reporter):
        pass
    assert (done, reporter.lines) == ([], [])


def test_error_of_the_block_is_not_delayed_and_drops_jobs():
    running, gate, done = threading.Event(), threading.Event(), threading.Event()

    def first(_):
        running.set()
        assert gate.wait(LIMIT_S)

    def interrupted():
        with ahead([first, lambda _: done.set()], Silent()):
            assert running.wait(LIMIT_S)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    thread = next(one for one in threading.enumerate() if one.name == "ahead")
    gate.set()
    thread.join(LIMIT_S)
    assert not done.is_set()


def test_without_jobs_nothing_is_reported():
    reporter = Silent()
    with ahead([], reporter):
        pass
    assert reporter.lines == []
