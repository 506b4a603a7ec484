"""Properties stage: bench → a row for each property: pass, fail or cancel, with the reason.

Takes: a Bench. Gives: PropertiesResults. The avocado test tests/avocado/properties.py starts and checks the
QEMU processes, one at a time, with the functions of this package.
"""
