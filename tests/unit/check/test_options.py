"""Rules on new options and monitor commands."""

from dataclasses import replace

from harness.check.options import OptionEntry, check, read_commands, read_options
from tests.unit.check.support import COMMANDS, OPTIONS, append, good, judged

INFO = "hmp-commands-info.hx"
DOCUMENTED = r"""DEF("new", 1, N,
    "-new    is new\n"
    "  and \"good\"\n", ALL)
SRST
``-new``
  Is new.
ERST
"""
ENTRY = '    {\n        .name       = "new|n",\n    },\n'
MANUAL = "SRST\n``new``\nERST\n"


def options(added, *later):
    """Findings of a series whose first patch adds ``added`` to qemu-options.hx."""
    files = {
        "c0:qemu-options.hx": OPTIONS,
        **{f"c{number}:qemu-options.hx": OPTIONS + added for number in (1, 2)},
    }
    mails = [append("qemu-options.hx", OPTIONS, "x"), *later]
    return list(check(judged(*numbered(*mails), files=files)))


def numbered(*mails):
    return [
        mail.replace(b"[PATCH]", f"[PATCH {at}/{len(mails)}]".encode()).replace(b"<1@", f"<{at}@".encode())
        for at, mail in enumerate(mails, 1)
    ]


def test_documented_option_has_no_findings():
    assert options(DOCUMENTED) == []


def test_entries_that_the_base_has_are_not_checked():
    bad = 'DEF("bad", 0, N, "", ALL)\n'
    files = {"c0:qemu-options.hx": bad, "c1:qemu-options.hx": f"\n{bad}{DOCUMENTED}"}
    assert list(check(judged(append("qemu-options.hx", bad, "x"), files=files))) == []


def test_option_without_help_or_manual_is_a_finding_for_each():
    found = options('DEF("new", 0, N, "other\\n", ALL)\n')
    assert [(one.rule, one.message) for one in found] == [
        ("option-help", "-new has no help text"),
        ("option-manual", "-new has no manual text"),
    ]
    assert {(one.patch, one.file, one.line) for one in found} == {(1, "qemu-options.hx", 8)}


def test_help_and_manual_have_to_name_the_option():
    found = options('DEF("new", 0, N, "-new x\\n", ALL)\nSRST\n``-old``\nERST\n')
    assert [one.rule for one in found] == ["option-manual"]
    found = options('DEF("new", 0, N, "-old x\\n", ALL)\nSRST\n``-new``\nERST\n')
    assert [one.rule for one in found] == ["option-help"]


def test_message_is_restricted_to_the_patch_if_others_follow():
    found = options('DEF("new", 0, N, "", ALL)\n', good())
    assert [one.message for one in found] == [
        "-new has no help text in this patch",
        "-new has no manual text in this patch",
    ]


def test_patches_that_do_not_change_the_file_or_have_no_commit_are_skipped():
    files = {"c1:qemu-options.hx": OPTIONS, f"c1:{INFO}": ENTRY}
    assert list(check(judged(good(), files=files))) == []
    series = judged(append("qemu-options.hx", "", "x"), files={":qemu-options.hx": OPTIONS})
    series = replace(series, patches=(replace(series.patches[0], commit=""),))
    assert list(check(series)) == []
    mails = numbered(append("qemu-options.hx", "", "x"), append("qemu-options.hx", "", "x"))
    series = judged(*mails, files={"c2:qemu-options.hx": OPTIONS.replace("``-old``", "")})
    series = replace(series, patches=(replace(series.patches[0], commit=""), series.patches[1]))
    assert [one.patch for one in check(series)] == [2]


def test_new_file_of_options_has_only_new_ones():
    text = 'DEF("new", 0, N, "-new", ALL)\n'
    (finding,) = check(judged(append("qemu-options.hx", "", "x"), files={"c1:qemu-options.hx": text}))
    assert (finding.rule, finding.line) == ("option-manual", 1)


def test_removed_file_has_none():
    series = judged(append("qemu-options.hx", "", "x"), files={"c0:qemu-options.hx": OPTIONS})
    assert list(check(series)) == []


def test_monitor_command_without_manual_is_a_finding():
    for path in ("hmp-commands.hx", INFO):
        files = {f"c0:{path}": COMMANDS, f"c1:{path}": COMMANDS + ENTRY}
        (finding,) = check(judged(append(path, COMMANDS, "x"), files=files))
        assert (finding.rule, finding.patch) == ("option-manual", 1)
        assert (finding.file, finding.line) == (path, 10)
        assert finding.message == "monitor command new has no manual text"
        files[f"c1:{path}"] += MANUAL
        assert list(check(judged(append(path, COMMANDS, "x"), files=files))) == []


def test_options_are_read_with_help_and_manual():
    assert read_options(OPTIONS + DOCUMENTED) == [
        OptionEntry(name="old", line=2, help="-old            is old\\n", manual="\n``-old``\n    Is old."),
        OptionEntry(
            name="new", line=8, help='-new    is new\\n  and \\"good\\"\\n', manual="\n``-new``\n  Is new."
        ),
    ]


def test_aliases_share_the_manual_text_that_follows():
    text = 'DEF("a", 0, A, "-a x", ALL)\nDEF("b", 0, B, "-b x", ALL)\nSRST\n``-a`` ``-b``\nERST\n'
    assert [(one.name, "-a" in one.manual, one.help[:2]) for one in read_options(text)] == [
        ("a", True, "-a"),
        ("b", True, "-b"),
    ]
    assert read_options('DEF("a", 0, A, "-a x", ALL)\n')[0].manual == "", "nothing follows"


def test_commands_are_read_with_their_manual():
    assert read_commands(COMMANDS + ENTRY + MANUAL) == [
        OptionEntry(name="old", line=2, help="", manual="\n``old``\n  Is old."),
        OptionEntry(name="new", line=10, help="", manual="\n``new``"),
    ]
