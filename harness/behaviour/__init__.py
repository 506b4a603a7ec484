"""Behaviour stage: avocado tests of a series, a bench → their outcomes and metrics on each subject, compared.

A series brings its tests in ``tests/*.py``; they use harness.behaviour.api (docs/behaviour.md). Only
processes of avocado import that module.
"""

from harness.behaviour.model import BehaviourResults, BehaviourRow, Metric, MetricComparison, Setup
from harness.behaviour.record import behaviour_file, check_behaviour, problems_of, record_behaviour
from harness.behaviour.tests import BehaviourTestName, find_tests

__all__ = [
    "BehaviourResults",
    "BehaviourRow",
    "BehaviourTestName",
    "Metric",
    "MetricComparison",
    "Setup",
    "behaviour_file",
    "check_behaviour",
    "find_tests",
    "problems_of",
    "record_behaviour",
]
