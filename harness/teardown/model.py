"""The plan of a sample (Cell), its figures (Sample), and the comparison of samples (Comparison).

These structs are the rows of ``build/results/teardown.json``; docs/results.md is generated from them.
"""

from typing import Annotated, Any

import msgspec

from harness.jsonfile import about

MATRIX_FIELDS = ("target", "host", "memory_mib", "backend", "pages", "accel", "payload", "trigger")
"""Fields that define a cell: samples are comparable if all of these are equal."""
SERIES_FIELDS = tuple(field for field in MATRIX_FIELDS if field != "memory_mib")
"""Fields that, with the variant, are equal in all samples of one fitted line."""


class _OfSeries(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of all rows, except the guest's memory."""

    variant: str
    """state of the tree: pristine, base, patched; or the name given with --binary"""
    target: Annotated[str, about("guest architecture")]
    host: Annotated[str, about("where the binary ran")]
    backend: str
    """ram (private, anonymous), memfd (shared), file (on tmpfs, shared) or hugetlb (reserved huge pages,
    shared)"""
    pages: str
    """4k (transparent huge pages off in QEMU), thp (setting of the machine) or hugetlb (with that backend)"""
    accel: Annotated[str, about("accelerator that was used: kvm or tcg")]
    payload: str
    """paused: populated memory, vCPUs never ran; linux: memory filled by the guest, vCPUs running;
    linux-busy: the same, and no vCPU ever sleeps"""
    trigger: Annotated[str, about("what ended QEMU: sigterm, sigkill, sigabrt, quit or poweroff")]

    @property
    def series(self) -> tuple[str, ...]:
        """The values of SERIES_FIELDS."""
        return tuple(getattr(self, field) for field in SERIES_FIELDS)


class _OfCell(_OfSeries, frozen=True, kw_only=True):
    """The fields of the rows about one cell."""

    memory_mib: Annotated[int, about("guest memory in MiB")]

    @property
    def place(self) -> tuple[Any, ...]:
        """The values of MATRIX_FIELDS."""
        return tuple(getattr(self, field) for field in MATRIX_FIELDS)


class Cell(_OfCell, frozen=True, kw_only=True):
    """One sample to take: its fields in the matrix, and its position in the run."""

    kind: str = "teardown"
    round: int
    index: int
    binary: str
    firmware: tuple[str, ...]
    options: tuple[str, ...]
    kernel: str = ""
    initrd: str = ""
    """Empty for payload ``paused``."""
    helper: bool
    """Whether another process must share QEMU's memory (true), or must not (false)."""
    timeout_s: float
    threads: int = 0
    """Number of threads of the process, for the kinds ``floor`` and ``overhead``."""

    @property
    def name(self) -> str:
        """A short name that can be a file name."""
        return "-".join(
            (
                *(self.variant, self.target.removesuffix("-softmmu"), f"{self.memory_mib}M", self.backend),
                *(self.pages, self.accel, self.payload, self.trigger, f"r{self.round}"),
                *(() if self.kind == "teardown" else (self.kind,)),
            )
        )


class Sample(_OfCell, frozen=True, kw_only=True):
    """One guest that was started and torn down, or a small process for comparison."""

    kind: str = "teardown"
    """teardown; restart: a second guest started at QEMU's exit, which disturbs the other latencies of this
    row; floor: a process with QEMU's number of threads and one page of memory; overhead: a process with a
    single thread"""
    round: int
    """round of the run, from 1; the warm-up round is not among the rows. A round of an adaptive run may have
    several samples of a cell, or none"""
    index: Annotated[int, about("position in the run, from 1")]
    outcome: Annotated[str, about("ok, cancelled (did not run) or failed; only ok counts in comparisons")]
    reason: Annotated[str, about("reason of the failure or cancellation, one line")] = ""
    exit_s: float | None = None
    """exit latency in seconds: trigger (for poweroff: QEMU's event SHUTDOWN) until the parent's wait for QEMU
    returned"""
    shutdown_s: float | None = None
    """seconds from the request to power off until QEMU's event SHUTDOWN: the guest's own time"""
    reclaim_s: float | None = None
    """reclaim latency in seconds: trigger until the exit of the last process with QEMU's memory"""
    restart_s: float | None = None
    """restart latency in seconds: trigger until a second guest of the same size was ready"""
    start_s: Annotated[float | None, about("seconds from exec until the guest was ready")] = None
    populated_mib: int | None = None
    """resident memory of the ready guest in MiB; with linux, of the guest's memory alone"""
    helpers: Annotated[int | None, about("other processes that shared QEMU's memory at the trigger")] = None
    exit_status: int | None = None
    """exit status of QEMU; the negative number of the signal that killed it"""
    threads: Annotated[int | None, about("threads of QEMU at the trigger")] = None
    qemu_cpu_s: float | None = None
    """CPU seconds that QEMU spent between the trigger and its end"""
    helper_cpu_s: float | None = None
    """CPU seconds that its helpers spent after the trigger; null if the kernel does not report them"""
    held_at_exit_mib: float | None = None
    """MiB not yet freed when the parent's wait for QEMU returned"""
    returned_mib: float | None = None
    """MiB freed at the exit of the last process with QEMU's memory: cross-check of reclaim_s"""
    returned_by: str = ""
    """source of both: memory.current (cgroup v2), memory.usage_in_bytes (v1), MemAvailable or HugePages_Free
    (/proc/meminfo)"""
    load1: Annotated[float | None, about("load average of the last minute before the start")] = None
    mem_available_mib: Annotated[int | None, about("MiB available before the start")] = None
    foreign_cpus: float | None = None
    """CPUs that were busy with other work, on average from before the start to the end"""
    loaded: bool = False
    """whether foreign_cpus exceeds 0.25: taken under foreign load; such rows still count"""
    thp: Annotated[str, about("transparent huge pages: always, madvise or never")] = ""
    kernel: Annotated[str, about("release of the kernel that the guest ran on")] = ""
    cpu: Annotated[str, about("model name of the processor that it ran on")] = ""
    mitigations: str = ""
    """mitigations of that kernel for processor vulnerabilities, by name"""
    started: Annotated[str, about("start of the sample, ISO 8601, UTC")] = ""

    @property
    def counts(self) -> bool:
        """Whether comparisons use the sample."""
        return self.outcome == "ok"


class Comparison(_OfCell, frozen=True, kw_only=True):
    """A variant compared with a reference in the same cell, for one of the latencies."""

    reference: Annotated[str, about("the variant that it is compared with")]
    latency: Annotated[str, about("exit, reclaim or restart")]
    samples_reference: Annotated[int, about("good samples of the reference")]
    samples: Annotated[int, about("good samples of the variant")]
    loaded: Annotated[int, about("samples of both that were taken under foreign load")]
    reference_s: Annotated[float | None, about("median of the reference, seconds")]
    reference_mad_s: Annotated[float | None, about("its median absolute deviation, seconds")]
    variant_s: Annotated[float | None, about("median of the variant, seconds")]
    variant_mad_s: Annotated[float | None, about("its median absolute deviation, seconds")]
    ratio: Annotated[float | None, about("variant_s / reference_s")]
    ratio_low: Annotated[float | None, about("lower end of the 95 % bootstrap interval of the ratio")]
    ratio_high: Annotated[float | None, about("upper end of that interval")]
    p: float | None
    """probability of a difference this large by chance: a t test of the logarithms, corrected for the times
    that an adaptive run tested it"""
    p_holm: Annotated[float | None, about("the same, corrected for all comparisons of the run (Holm)")]
    verdict: Annotated[str, about("better, same, worse, or not enough data")]


class Slope(_OfSeries, frozen=True, kw_only=True):
    """Growth of one latency of one variant with the guest's memory, all other fields equal."""

    latency: Annotated[str, about("exit, reclaim or restart")]
    sizes_mib: Annotated[tuple[int, ...], about("guest memory sizes that it was fitted to, MiB")]
    samples: Annotated[int, about("good samples that it was fitted to")]
    ms_per_gib: Annotated[float, about("milliseconds per GiB")]
    low: Annotated[float, about("lower end of its 95 % bootstrap interval")]
    high: Annotated[float, about("upper end of that interval")]
    intercept_ms: Annotated[float, about("milliseconds at zero memory, by the same fit")]
    tib_s: Annotated[float, about("seconds at 1 TiB by the same fit: extrapolated, not measured")]
    tib_low_s: Annotated[float, about("lower end of its 95 % bootstrap interval")]
    tib_high_s: Annotated[float, about("upper end of that interval")]


class Property(msgspec.Struct, frozen=True, kw_only=True):
    """One property of the patched QEMU, checked on an emulated host."""

    name: str
    """clone, signals, stack, seccomp, threads, runas, chroot or daemonize (see docs/build.md)"""
    outcome: Annotated[str, about("ok, failed, or cancelled (did not run)")]
    reason: Annotated[str, about("reason of the failure or cancellation, one line")] = ""
    detail: Annotated[str, about("measurements, if any, one line")] = ""


class EmulatedHost(msgspec.Struct, frozen=True, kw_only=True):
    """An emulated host that ran cross-built binaries. Its samples are among the rows."""

    host: Annotated[str, about("its architecture, as in the field host of the rows")]
    kernel: Annotated[str, about("release of its kernel")]
    cpus: Annotated[int, about("its CPUs")]
    memory_mib: Annotated[int, about("its memory in MiB")]
    accel: Annotated[str, about("accelerator of the emulation: tcg")]
    boot_s: Annotated[float | None, about("seconds until its init ran; null if it never ran")]
    seconds: Annotated[float | None, about("seconds until its end")]
    properties: tuple[Property, ...]
    """properties of the patched QEMU that were checked on it"""


CellKey = tuple[str, tuple[Any, ...]]
"""Kind of sample, and the values of MATRIX_FIELDS."""


def cell_key(row: Cell | Sample) -> CellKey:
    """Return the cell of a sample, or of the plan of one."""
    return row.kind, row.place


def sample_of(cell: Cell, **fields: object) -> Sample:
    """Return a sample of ``cell`` with the measured ``fields``."""
    matrix = {name: getattr(cell, name) for name in ("kind", "variant", *MATRIX_FIELDS, "round", "index")}
    return msgspec.convert({**matrix, **fields}, Sample)


class TeardownRun(msgspec.Struct, frozen=True, kw_only=True):
    """The samples of a run, one for each cell, in the order in which they were taken."""

    samples: tuple[Sample, ...]
    warmup_s: float = 0.0
    round_s: float = 0.0
    """Mean duration of a round after the warm-up, in seconds."""
