"""Structs of results for tests and fuzzing that need only some of their fields."""

import typing
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from harness.machine import HostFacts, host_facts

Kind = TypeVar("Kind", bound=msgspec.Struct)


def filled(kind: type[Kind], **fields: Any) -> Kind:
    """Return a struct with ``fields``. Others that have no default are empty; ``host`` is this machine."""
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in fields:
            fields[field.name] = _empty(field.type)
    return kind(**fields)


def _empty(kind: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _empty(arguments[0])
    if kind is HostFacts:
        return host_facts()
    if origin is Literal:
        return arguments[0]
    return None if type(None) in arguments else (origin or kind)()
