"""Run the load, and write load.json."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from harness.bench import Bench, Subject
from harness.errors import LoadError
from harness.jsonfile import about
from harness.layout import Layout
from harness.load.judge import summarize
from harness.load.model import LoadPlan, Slice, Summary
from harness.load.runner import run_load
from harness.results import Recorder, Results, with_words


class LoadResults(Results, frozen=True, kw_only=True):
    """A complete load run."""

    seed: Annotated[int, about("seed of the order of slices, ends and pauses")]
    binaries: Annotated[tuple[Subject, ...], about("the binaries that were started")]
    plans: tuple[LoadPlan, ...]
    """the loads that were planned, with the reason for each reduction"""
    summaries: Annotated[tuple[Summary, ...], about("each kind of load with each binary, with its outcome")]
    slices: Annotated[tuple[Slice, ...], about("the parts of the run, in their order")]


def load_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "load.json"


def record_load(bench: Bench, plans: Sequence[LoadPlan], *, command: str) -> LoadResults:
    """Run the plans and write load.json, at the start and after slices. Raises the errors of run_load."""

    def make(shared: dict[str, Any], _: bool) -> LoadResults:
        return LoadResults(
            **shared,
            seed=bench.seed,
            binaries=bench.subjects,
            plans=tuple(plans),
            summaries=summarize(recorder.rows),
            slices=tuple(recorder.rows),
        )

    recorder = Recorder[Slice, LoadResults](
        load_file(bench.layout), bench.options, command=with_words(command, f"-Dseed={bench.seed}"), make=make
    )
    with recorder:
        recorder.save()  # a killed run must not leave the results of an earlier one
        run_load(bench, plans, on_slice=recorder.take)
        return recorder.finish()


def check_load(layout: Layout, results: LoadResults) -> None:
    """Raise LoadError if a load failed or left something behind, or if nothing could run."""
    failed = [summary for summary in results.summaries if summary.outcome == "fail"]
    if failed:
        short = any(summary.oom_kills for summary in failed)
        raise LoadError(
            f"{len(failed)} of {len(results.summaries)} loads failed",
            "make restarts wait with --wait-for-memory, or use a smaller guest (--restart-memory)"
            if short
            else f"see the rows in {load_file(layout)}",
            details=tuple(
                f"{summary.kind} {summary.variant}: {reason}"
                for summary in failed
                for reason in summary.reasons
            ),
            log=load_file(layout),
        )
    if not results.summaries:
        raise LoadError(
            "nothing ran: " + "; ".join(plan.reason for plan in results.plans),
            "free memory, or choose fewer or smaller guests",
        )
