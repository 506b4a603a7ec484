"""Report stage: stored results → tables, HTML, Markdown and JUnit.

Takes: the results structs of the stages. Gives: text and files. They contain only what is in the results;
nothing is run. This module imports nothing: the pages of other stages would load the plots (1 s) with it.
"""
