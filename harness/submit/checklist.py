"""QEMU's docs/devel/submitting-a-patch.rst as a checklist: what a program can judge, with evidence, and open
boxes for what only a person can.

Every section of that text has at least one item; a test holds the two against each other.
"""

from __future__ import annotations

from harness.submit.facts import ChecklistItem, Facts
from harness.submit.judges import (
    Judge,
    based_on,
    binaries,
    change_log,
    compiles,
    cover_letter,
    declared,
    for_stable,
    goes_to_list,
    has_test,
    inline_text,
    mailed,
    maintainers,
    no_finding,
    nothing_else,
    on_master,
    only_a_person,
    review_tags,
    rfc_reason,
    signed_off,
    tested,
    version_tag,
)


def make_checklist(facts: Facts) -> tuple[ChecklistItem, ...]:
    """Every rule with its verdict, in the order of the text."""
    return tuple(
        ChecklistItem(section=section, rule=rule, verdict=verdict, evidence=evidence)
        for section, rule, judge in RULES
        for verdict, evidence in [judge(facts)]
    )


RULES: tuple[tuple[str, str, Judge], ...] = (
    (
        "use_the_qemu_coding_style",
        "scripts/checkpatch.pl has nothing to say",
        no_finding("checkpatch-*", clean="the tree's own checkpatch.pl: no error, no warning"),
    ),
    ("use_the_qemu_coding_style", "nox -s validate has nothing else to say", nothing_else),
    ("base_patches_against_current_git_master", "The patches are based on current master", on_master),
    ("base_patches_against_current_git_master", "What it depends on is named by Based-on:", based_on),
    (
        "split_up_long_patches",
        "Each patch is one logical change",
        only_a_person("read the series as a reviewer will"),
    ),
    ("split_up_long_patches", "Each patch compiles and works by itself", compiles),
    (
        "split_up_long_patches",
        "Documentation comes first",
        only_a_person("is the order the best one to read?"),
    ),
    (
        "make_code_motion_patches_easy_to_review",
        "Code motion is apart from changes",
        no_finding("motion-*", clean="no patch moves code and changes it", only=("error", "warning", "note")),
    ),
    (
        "dont_include_irrelevant_changes",
        "No irrelevant change of whitespace",
        no_finding("whitespace-*", clean="none was found"),
    ),
    (
        "dont_include_irrelevant_changes",
        "Nothing else that does not belong here",
        only_a_person("look through the diff"),
    ),
    (
        "write_a_meaningful_commit_message",
        "Subject and body have the usual form",
        no_finding("subject-*", "body-*", clean="subsystem: summary, no dot, lines of 76 columns at most"),
    ),
    (
        "write_a_meaningful_commit_message",
        "Messages say why, and can be read alone",
        only_a_person("read each one"),
    ),
    ("test_your_patches", "It was tested", tested),
    ("test_your_patches", "It brings a test", has_test),
    ("submitting_your_patches", "It goes to the list", goes_to_list),
    ("submitting_your_patches", "git send-email takes the files", mailed),
    (
        "if_you_cannot_send_patch_emails",
        "You can send mail with git send-email",
        only_a_person("git send-email --dry-run works for you; else see this section"),
    ),
    ("cc_the_relevant_maintainer", "The maintainers get it", maintainers),
    (
        "cc_the_relevant_maintainer",
        "New files have a maintainer",
        no_finding("file-maintainers", clean="each new file is in MAINTAINERS"),
    ),
    ("do_not_send_as_an_attachment", "Patches are inline text", inline_text),
    (
        "use_git_format_patch",
        "It is what git format-patch makes, in a shallow thread",
        lambda facts: ("yes" if facts.round_trip.startswith("git am") else "no", facts.round_trip),
    ),
    ("avoid_posting_large_binary_blob", "No large binary", binaries),
    (
        "patch_emails_must_include_a_signed_off_by_line",
        "Every patch has the author's Signed-off-by",
        signed_off,
    ),
    (
        "patch_emails_must_include_a_signed_off_by_line",
        "Where it comes from is declared and accepted",
        declared,
    ),
    (
        "patch_emails_must_include_a_signed_off_by_line",
        "You are allowed to contribute it",
        only_a_person("your employer agrees, where that matters"),
    ),
    ("include_a_meaningful_cover_letter", "It has a cover letter", cover_letter),
    (
        "include_a_meaningful_cover_letter",
        "The cover letter says what for",
        only_a_person("would a reviewer see the goal?"),
    ),
    ("use_the_rfc_tag_if_needed", "An RFC says why it is one", rfc_reason),
    (
        "consider_whether_your_patch_is_applicable_for_stable",
        "Whether it is for stable was thought about",
        for_stable,
    ),
    (
        "participating_in_code_review",
        "You will answer, to all, in the thread",
        only_a_person("have the time for it"),
    ),
    (
        "stay_around_to_fix_problems_raised_in_code_review",
        "You will send new versions",
        only_a_person("the whole series each time"),
    ),
    (
        "pay_attention_to_review_comments",
        "Every comment on the version before is answered",
        lambda facts: (
            ("person", "go through the replies")
            if facts.series.metadata.version > 1
            else ("not needed", "it is the first version")
        ),
    ),
    ("when_resending_patches_add_a_version_tag", "The subjects have the version", version_tag),
    (
        "include_version_history_in_patchset_revisions",
        "What is new is told, not in the commit message",
        change_log,
    ),
    ("proper_use_of_reviewed_by_tags_can_aid_review", "Review tags are of these very patches", review_tags),
    (
        "if_your_patch_seems_to_have_been_ignored",
        "You will ask again after two weeks",
        only_a_person("a reply with the word ping"),
    ),
    (
        "is_my_patch_in",
        "You know where to see what becomes of it",
        only_a_person("the maintainer's tree, then master"),
    ),
    ("return_the_favor", "You review others' patches too", only_a_person("as many as you send")),
)
