"""harness.build.configure: what is read from a tree's configure and pythondeps.toml."""

import pytest

from harness.build.configure import is_too_old, read_configure, why_not_built
from harness.errors import ConfigureError
from tests.unit.build.support import FAKE

DEPENDENCIES = """
[meson]
meson = { accepted = ">=1.5.0", installed = "1.9.0", canary = "meson" }
pycotap = { accepted = ">=1.1.0", installed = "1.3.1" }
tomli = { accepted = ">=1.2.0" }

[docs]
sphinx = { accepted = ">=3.4.3", installed = "6.2.1" }
"""


def source(folder, configure="--python=*) --enable-kvm)", **files):
    (folder / "configure").write_text(configure)
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_switches_are_those_of_configure_and_of_its_generated_part(tmp_path):
    options = {"scripts__meson-buildoptions.sh": "--disable-install-blobs) printf"}
    configure = read_configure(source(tmp_path, "--enable-kvm) --enable-fdt=*)", **options))
    assert configure.knows("--enable-kvm")
    assert configure.knows("--enable-fdt=system")
    assert configure.knows("--disable-install-blobs")
    assert not configure.knows("--enable-kv")
    assert not configure.knows("--disable-install")


def test_packages_are_those_that_the_tree_names_and_does_not_bring_along(tmp_path):
    place = source(tmp_path, **{"pythondeps.toml": DEPENDENCIES})
    assert read_configure(place).packages == ("meson==1.9.0", "pycotap==1.3.1", "tomli>=1.2.0")
    wheel = place / "python" / "wheels" / "meson-1.9.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    wheel.touch()
    assert read_configure(place).packages == ("pycotap==1.3.1", "tomli>=1.2.0")


RUST = """
[meson-rust]
meson = { accepted = ">=1.9.0", installed = "1.10.0", canary = "meson" }
"""


def test_rust_needs_the_packages_that_the_tree_names_for_it(tmp_path):
    place = source(tmp_path, **{"pythondeps.toml": DEPENDENCIES.replace("1.9.0", "1.5.0")})
    others = ("pycotap==1.3.1", "tomli>=1.2.0")
    assert read_configure(place).packages == ("meson==1.5.0", *others)
    assert read_configure(place).rust_packages == ("meson==1.9.0", *others), "10.0 names none"
    (place / "pythondeps.toml").write_text(DEPENDENCIES + RUST)
    assert read_configure(place).rust_packages == ("meson==1.10.0", *others)
    wheels = place / "python" / "wheels"
    wheels.mkdir(parents=True)
    (wheels / "meson-1.10.0-py3-none-any.whl").touch()
    assert read_configure(place).rust_packages == others


def test_a_tree_without_the_file_names_no_packages_and_a_damaged_one_is_refused(tmp_path):
    assert read_configure(source(tmp_path)).packages == ()
    (tmp_path / "pythondeps.toml").write_text("[meson")
    with pytest.raises(ConfigureError, match="pythondeps"):
        read_configure(tmp_path)


def test_what_cannot_be_built_has_a_reason(tmp_path):
    assert why_not_built(FAKE) == ""
    assert "--without-default-features" in why_not_built(source(tmp_path))
    (tmp_path / "configure").unlink()
    assert "no configure script" in why_not_built(tmp_path)


@pytest.mark.parametrize(
    ("name", "old"), [("5.2", True), ("7.1.9", True), ("7.2", False), ("10.0", False), ("mine", False)]
)
def test_releases_before_the_oldest_one_are_known_by_name(name, old):
    assert is_too_old(name) == old
