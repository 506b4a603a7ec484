"""Prepare a validated series for the mailing list, and stop where a person has to act.

Takes a Series, its Tree and the result of validate; gives a folder of mails, recipients, a checklist and the
commands that send them. It never sends, and adds no tag but the sign-off that a person asks for and declared.
"""

from harness.submit.prepare import prepare
from harness.submit.record import Outgoing
from harness.submit.render import as_table
from harness.submit.write import outgoing_folder

__all__ = ["Outgoing", "as_table", "outgoing_folder", "prepare"]
