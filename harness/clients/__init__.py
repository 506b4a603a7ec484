"""Clients stage: programs that start and end QEMU, when they are notified, and when the memory is freed.

Takes: a Bench. Gives: ClientsResults, with a ClientRow for each client, binary and round, and Claims about
them. libvirtd is a private one in its own namespaces (harness.clients.namespaces).
"""
