"""Put a series on the series that it requires (``Based-on:``), where they can be found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.errors import ApplyError
from harness.layout import Layout
from harness.progress import Reporter
from harness.series import Input, message_id_of, required_input, series_of
from harness.source.clone import commits_of_mail
from harness.tree import Tree, apply_series
from harness.tree.git import Git

NOT_FOUND = "which is neither among the given mails nor in a clone given by -Dsource="


@dataclass(frozen=True, kw_only=True)
class Start:
    """The commit that the patches are applied to.

    ``required`` has, for each required series, why it is not below the patches; empty if it is.
    """

    commit: str
    required: Mapping[str, str] = field(default_factory=dict)


def put_on_required(series: Input, tree: Tree, start: str, layout: Layout, reporter: Reporter) -> Start:
    """Return ``start``, or a commit above it that contains the series that ``series`` requires.

    They are commits of the user's clone that name the mail, or other mails of the same input, which are
    applied on top of those that they require in turn. Raises TreeError, BusyError, StorageError.
    """
    required: dict[str, str] = {}
    git = Git(repository=tree.path)

    def add_all(one: Input, commit: str) -> str:
        for name in one.based_on:
            if name not in required:
                required[name] = ""  # a series that requires itself, directly or not, ends here
                commit, required[name] = add(message_id_of(name), commit)
        return commit

    def add(message_id: str, commit: str) -> tuple[str, str]:
        """Return the commit with the series of ``message_id``, and why that failed."""
        known = commits_of_mail(tree.clone, message_id) if tree.clone and message_id else ()
        if any(git.is_ancestor(one, commit) for one in known):
            return commit, ""
        other = required_input(series, message_id)
        if other is not None:
            patches, below = series_of(other), add_all(other, commit)
            if patches is None:
                return below, "whose patches are damaged"
            try:
                return apply_series(tree, patches, layout, reporter, onto=below).commit, ""
            except ApplyError as error:
                return commit, f"which does not apply: {error.cause}"
        if known and git.is_ancestor(commit, known[0]):
            return known[0], ""
        return commit, "which is on another branch of the clone" if known else NOT_FOUND

    return Start(commit=add_all(series, start), required=required)
