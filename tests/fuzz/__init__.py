"""Fuzzing: whatever is read from outside, read again after it was spoilt in thousands of ways.

Takes: a layout and seconds. Gives: for each reader how many examples it saw, and the examples that it did not
bear: anything but a HarnessError, more than a few seconds, a path outside of where it belongs. Hypothesis
makes and shrinks the examples (https://hypothesis.readthedocs.io); atheris, when asked, looks where they go.

Imports nothing: explorer.py has to meet atheris before the harness.
"""
