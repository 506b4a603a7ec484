"""Row 12: analysis of the helper's machine code, its thread-local storage and its stack."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from harness.figures import shown
from harness.process import run
from harness.properties import frames, status
from harness.properties.bench import Bench, Running
from harness.properties.outcome import Cancelled, Failed, Parts, tool
from harness.properties.signalsafe import SAFE

MOST_FUNCTIONS = 40
ADDRESS = ("lea", "larl")
"""Instructions of x86_64 and s390x that load an address relative to themselves; aarch64 needs two for it."""
_TARGET = re.compile(r"(?:^|[ ,])([0-9a-f]+) <([^>+]+)(\+0x[0-9a-f]+)?>")
_THREAD_LOCAL = {
    # Thread-local storage is addressed through %fs, tpidr_el0, or access registers 0 and 1 (ELF TLS ABIs).
    "EM_X86_64": re.compile(r"%fs:"),
    "EM_AARCH64": re.compile(r"tpidr_el0"),
    "EM_S390": re.compile(r"^ear\s.*%a[01]"),
}
_JUMP = {
    "EM_X86_64": re.compile(r"^(?:call|j[a-z]+|loop\w*)\b"),
    "EM_AARCH64": re.compile(r"^(?:bl?|blr|br|b\.\w+|cbn?z|tbn?z)\b"),
    "EM_S390": re.compile(r"^(?:brasl|bras|basr|br|j\w*|bcr?|brcl?|c\w*j\w*)\b"),
}
_INDIRECT = {
    "EM_X86_64": re.compile(r"^(?:call|jmp)\s+\*"),
    "EM_AARCH64": re.compile(r"^(?:blr|br)\s"),
    "EM_S390": re.compile(r"^(?:basr\s+%r\d+,%r[1-9]|bcr?\s+15,%r(?!14))"),
}


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function of the symbol table."""

    name: str
    address: int
    size: int


