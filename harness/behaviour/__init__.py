"""Behaviour stage: avocado tests of a series, a bench → their outcomes and metrics on each subject, compared.

A series brings its tests in ``tests/*.py``; they use harness.behaviour.api (docs/behaviour.md). Each test is
a process that imports this package, so it imports little: run.py runs tests, judge.py compares what they
measured, record.py writes behaviour.json.
"""
