"""Validate stage: try, apply, check, build and test a series, and write the results.

Input is an Input and a Pin. Output is ValidateResults as validate.json and in the formats of other programs.
"""
