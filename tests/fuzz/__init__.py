"""Fuzzing: run every parser of foreign files on thousands of malformed inputs.

Takes: a layout and seconds. Gives: for each parser the number of examples, and the examples that failed:
with an exception other than HarnessError, by a timeout, or with a path outside its folder. Hypothesis
generates and shrinks the examples (https://hypothesis.readthedocs.io); atheris, on request, chooses them by
code coverage.

Imports nothing, because explorer.py has to import atheris before the harness.
"""