class Code:
    """The functions of a binary. Raises Cancelled without symbols, or for an unsupported architecture."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as stream:
                header = ELFFile(stream)
                self.machine, self.fixed = str(header["e_machine"]), header["e_type"] == "ET_EXEC"
        except (OSError, ELFError) as error:
            raise Cancelled(f"cannot read the binary: {error}") from error
        if self.machine not in _JUMP:
            raise Cancelled(f"the analysis does not support machine code of {self.machine}")
        # Much faster than elftools for sixty thousand symbols.
        listing = run([tool("nm", "binutils"), "--defined-only", "--print-size", path], timeout_s=120).output
        self.functions = read_symbols(listing)
        if not self.functions:
            raise Cancelled("the binary has no symbols")

    def entry(self, addresses: Sequence[int]) -> Function:
        """Return the function of the first of ``addresses`` that is inside of one. Raises Cancelled."""
        functions = sorted(self.functions.values(), key=lambda each: each.address)
        starts = [each.address for each in functions]
        for address in addresses:
            function = functions[max(bisect_right(starts, address) - 1, 0)]
            # A return address is never the beginning of a function; a pointer to one is.
            if function.address < address < function.address + function.size:
                return self._whole(function)
        raise Cancelled("no function of the binary is on the helper's stack")

    def _whole(self, function: Function) -> Function:
        """Return the function that ``function`` is a part of: gcc moves unlikely parts to NAME.cold."""
        if not function.name.endswith(".cold"):
            return function
        name = function.name.removesuffix(".cold")
        return next((each for each in self.functions.values() if each.name == name), function)

    def disassemble(self, function: Function) -> list[tuple[str, str]]:
        """Return mnemonic and operands of each instruction, in the format of objdump(1)."""
        ended = run(
            [
                *(tool("objdump", "binutils"), "--disassemble", "--no-show-raw-insn", "--section=.text"),
                f"--start-address={function.address:#x}",
                f"--stop-address={function.address + function.size:#x}",
                self.path,
            ],
            timeout_s=120,
        )
        return read_listing(ended.output)


def read_symbols(text: str) -> dict[int, Function]:
    """Parse the output of nm(1) with sizes into functions by address."""
    symbols = re.findall(r"^([0-9a-f]+) ([0-9a-f]+) [tTwW] (\S+)$", text, re.MULTILINE)
    return {
        int(address, 16): Function(name=name, address=int(address, 16), size=int(size, 16))
        for address, size, name in symbols
    }


def read_listing(text: str) -> list[tuple[str, str]]:
    """Parse a listing of objdump without raw bytes into mnemonic and operands of each instruction."""
    instructions = []
    for line in text.splitlines():
        head, colon, rest = line.partition(":")
        if colon and re.fullmatch(r"\s*[0-9a-f]+", head) and rest.strip():
            words = rest.strip().split(None, 1)
            instructions.append((words[0], words[1] if len(words) > 1 else ""))
    return instructions


def fault_of(machine: str, mnemonic: str, operands: str, *, owner: bool = False) -> str | None:
    """Return the problem of a single instruction, or None. ``owner``: of a helper with storage of its own."""
    text = f"{mnemonic} {operands}"
    if _THREAD_LOCAL[machine].search(text) and not owner:
        return "accesses thread-local storage"
    if _INDIRECT[machine].search(text):
        return "calls through a pointer"
    target = _TARGET.search(operands)
    if target and _JUMP[machine].search(text) and "@plt" in target[2]:
        name = target[2].partition("@")[0]
        if not (owner and name in SAFE):
            return f"calls {name}() of the C library"
    return None


def leads_to(machine: str, mnemonic: str, operands: str) -> int | None:
    """Return the target address of a call or jump in the binary, or the start of a function whose address is
    loaded: the helper may start a thread with it. None for other instructions."""
    target = _TARGET.search(operands)
    if target is None or "@plt" in target[2]:
        return None
    taken = mnemonic in ADDRESS and not target[3]
    if not taken and not _JUMP[machine].search(f"{mnemonic} {operands}"):
        return None
    return int(target[1], 16)


def closure_faults(code: Code, entry: Function, *, owner: bool = False) -> Sequence[str]:
    """Return the problems in ``entry`` and in all functions that it calls, in call order."""
    faults: dict[str, None] = {}
    seen, queue = {entry.address}, [entry]
    while queue:
        function = queue.pop(0)
        for mnemonic, operands in code.disassemble(function):
            fault = fault_of(code.machine, mnemonic, operands, owner=owner)
            if fault:
                faults[f"{function.name}() {fault}"] = None
                continue
            address = leads_to(code.machine, mnemonic, operands)
            if address is None or function.address <= address < function.address + function.size:
                continue
            callee = code.functions.get(address)
            if callee is None and mnemonic in ADDRESS:
                continue  # the address of data
            if callee is None:
                faults[f"{function.name}() jumps to {address:#x}, which is not a function"] = None
            elif callee.address not in seen:
                seen.add(callee.address)
                queue.append(callee)
        if len(seen) > MOST_FUNCTIONS:
            faults[f"{entry.name}() calls more than {MOST_FUNCTIONS} functions"] = None
            break
    return tuple(faults)


def no_libc_state(bench: Bench, parts: Parts) -> None:
    """Row 12."""
    bench.require_option()
    with bench.start() as running:
        helper = running.helper()
        pointer, _ = frames.sleeping_registers(helper)
        with parts.part("no state of the C library that QEMU uses, no locks"):
            _check_code(running, helper, Path(bench.task.binary.path))
        with parts.part("stack has room for a signal frame, and a guard page") as figures:
            maps = Path(f"/proc/{helper}/maps").read_text(encoding="utf-8")
            size, guarded = status.stack_of(maps, pointer)
            figures |= {"stack_bytes": float(size), "needed_bytes": float(status.signal_stack_size())}
            if not guarded:
                raise Failed("there is no guard page below the helper's stack")
            if size < status.signal_stack_size():
                raise Failed(
                    f"the stack has {size} bytes left; a signal handler may need {status.signal_stack_size()}"
                )


def _check_code(running: Running, helper: int, binary: Path) -> None:
    code = Code(binary)
    entry = code.entry(frames.return_addresses(helper, fixed=code.fixed))
    lenders = frames.lenders(running.pid, helper)
    # A thread that lends its storage sleeps as long as the helper lives; the main thread works.
    owner = not frames.ran(running.pid, lenders, lambda: work(running))
    faults = closure_faults(code, entry, owner=owner)
    if faults:
        shared = "" if owner else "it uses the thread-local storage of a thread that runs, and "
        raise Failed(shared + shown(faults))


def work(running: Running) -> None:
    """Let the threads of QEMU work: a monitor command, and memory that is added and removed (RCU)."""
    for number in range(5):
        running.execute("object-add", qom_type="memory-backend-ram", id=f"work{number}", size=1 << 20)
        running.execute("object-del", id=f"work{number}")
    running.execute("query-status")
