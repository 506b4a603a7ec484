"""Regression stage: a good and a bad revision of a clone, and a measure → the commit that made it worse.

Input is a tree, two revisions, and a measure of a built commit; output is bisect.json and git's log. git
bisect chooses the commits; each is measured in turns with the good revision until the difference is decided.
"""
