"""Fetch and verify the source of a pin (stage one).

The input is a pin (qemu-src/pins.toml), or a local folder or archive. The output is a Source; the tree stage
relies on its digest. The package also fetches Debian packages, such as firmware, without installing them.
"""
