"""meson_options.txt and ``-Dname=value`` → frozen Options.

The file is read by meson itself (``meson introspect --buildoptions``, Meson manual "IDE integration"), so
there is one grammar and one list. This module checks conditions that only the harness knows (whether a QEMU
has a target, whether a guest fits into this machine), before any work.
"""

import ast
import contextlib
import dataclasses
import difflib
import hashlib
import re
import secrets
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import psutil

from harness.errors import OptionError, StorageError
from harness.jsonfile import UNREADABLE, write_json
from harness.layout import Layout
from harness.process import run

MIB = 1024 * 1024
SEEDS = 999_999_999
LINUX_MINIMUM_MIB = 128
"""Debian's kernel and the init, with some memory left to fill."""
Value = str | int | bool | tuple[str, ...]


class Declared(msgspec.Struct, frozen=True, kw_only=True, rename={"default": "value"}):
    """One option, as ``meson introspect --buildoptions`` prints it and as the cache stores it.

    ``minimum`` and ``maximum`` are from meson_options.txt.
    """

    name: str
    section: str = "user"
    type: str
    default: Value
    choices: tuple[str, ...] | None = None
    minimum: int | None = None
    maximum: int | None = None
    description: str


DEBUG = Declared(name="debug", type="boolean", default=False, description="Compile with debug information")
"""meson has this option in every project, so meson_options.txt cannot declare it."""
AT_LEAST_ONE = msgspec.Meta(min_length=1)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a run. Fields are named as in meson_options.txt, ``_`` for ``-``; sizes in MiB."""

    pin: str
    series: str
    source: str
    targets: tuple[str, ...]
    hosts: tuple[str, ...]
    variants: tuple[str, ...]
    memory_mib: tuple[int, ...]
    backends: tuple[str, ...]
    pages: tuple[str, ...]
    payload: tuple[str, ...]
    triggers: tuple[str, ...]
    accel: str
    rounds: int
    timeout: int
    jobs: int
    ccache: bool
    profile: str
    rust: bool
    devices: str
    debug: bool
    coverage: bool
    cycles: int
    seed: int
    preset: str
    budget_s: int
    restart: str
    gate: str
    ccache_remote: str
    distcc: str
    spawner: str
    spawner_hosts: tuple[str, ...]
    spawner_ssh: str
    base: str
    matrix: tuple[str, ...]
    rules_off: tuple[str, ...]
    fail_on: str
    bisect: str
    compilers: tuple[str, ...]
    patches: tuple[str, ...]
    qemu_tests: tuple[str, ...]
    ci_runners: tuple[str, ...]
    isolation: str
    trust_base: bool
    given: tuple[str, ...]
    """The ``-Dname=value`` arguments as given, for the reproducer command."""

    def has(self, name: str) -> bool:
        """Whether option ``name`` was given explicitly."""
        return any(word.startswith(f"-D{name}=") for word in self.given)

    @property
    def patch_numbers(self) -> frozenset[int]:
        """Positions of the selected patches; empty for all."""
        return frozenset(map(int, self.patches))

    @property
    def further_pins(self) -> tuple[str, ...]:
        """The pins of -Dmatrix=; empty for ``none``."""
        return tuple(name for name in self.matrix if name != "none")

    def values(self) -> dict[str, Any]:
        """Return every option with its value, for the results."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "given"
        }


