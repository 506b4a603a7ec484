"""Run mutmut in the current folder on some modules, and write what became of their mutants to a file.

``python -P worker.py OUTPUT PROSE JOBS SAMPLE MODULE...``, in a folder that folder.py has prepared. mutmut
has no options for these settings, so this module uses its internals; requirements.txt pins its version.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import libcst
import mutmut.__main__ as mutmut
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.mutation.mutators import mutation_operators, operator_arg_removal, operator_string

ENCODINGS = ("ascii", "latin-1", "utf-8")
"""Python takes the names of encodings in either case."""

KEPT = ("encoding", "strict")
"""UTF-8 is the default encoding of all supported machines, and zip's ``strict`` is an assertion."""


def mutate_string(prose: re.Pattern[str]) -> object:
    """mutmut's operator for literals, without mutants of prose and other case of encodings."""

    def mutate(node: libcst.BaseString) -> Iterator[libcst.BaseString]:
        value = node.evaluated_value if isinstance(node, libcst.SimpleString) else None
        is_raw = isinstance(node, libcst.SimpleString) and "r" in node.prefix
        if isinstance(value, str) and not is_raw and prose.search(value):
            return
        for mutant in operator_string(node):
            if value not in ENCODINGS or mutant.evaluated_value.lower() != value:
                yield mutant

    return mutate


def mutate_arguments(node: libcst.Call) -> Iterator[libcst.Call]:
    """mutmut's operator for arguments, without the arguments in ``KEPT``."""
    kept = [given.value for given in node.args if given.keyword and given.keyword.value in KEPT]
    for mutant in operator_arg_removal(node):
        if all(any(argument.value is value for argument in mutant.args) for value in kept):
            yield mutant


def keep_arguments() -> None:
    """Let mutmut skip the values of the arguments in ``KEPT``."""
    skip = MutationVisitor._skip_node_and_children

    def skip_more(self: MutationVisitor, node: libcst.CSTNode) -> bool:
        is_kept = isinstance(node, libcst.Arg) and node.keyword is not None and node.keyword.value in KEPT
        return is_kept or skip(self, node)

    MutationVisitor._skip_node_and_children = skip_more


def choose(modules: frozenset[str], sample: int) -> None:
    """Let mutmut run each ``sample``-th mutant of ``modules``, paths such as ``harness/series/mail.py``."""
    collect = mutmut.collect_source_file_mutation_data

    def chosen(*, mutant_names: Sequence[str]) -> object:
        mutants, files = collect(mutant_names=mutant_names)
        return (
            [mutant for mutant in mutants if str(mutant[0].path) in modules][::sample],
            {path: data for path, data in files.items() if path in modules},
        )

    mutmut.collect_source_file_mutation_data = chosen


def results() -> Iterator[dict[str, object]]:
    """Every mutant that has been generated; a diff where the verdict is that nobody noticed."""
    for path in mutmut.walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            alive = code in (0, 5, 33)
            yield {
                "module": str(path),
                "name": name,
                "exit_code": code,
                "seconds": data.durations_by_key.get(name, 0.0),
                "diff": get_diff_for_mutant(name, path=path) if alive else "",
            }


def main(output: str, prose: str, jobs: str, sample: str, *modules: str) -> None:
    """See above. ``prose`` is the pattern of texts that are left alone."""
    ours = {operator_string: mutate_string(re.compile(prose)), operator_arg_removal: mutate_arguments}
    mutation_operators[:] = [(kind, ours.get(operator, operator)) for kind, operator in mutation_operators]
    keep_arguments()
    choose(frozenset(modules), int(sample))
    try:
        mutmut._run((), int(jobs))
    finally:
        Path(output).write_text(json.dumps(list(results())), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
