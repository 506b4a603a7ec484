"""Row 15: other configurations of QEMU, and other hosts.

A configuration differs from the build in a few lines of ``config-host.h``. Only the sources with the feature
are therefore compiled again, with the commands of the build, and linked with its other objects. This takes
seconds instead of the minutes of a full build.
"""

import math
import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.build.database import CompileCommand, read_database, without_outputs
from harness.process import run
from harness.properties.bench import Bench, Ended
from harness.properties.descriptors import check_descriptors
from harness.properties.outcome import Cancelled, Failed, Parts, tool
from harness.properties.tails import asynchronous, end_first

_FEATURE = re.compile(rb"async[-_]?teardown", re.IGNORECASE)
"""Found in each source with a part of the feature: its own, and those that call it or parse its option."""
LINKERS = ("cpp_LINKER", "cpp_LINKER_RSP", "c_LINKER", "c_LINKER_RSP")
"""meson's rules. A command that is too long has a response file, as that of a QEMU with all devices."""
MEMORY_MIB = 256


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A change of ``config-host.h``: macros that are removed, and text that is appended.

    ``words`` are additional arguments of the compiler.
    """

    name: str
    without: tuple[str, ...]
    added: str = ""
    words: tuple[str, ...] = ()


CONFIGURATIONS = (
    Configuration(name="without seccomp", without=("CONFIG_SECCOMP", "CONFIG_SECCOMP_SYSRAWRC")),
    Configuration(
        name="without close_range",
        without=("CONFIG_CLOSE_RANGE",),
        # Equivalent to headers older than Linux 5.9. The include guard of asm/unistd.h keeps this effective.
        added="#include <sys/syscall.h>\n#undef SYS_close_range\n#undef __NR_close_range\n",
    ),
)
SANITIZED = Configuration(name="address sanitizer", without=("NO_SUCH_MACRO",), words=("-fsanitize=address",))
"""ASan finds memory that the feature uses after free. Only its own sources are compiled with it."""
# Tables of options (QEMUOption, QemuOptsList) and what reads them; not messages or the names of threads.
_TRACE = re.compile(r'(?:\{|\.name =|\bopts?,)\s*"-?async-teardown"|QEMU_OPTION_async_?teardown')
NOT_LINUX = Configuration(name="not Linux", without=("CONFIG_LINUX",), words=("-U__linux__",))


def configured_otherwise(bench: Bench, parts: Parts) -> None:
    """Row 15. The task contains the parts of emulated hosts; the others are checked here."""
    bench.require_option()
    parts.made += bench.task.emulated
    if not bench.task.emulated:
        with parts.part("an s390x host"):
            raise Cancelled("not requested: add -Dhosts=native,s390x")
    for configuration in CONFIGURATIONS:
        with parts.part(configuration.name) as figures:
            built = Rebuild(bench, configuration).link()
            figures.update(_behaves(bench, built))
    with parts.part("not Linux: no such option"):
        _check_absent(bench)


class Rebuild:
    """Compiles sources of a build in another configuration. Raises Cancelled without the build folder."""

    def __init__(self, bench: Bench, configuration: Configuration) -> None:
        self.configuration = configuration
        self.binary = Path(bench.task.binary.path)
        self.work = bench.work / configuration.name.replace(" ", "-")
        self.include = self.work / "include"
        self.include.mkdir(parents=True, exist_ok=True)
        try:
            text = (self.build / "config-host.h").read_text(encoding="utf-8")
            self.commands = read_database(self.build)
        except (OSError, msgspec.MsgspecError) as error:
            raise Cancelled("the binary is not in its build folder with compile_commands.json") from error
        changed = without_macros(text, configuration.without) + configuration.added
        (self.include / "config-host.h").write_text(changed, encoding="utf-8")

    @property
    def build(self) -> Path:
        """The build folder."""
        return self.binary.parent

    def sources(self) -> tuple[CompileCommand, ...]:
        """Return the commands that compile sources of the feature for the emulators. Raises Cancelled."""
        ours = [each for each in self.commands if not each.output.startswith("tests/")]
        found = [each for each in ours if _has_feature(Path(each.directory) / each.file)]
        if not found:
            raise Cancelled("no source of the build contains asynchronous teardown")
        return tuple(found)

    def compile(self, command: CompileCommand, *, preprocess: bool = False) -> Path:
        """Compile a source to an object file, or preprocess it. Raises Failed with the first error."""
        target = self.work / (command.output.replace("/", "_") + (".i" if preprocess else ""))
        words = compile_words(shlex.split(command.command), self.include, target, preprocess=preprocess)
        words += self.configuration.words
        self._run(words, Path(command.directory), f"{command.source} does not compile")
        return target

    def link(self) -> Path:
        """Compile the sources of the feature and link the emulator. Raises Failed, Cancelled."""
        objects = {command.output: self.compile(command) for command in self.sources()}
        listing = run(
            [tool("ninja"), "-C", self.build, "-t", "compdb", "-x", *LINKERS],
            timeout_s=60,
        ).output
        # The first line of ninja names the folder that it enters.
        try:
            commands = msgspec.json.decode(listing[listing.index("[") :], type=list[CompileCommand])
        except (ValueError, msgspec.MsgspecError) as error:
            raise Cancelled("cannot read the link commands of ninja") from error
        link = next((each for each in commands if each.output == self.binary.name), None)
        if link is None:
            raise Cancelled(f"ninja has no link command for {self.binary.name}")
        target = self.work / self.binary.name
        words = link_words(shlex.split(link.command), self._with_archives(objects), target)
        words += [word for word in self.configuration.words if word.startswith("-fsanitize")]
        self._run(words, Path(link.directory), "the emulator does not link")
        return target

    def _with_archives(self, objects: dict[str, Path]) -> dict[str, Path]:
        """Rebuild the archives that contain ``objects``. Return both as a map: original → replacement."""
        replaced = dict(objects)
        for name in {output.split(".p/")[0] for output in objects}:
            archive = self.build / name
            if not archive.is_file():
                continue
            # meson creates thin archives, whose members are paths (ar(1)).
            members = run([tool("ar"), "t", name], cwd=self.build, timeout_s=60).output.splitlines()
            target = self.work / name
            words = [str(objects.get(member, member)) for member in members]
            self._run([tool("ar"), "csrD", str(target), *words], self.build, f"cannot create {name}")
            replaced[name] = target
        return replaced

    def _run(self, words: Sequence[str], directory: Path, problem: str) -> None:
        ended = run(words, cwd=directory, timeout_s=300, check=False)
        if ended.returncode:
            lines = ended.output.splitlines() or ["no message"]
            errors = [line for line in lines if re.search(r"\berror:|undefined|multiple definition", line)]
            raise Failed(f"{problem}: {(errors or lines)[0]}")


def _has_feature(source: Path) -> bool:
    try:
        return _FEATURE.search(source.read_bytes()) is not None
    except OSError:
        return False


def without_macros(text: str, names: Sequence[str]) -> str:
    """Remove the definitions of ``names`` from the text of config-host.h."""
    lines = [line for line in text.splitlines() if not re.match(rf"#define ({'|'.join(names)})\b", line)]
    return "\n".join(lines) + "\n"


def compile_words(words: Sequence[str], include: Path, target: Path, *, preprocess: bool) -> list[str]:
    """Change a compiler's command to search ``include`` first and to write ``target``.

    The options for dependency files are removed, because those files belong to the build.
    """
    kept = without_outputs(words)
    # QEMU's build folder is given by -iquote, which the compiler searches before any -I.
    first = next((index for index, word in enumerate(kept) if word.startswith("-")), len(kept))
    kept[first:first] = ["-iquote", str(include)]
    if preprocess:
        kept = ["-E" if word == "-c" else word for word in kept]
    return [*kept, "-o", str(target)]


def link_words(words: Sequence[str], replaced: dict[str, Path], target: Path) -> list[str]:
    """Change a linker's command to use the ``replaced`` files and to write ``target``."""
    kept = [str(replaced.get(word, word)) for word in words]
    kept[kept.index("-o") + 1] = str(target)
    return kept


