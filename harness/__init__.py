"""Build and test harness for QEMU patch series.

Data flows one way: source → tree → build → guest → teardown → report. A stage imports only
stages to its left and the base modules (errors, layout, lock, process, progress, options).
"""
