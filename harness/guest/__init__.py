"""Start QEMU with populated guest memory (guest stage).

The input is a Guest, which specifies binary, firmware and memory. The output is a Machine for a ``with``
block; its processes end with the block, the thread or the process.
"""
