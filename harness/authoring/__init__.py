"""Maintain a series as patch files and as commits of a branch that a developer edits with git.

Input is the folder of a series and a Tree. Output is a worktree with a branch, patch files written from its
commits, versions in ``history/``, and the review tags of replies. Only tags from a reply are ever added.
"""