def declared_options(layout: Layout) -> dict[str, Declared]:
    """Return the options of meson_options.txt, as read by meson; cached by the digest of its input."""
    option_file, build_file = layout.files / "meson_options.txt", layout.files / "meson.build"
    digest = hashlib.sha256(option_file.read_bytes() + build_file.read_bytes()).hexdigest()[:16]
    cached = layout.cache / "options" / f"{digest}.json"
    try:
        raw = msgspec.json.decode(cached.read_bytes(), type=Annotated[list[Declared], AT_LEAST_ONE])
    except (OSError, *UNREADABLE):
        finished = run(
            [sys.executable, "-m", "mesonbuild.mesonmain", "introspect", "--buildoptions", build_file],
            merge_stderr=False,
            error=lambda ended: OptionError(
                "meson cannot read meson_options.txt",
                "fix the file",
                details=tuple(ended.output.splitlines()[-5:]),
            ),
        )
        found = msgspec.json.decode(finished.output, type=list[Declared])
        raw = [option for option in found if option.section == "user"]
        with contextlib.suppress(StorageError):  # an unwritable cache is not an error
            write_json(cached, raw)
    bounds = _integer_bounds(option_file.read_text(encoding="utf-8"))
    declared = [msgspec.structs.replace(option, **bounds.get(option.name, {})) for option in raw]
    return {option.name: option for option in (*declared, DEBUG)}


def parse_options(layout: Layout, words: Sequence[str]) -> Options:
    """Parse ``words`` (each ``-Dname=value``) into options. In a QEMU clone, that is the default source.

    Raises OptionError for invalid UTF-8, an unknown name, a value of the wrong type or outside its choices,
    or a guest larger than this machine's memory.
    """
    declared = declared_options(layout)
    values: dict[str, Value] = {name: option.default for name, option in declared.items()}
    given: set[str] = set()
    for word in words:
        name, separator, text = word.removeprefix("-D").partition("=")
        if re.search("[\ud800-\udfff]", word):
            raise OptionError(f"{word!r} is not UTF-8", "results store it as text: use another name or path")
        if not word.startswith("-D") or not separator:
            raise OptionError(f"{word!r} is not an option", "write options as -Dname=value")
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            hint = f"did you mean -D{near[0]}=? " if near else ""
            shown = repr(name)[1:-1]  # on one line, whatever it contains
            raise OptionError(f"unknown option -D{shown}", f"{hint}known are: {' '.join(sorted(declared))}")
        values[name] = _convert(declared[name], text)
        given.add(name)
    if layout.clone is not None and not {"pin", "source"} & given:
        values["source"] = str(layout.clone)
    memory = values.pop("memory")
    assert isinstance(memory, tuple)
    budget_s = parse_duration(str(values.pop("budget")))
    fields: dict[str, Any] = {name.replace("-", "_"): value for name, value in values.items()}
    options = Options(memory_mib=_sizes(memory), budget_s=budget_s, given=tuple(words), **fields)
    if "memory" in given:
        _refuse_too_large(options.memory_mib)
    _check_payload(options)
    if "none" in options.qemu_tests and len(options.qemu_tests) > 1:
        raise OptionError("-Dqemu-tests: none excludes other tests", "omit none, or everything else")
    if not options.ccache and (options.ccache_remote or options.distcc):
        raise OptionError("-Dccache_remote and -Ddistcc need ccache, which is off", "omit -Dccache=false")
    return options


def parse_size(text: str, *, name: str = "-Dmemory") -> int:
    """Parse a size such as ``256M`` or ``16G``, the value of ``name``, into MiB. Raises OptionError."""
    match = re.fullmatch(r"([1-9][0-9]{0,6})([MmGg])", text)
    if match is None:
        raise OptionError(
            f"{name}: {text!r} is not a size", "write a number with M or G, such as 256M or 16G"
        )
    return int(match[1]) * (1024 if match[2] in "Gg" else 1)


