"""QEMU's docs/devel/submitting-a-patch.rst as a checklist.

A program judges the rules that it can, with evidence; the others are open boxes for a person. Every section
of the text has at least one item, which a test checks.
"""

from harness.submit import judges
from harness.submit.facts import ChecklistItem, Facts
from harness.submit.judges import Judge, no_finding, only_a_person


def make_checklist(facts: Facts) -> tuple[ChecklistItem, ...]:
    """Return every rule with its verdict, in the order of the text."""
    return tuple(
        ChecklistItem(section=section, rule=rule, verdict=verdict, evidence=evidence)
        for section, rules in RULES.items()
        for rule, judge in rules
        for verdict, evidence in [judge(facts)]
    )


RULES: dict[str, tuple[tuple[str, Judge], ...]] = {
    "use_the_qemu_coding_style": (
        (
            "scripts/checkpatch.pl reports nothing",
            no_finding("checkpatch-*", clean="no error and no warning from the tree's own checkpatch.pl"),
        ),
        ("nox -s validate reports nothing else", judges.nothing_else),
    ),
    "base_patches_against_current_git_master": (
        ("The patches are based on current master", judges.on_master),
        ("Required series are listed by Based-on:", judges.based_on),
    ),
    "split_up_long_patches": (
        ("Each patch is one logical change", only_a_person("read the series as a reviewer will")),
        ("Each patch compiles and works by itself", judges.compiles),
        ("Documentation comes first", only_a_person("check that the order is easy to read")),
    ),
    "make_code_motion_patches_easy_to_review": (
        (
            "Code motion is separate from other changes",
            no_finding(
                "motion-*", clean="no patch moves code and changes it", only=("error", "warning", "note")
            ),
        ),
    ),
    "dont_include_irrelevant_changes": (
        ("No irrelevant change of whitespace", no_finding("whitespace-*", clean="none was found")),
        ("No other irrelevant change", only_a_person("read the diff")),
    ),
    "write_a_meaningful_commit_message": (
        (
            "Subject and body follow the conventions",
            no_finding("subject-*", "body-*", clean="subsystem: summary, no full stop, at most 76 columns"),
        ),
        ("Messages give the reason, and can be read alone", only_a_person("read each one")),
    ),
    "test_your_patches": (
        ("The series was tested", judges.tested),
        ("The series adds a test", judges.has_test),
    ),
    "submitting_your_patches": (
        ("The mailing list receives the series", judges.goes_to_list),
        ("git send-email accepts the files", judges.mailed),
    ),
    "if_you_cannot_send_patch_emails": (
        (
            "You can send mail with git send-email",
            only_a_person("try git send-email --dry-run; if it fails, see this section"),
        ),
    ),
    "cc_the_relevant_maintainer": (
        ("The maintainers receive the series", judges.maintainers),
        (
            "New files have a maintainer",
            no_finding("file-maintainers", clean="each new file is in MAINTAINERS"),
        ),
    ),
    "do_not_send_as_an_attachment": (("Patches are inline text", judges.inline_text),),
    "use_git_format_patch": (
        (
            "The mails have the format of git format-patch, in a shallow thread",
            lambda facts: ("yes" if facts.round_trip.startswith("git am") else "no", facts.round_trip),
        ),
    ),
    "avoid_posting_large_binary_blob": (("No large binary file", judges.binaries),),
    "patch_emails_must_include_a_signed_off_by_line": (
        ("Every patch has the author's Signed-off-by", judges.signed_off),
        ("The origin is declared and accepted", judges.declared),
        ("You are allowed to contribute it", only_a_person("ask your employer if necessary")),
    ),
    "include_a_meaningful_cover_letter": (
        ("The series has a cover letter", judges.cover_letter),
        ("The cover letter states the purpose", only_a_person("check that a reviewer can see the goal")),
    ),
    "use_the_rfc_tag_if_needed": (("An RFC states why it is one", judges.rfc_reason),),
    "consider_whether_your_patch_is_applicable_for_stable": (
        ("Suitability for stable was considered", judges.for_stable),
    ),
    "participating_in_code_review": (
        ("You will reply to all, in the thread", only_a_person("plan time for it")),
    ),
    "stay_around_to_fix_problems_raised_in_code_review": (
        ("You will send new versions", only_a_person("send the whole series each time")),
    ),
    "pay_attention_to_review_comments": (
        (
            "Every comment on the previous version is answered",
            lambda facts: (
                ("person", "check the replies")
                if facts.series.metadata.version > 1
                else ("not needed", "it is the first version")
            ),
        ),
    ),
    "when_resending_patches_add_a_version_tag": (("The subjects contain the version", judges.version_tag),),
    "include_version_history_in_patchset_revisions": (
        ("Changes of the version are listed outside of the commit messages", judges.change_log),
    ),
    "proper_use_of_reviewed_by_tags_can_aid_review": (
        ("Review tags apply to the current diffs", judges.review_tags),
    ),
    "if_your_patch_seems_to_have_been_ignored": (
        ("You will ask again after two weeks", only_a_person("reply with the word ping")),
    ),
    "is_my_patch_in": (
        ("You know where to follow the progress", only_a_person("check the maintainer's tree, then master")),
    ),
    "return_the_favor": (("You review others' patches too", only_a_person("review as many as you send")),),
}
"""Rules by the section of the text that states them."""
