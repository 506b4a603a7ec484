"""``python -m harness`` is ``qemu-harness``."""

import sys

from harness.cli import main

sys.exit(main())