def parse_duration(text: str) -> int:
    """Parse a duration such as ``90s``, ``5m`` or ``2h`` into seconds. Raises OptionError."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smh])", text)
    if match is None:
        raise OptionError(
            f"-Dbudget: {text!r} is not a duration", "write a number with s, m or h, such as 120s"
        )
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def choose_seed(asked: int) -> int:
    """Return ``asked``, or a random positive seed if it is 0."""
    return asked or 1 + secrets.randbelow(SEEDS)


def _sizes(texts: Sequence[str]) -> tuple[int, ...]:
    sizes = tuple(parse_size(text) for text in texts)
    for mib in sizes:
        if sizes.count(mib) > 1:
            raise OptionError(f"-Dmemory: {format_size(mib)} is given twice", "give each size once")
    return sizes


def format_size(mib: int) -> str:
    """Format ``mib`` MiB with the suffix M or G."""
    return f"{mib // 1024}G" if mib % 1024 == 0 else f"{mib}M"


def check_choice(option: str, values: Iterable[str], known: Iterable[str], *, where: str) -> None:
    """Raise OptionError unless all ``values`` are ``known`` to ``where`` (such as a pin)."""
    allowed = sorted(known)
    for value in values:
        if value not in allowed:
            near = difflib.get_close_matches(value, allowed, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise OptionError(
                f"-D{option}: {where} has no {value!r}", f"{hint}known are: {' '.join(allowed)}"
            )


def _check_payload(options: Options) -> None:
    """Raise OptionError for triggers and sizes that the payloads do not support."""
    if "poweroff" in options.triggers and "paused" in options.payload:
        raise OptionError(
            "-Dtriggers=poweroff: a paused guest cannot power off",
            "use only -Dpayload=linux, or omit the trigger",
        )
    smallest = min(options.memory_mib)
    if smallest < LINUX_MINIMUM_MIB and options.payload != ("paused",):
        raise OptionError(
            f"-Dmemory: Linux needs more than {format_size(smallest)}",
            f"use {LINUX_MINIMUM_MIB}M or more",
        )


def _refuse_too_large(sizes: Iterable[int]) -> None:
    total = psutil.virtual_memory().total // MIB
    for mib in sizes:
        if mib > total:
            raise OptionError(
                f"-Dmemory: a guest of {format_size(mib)} cannot fit into this machine's {total} MiB",
                f"use less than {total // 1024}G",
            )


def _convert(option: Declared, text: str) -> Value:
    name = option.name
    if option.type == "boolean":
        if text not in ("true", "false"):
            raise OptionError(f"-D{name}: {text!r} is not a boolean", "write true or false")
        return text == "true"
    if option.type == "integer":
        if not re.fullmatch(r"-?[0-9]{1,99}", text):
            raise OptionError(f"-D{name}: {text!r} is not a number", "write an integer")
        number, low, high = int(text), option.minimum, option.maximum
        if (low is not None and number < low) or (high is not None and number > high):
            raise OptionError(f"-D{name}: {number} is out of range", f"write a number from {low} to {high}")
        return number
    if option.type == "array":
        items = _split_array(name, text)
        if not items:
            raise OptionError(f"-D{name}: the list is empty", "give at least one value, or omit the option")
        if len(set(items)) != len(items):
            raise OptionError(f"-D{name}: {text!r} contains a duplicate", "give each value once")
        if option.choices:
            check_choice(name, items, option.choices, where="the harness")
        return items
    if option.choices:
        check_choice(name, [text], option.choices, where="the harness")
    if "\0" in text:
        raise OptionError(f"-D{name}: the value contains a NUL byte", "remove it")
    return text


def _split_array(name: str, text: str) -> tuple[str, ...]:
    """Split an array in either of meson's notations: ``a,b`` and ``['a', 'b']``."""
    if text.startswith("["):
        try:
            items = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            items = None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise OptionError(f"-D{name}: {text!r} is not a list of strings", f"write -D{name}=a,b")
        return tuple(items)
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _integer_bounds(text: str) -> dict[str, dict[str, int]]:
    """Return minimum and maximum of integer options, which introspection omits (as of meson 1.12)."""
    return {
        name: {f"{end}imum": int(number) for end, number in re.findall(r"\b(min|max): (\d+)", body)}
        for name, body in re.findall(r"^option\('([a-z_]+)',(.*?)\)\s*$", text, re.DOTALL | re.MULTILINE)
    }
