"""Cycles stage: start and end QEMU many times, at random moments and in random ways, and check for leftovers.

Takes: a Bench and a plan. Gives: CyclesResults, with a CycleRow for each cycle. A separate program runs the
cycles (harness.cycles.driver), because each of its lanes is a subreaper for the processes of its cycles.
"""
