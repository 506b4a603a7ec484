"""Mutation testing: changes of the code that a test should notice; docs/testing.md describes it."""
