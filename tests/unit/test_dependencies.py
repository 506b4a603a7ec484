"""Pins that work around a dependency are removed when it no longer needs them."""

import importlib.metadata
import importlib.util
import re
import tomllib
from pathlib import Path

from tests.unit.defaults import ROOT

LIMIT = "setuptools<81"


def users_of(module, distribution):
    """The files of a distribution that import ``module``."""
    files = importlib.metadata.files(distribution) or ()
    paths = {str(file): Path(str(file.locate())) for file in files if file.suffix == ".py"}
    word = re.compile(rf"^\s*(?:import|from) {module}\b", re.MULTILINE)
    return {name for name, path in paths.items() if word.search(path.read_text(encoding="utf-8"))}


def test_setuptools_is_limited_only_as_long_as_avocado_imports_pkg_resources():
    """setuptools warns of the removal of pkg_resources in 80.9, and has removed it in a later release.

    `nox -s lock` updates avocado, so this fails with the first release that does not need the limit.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    used = users_of("pkg_resources", "avocado-framework")
    assert bool(used) == (LIMIT in project["dependencies"]), (
        f"avocado {importlib.metadata.version('avocado-framework')} imports pkg_resources in"
        f" {', '.join(sorted(used)) or 'no file'}: remove {LIMIT} from pyproject.toml if that is none"
    )
    assert not used or importlib.util.find_spec("pkg_resources")


def test_imports_are_found():
    assert users_of("pkg_resources", "avocado-framework") <= users_of(r"\w+", "avocado-framework")
    assert users_of("avocado", "avocado-framework")
    assert not users_of("no_such_module", "avocado-framework")
