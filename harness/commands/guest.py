"""The command that keeps one guest running."""

from harness.commands.request import Request, say
from harness.errors import GuestError


def guest(request: Request) -> int:
    """Run one guest with populated memory until Ctrl-C: qemu-harness guest patched x86_64-softmmu."""
    from harness.pipeline import label_of_variant, tree_name
    from harness.teardown.single import single_guest

    options, layout, reporter = request.options(), request.layout, request.reporter
    tree = tree_name(layout, options, reporter)
    variant, target = request.arguments.variant, request.arguments.target
    label = label_of_variant(layout, options, variant)
    with single_guest(layout, options, variant, target, reporter, tree=tree, label=label) as held:
        for line in held.describe():
            say(line)
        try:
            while not held.machine.child.has_ended(timeout_s=3600):
                pass
        except KeyboardInterrupt:
            return 0
        raise GuestError(
            "QEMU exited or was killed",
            "read its last lines and the log",
            details=held.machine.child.last_lines(),
            log=held.machine.child.log,
        )
