"""Load stage: start and end many guests at random for minutes, and restart one large guest at once.

Takes: a Bench and LoadPlans. Gives: LoadResults, with a Slice for each part of the run and a Summary for each
binary. The slices of the binaries alternate, so that drift of the machine affects all binaries equally.
"""
