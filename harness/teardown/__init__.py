"""Teardown stage: a bench → samples and comparisons.

Takes: a Bench. Gives: TeardownResults. The avocado test tests/avocado/teardown.py starts and times the
guests, one at a time, with the functions of this package. Cross-built binaries run on an emulated host, in
one boot, under guest/programs/measure.c (emulated.py).
"""
