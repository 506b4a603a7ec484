"""Every test file on disk is collected: pytest skips folders by name (``norecursedirs``) without a word."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_pytest_collects_every_test_file(pytestconfig: pytest.Config, collected_files: set[Path]) -> None:
    """Below each folder that pytest was asked for, which is all of tests/unit unless somebody chose."""
    asked = [
        pytestconfig.invocation_params.dir / argument.partition("::")[0] for argument in pytestconfig.args
    ]
    on_disk = {file for place in asked for file in place.rglob("test_*.py")} | {
        file for file in asked if file.is_file()
    }
    assert {file.resolve() for file in on_disk} - collected_files == set()
