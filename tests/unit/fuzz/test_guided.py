"""Guided fuzzing: an explorer's examples, ends and finds, with a stand-in for atheris."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from harness.errors import FuzzError, MissingError
from harness.fuzz import fuzz_guided
from harness.fuzz.runner import check_fuzz, choose_targets
from harness.layout import Layout, find_layout
from harness.progress import Silent

STAND_IN = """
import contextlib, pathlib, sys

def instrument_imports(**_):
    return contextlib.nullcontext()

def Setup(words, read):
    globals().update(words=words, read=read)

def Fuzz():
    for path in pathlib.Path(words[-1]).iterdir():
        read(path.read_bytes())
    {end}
"""
FIND = """
    prefix = next(word for word in words if word.startswith("-artifact_prefix=")).partition("=")[2]
    pathlib.Path(prefix + "crash-1").write_bytes(b"[")
    sys.exit(77)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where atheris.py is to be written."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    return folder / "atheris.py"


def moved(folder: Path) -> Layout:
    return dataclasses.replace(find_layout(), build=folder / "build", trees=folder / "t", cache=folder / "c")


def test_without_atheris_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingError, match="needs atheris"):
        fuzz_guided(moved(tmp_path), Silent(), seconds=1)


@pytest.mark.slow
def test_what_an_explorer_read_is_counted_and_its_corpus_kept(stand_in: Path, tmp_path: Path) -> None:
    stand_in.write_text(STAND_IN.format(end="sys.exit(0)"))
    layout = moved(tmp_path)
    done = fuzz_guided(layout, Silent(), seconds=1, names=["console"], seed=1)
    check_fuzz(done)
    kept = list((layout.build / "fuzz" / "corpus" / "console").iterdir())
    assert 20 <= done.rows[0].examples <= len(kept)
    assert list((layout.build / "fuzz").iterdir()) == [layout.build / "fuzz" / "corpus"]


@pytest.mark.slow
def test_what_ends_an_explorer_is_kept_and_told(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.write_text(STAND_IN.format(end=FIND))

    def weak(_: Layout, data: bytes) -> None:
        if data == b"[":
            raise KeyError("x")

    broken = dataclasses.replace(choose_targets(["console"])[0], check=weak)
    monkeypatch.setattr("harness.fuzz.runner.TARGETS", (broken,))
    done = fuzz_guided(moved(tmp_path), Silent(), seconds=1, seed=1)
    with pytest.raises(FuzzError, match="1 of 1 readers"):
        check_fuzz(done)
    (failure,) = (row.failure for row in done.rows)
    assert failure is not None
    assert failure.problem.startswith("KeyError in ")
    assert failure.path.read_bytes() == b"["


@pytest.mark.slow
def test_an_explorer_that_does_not_work_is_told(stand_in: Path, tmp_path: Path) -> None:
    stand_in.write_text("raise RuntimeError('no such libFuzzer')\n")
    with pytest.raises(FuzzError, match="explorer ended with status 1") as caught:
        fuzz_guided(moved(tmp_path), Silent(), seconds=1, names=["console"], seed=1)
    assert "no such libFuzzer" in "".join(caught.value.details)
    assert caught.value.log is not None
    assert sys.executable in caught.value.log.read_text(encoding="utf-8")
