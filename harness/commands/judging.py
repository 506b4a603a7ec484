"""Commands that judge a series: validate, and the list of what is checked."""

from __future__ import annotations

from rich.table import Table

from harness.commands.request import Output, Request, say


def check(request: Request) -> int:
    """List what validate checks: each rule with its severity, what it finds and its remedy."""
    from harness.check import FAMILIES, choose_rules

    active = choose_rules(request.options().rules_off)
    table = Table("rule", "severity", "finds", "remedy", box=None, pad_edge=False)
    for family in FAMILIES:
        table.add_section()
        for rule in family.rules:
            off = "" if rule.id in active else " (off)"
            table.add_row(rule.id, rule.severity + off, rule.summary, rule.remedy)
    Output().print(table)
    return 0


def validate(request: Request) -> int:
    """Judge any series as a maintainer's CI would: does it apply, read well, build and pass?"""
    from harness.fence import open_fence
    from harness.series import read_input
    from harness.source import find_pin
    from harness.validate import (
        check_validate,
        ci_marks,
        record_validate,
        render_validate,
        validate_file,
        write_outputs,
    )

    options, layout, reporter = request.options(), request.layout, request.reporter
    found = read_input(layout, options.series)
    pin = find_pin(layout, options.pin)
    with request.checkout(), open_fence(layout, options.isolation, reporter) as fence:
        results = record_validate(layout, options, found, pin, reporter, command=request.command, fence=fence)
    written = write_outputs(layout, results)
    Output().print(render_validate(results))
    say(f"\nresults: {validate_file(layout)}")
    for path in written:
        say(f"         {path}")
    for line in ci_marks(results):
        say(line)
    check_validate(layout, results)
    return 0
