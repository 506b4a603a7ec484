"""Strategies for malformed input. Random bytes would not get past the first checks of a parser.

A mutation works on the bytes of a valid file: parts are cut, doubled, repeated many times, swapped, replaced
by tokens of the format (``tokens``), or taken from another valid file.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from hypothesis import strategies as st

LARGEST = 200_000
"""Largest size of an example in bytes: enough for a quadratic parser to exceed the time limit."""
WHOLE = 1_000_000
Mutation = tuple[str, int, int, int, bytes]

_KINDS = ("cut", "double", "repeat", "insert", "replace", "swap-lines", "truncate", "flip", "splice", "line")
_WORDS = (
    *("patched", "base", "pristine", "exit", "reclaim", "restart", "x86_64-softmmu", "native", "ram", "4k"),
    *("paused", "sigterm", "better", "worse", "same", "ok", "pass", "fail", "teardown", "error", "clean"),
    *("2026-01-01T00:00:00+00:00", "", "\x00", "\x1b[31m", "<b>&amp;", "[red]", "é", "x" * 300, "a\nb", "%s"),
    *("../../x", "/etc/passwd", "\u202e", "-1", "NaN"),
)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-320, 1e308, -1e308, 0.1, 5e-324, 123.456)
_INTEGERS = (0, 1, -1, 2, 256, 1024, 2**31, 2**63 - 1, -(2**63), 10**18)


def mutated(seeds: Sequence[bytes], tokens: Sequence[bytes] = (b"\0",)) -> st.SearchStrategy[bytes]:
    """Generate ``seeds`` with up to four mutations, which insert ``tokens``."""
    place = st.integers(0, WHOLE)
    piece = st.one_of(st.integers(0, len(tokens) - 1).map(lambda at: tokens[at]), st.binary(max_size=6))
    mutation = st.tuples(st.sampled_from(_KINDS), place, place, place, piece)
    return st.builds(
        # Numbers instead of the seeds themselves, because hypothesis prints the choices.
        lambda seed, other, steps: _mutate(seeds[seed], seeds[other], steps),
        st.integers(0, len(seeds) - 1),
        st.integers(0, len(seeds) - 1),
        st.lists(mutation, max_size=4),
    )


def _mutate(data: bytes, other: bytes, steps: Sequence[Mutation]) -> bytes:
    for step in steps:
        data = _step(data, other, step)[:LARGEST]
    return data


def _step(data: bytes, other: bytes, step: Mutation) -> bytes:
    kind, first, second, count, piece = step
    start = first * len(data) // WHOLE
    # Small pieces are more likely than large ones.
    end = min(len(data), start + 1 + (second * second // WHOLE) * len(data) // WHOLE)
    part = data[start:end]
    plain: dict[str, Callable[[], bytes]] = {
        "cut": lambda: data[:start] + data[end:],
        "double": lambda: data[:end] + part + data[end:],
        "repeat": lambda: (
            data[:start]
            + (part or piece) * (1 + count * LARGEST // WHOLE // (len(part or piece) + 8))
            + data[end:]
        ),
        "insert": lambda: data[:start] + piece + data[start:],
        "replace": lambda: data[:start] + piece + data[end:],
        "truncate": lambda: data[:start],
        "flip": lambda: data[:start] + bytes(255 - byte for byte in data[start : start + 1]) + data[end:],
        "splice": lambda: data[:start] + other[first * len(other) // WHOLE :],
        "swap-lines": lambda: _lines(data, first, second, b"", swap=True),
        "line": lambda: _lines(data, first, second, piece, swap=False),
    }
    return plain[kind]()


def _lines(data: bytes, first: int, second: int, piece: bytes, *, swap: bool) -> bytes:
    lines = data.split(b"\n")
    here, there = first * len(lines) // (WHOLE + 1), second * len(lines) // (WHOLE + 1)
    if swap:
        lines[here], lines[there] = lines[there], lines[here]
    elif b" = " in lines[here] or b": " in lines[here]:
        # A key keeps its name and gets another value.
        mark = b" = " if b" = " in lines[here] else b": "
        comma = b"," if lines[here].endswith(b",") else b""
        lines[here] = lines[here].partition(mark)[0] + mark + piece + comma
    else:
        lines[here] = piece
    return b"\n".join(lines)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Generate JSON values for ``kind``: a struct, a dataclass, or a type of their fields."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return values(arguments[0])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(argument) for argument in arguments])
    if origin in (tuple, list):
        return st.lists(values(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(st.sampled_from(_WORDS), values(arguments[1]), max_size=2)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        str: st.sampled_from(_WORDS),
        int: st.sampled_from(_INTEGERS),
        float: st.sampled_from(_FLOATS),
        bool: st.booleans(),
        type(None): st.none(),
        Any: st.sampled_from((None, 1, "x", [], {}, [[1]], "1G", True)),
    }
    return plain[kind] if kind in plain else st.deferred(lambda: _fields(kind))


def _fields(kind: Any) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    if dataclasses.is_dataclass(kind):
        names = {field.name: field.name for field in dataclasses.fields(kind)}
    else:
        names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    return st.fixed_dictionaries({names[name]: values(hints[name]) for name in names})
