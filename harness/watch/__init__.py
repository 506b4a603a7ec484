"""Watch stage: validate the series of a mailing list as they arrive, and keep what is known of each.

Input is an inbox (public-inbox, maildir or mbox) and a clone; the state is one SQLite file (``store``).
"""