def _behaves(bench: Bench, path: Path) -> dict[str, float]:
    binary = msgspec.structs.replace(bench.task.binary, path=str(path))
    with bench.start(binary=binary) as running:
        check_descriptors(running.pid, running.helper())

    def end() -> Ended:
        with bench.start(binary=binary, memory_mib=MEMORY_MIB) as running:
            return end_first(running, signal.SIGTERM)

    ended = asynchronous(end, math.inf)  # rows 2 and 3 judge when it ends
    return {"exit_s": ended.exit_s, "reclaim_s": ended.reclaim_s or 0}


def _check_absent(bench: Bench) -> None:
    """Check that, without CONFIG_LINUX, the preprocessor removes the option from all sources."""
    here = Rebuild(bench, Configuration(name="Linux", without=("NO_SUCH_MACRO",)))
    commands = [each for each in here.sources() if _traces(here.compile(each, preprocess=True))]
    if not commands:
        raise Cancelled("no source contains the option on Linux either")
    for command in commands:
        there = _traces(Rebuild(bench, NOT_LINUX).compile(command, preprocess=True))
        if there:
            raise Failed(f"{command.source} contains the option without CONFIG_LINUX: {there[0]}")


def _traces(preprocessed: Path) -> list[str]:
    text = preprocessed.read_text(encoding="utf-8", errors="replace")
    return [
        line.strip()[:60] for line in text.splitlines() if _TRACE.search(line) and not line.startswith("#")
    ]
