"""The static site of the watch: pages that need no server, written from what the store contains.

Input is a Store and a folder. Only files whose content changes are written.
"""
