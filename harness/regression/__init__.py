"""Regression stage: a good and a bad revision of a clone, and a measure → the commit that made it worse.

Input is a tree, two revisions, and a measure of a built commit; output is bisect.json and git's log. git
bisect chooses the commits; each is measured in turns with the good revision until the difference is decided.
"""

from harness.regression.decide import Decision, Rule
from harness.regression.measure import Behaviour, Command, Guests, Measure
from harness.regression.model import BisectedCommit, BisectResults
from harness.regression.places import Places
from harness.regression.record import Bisection, bisect_file, open_bisection, record_bisect

__all__ = [
    "Behaviour",
    "BisectResults",
    "BisectedCommit",
    "Bisection",
    "Command",
    "Decision",
    "Guests",
    "Measure",
    "Places",
    "Rule",
    "bisect_file",
    "open_bisection",
    "record_bisect",
]
