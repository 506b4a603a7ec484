"""Prepare a validated series for the mailing list, and stop where a person has to act.

Input is a Series, its Tree and the result of validate. Output is a folder with mails, recipients, a checklist
and the commands that send them. The stage never sends mail. The only tag that it adds is the sign-off of a
person who requests it and has declared the origin.
"""
