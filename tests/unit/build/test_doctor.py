"""The doctor with a fake PATH, apt-get and sudo."""

import dataclasses
import os
import platform
from pathlib import Path

import pytest

from harness import platforms
from harness.build import doctor
from harness.build.doctor import Requirement, check, ensure, requirements
from harness.build.owners import Owner, owners
from harness.errors import MissingError
from harness.progress import Silent
from tests.unit.build.support import make_options
from tests.unit.programs import write_program
from tests.unit.test_platforms import FEDORA, MINT, UBUNTU

PROBE = Requirement(
    name="probe", kind="program", package="probe-package", needed_by="the test", stages=("build",)
)


@pytest.fixture
def bin_folder(tmp_path, monkeypatch):
    """The only folder on PATH, with links to the shell and setpriv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "env", "setpriv", "cp", "touch", "test"):
        for place in ("/usr/bin", "/bin"):
            if (Path(place) / name).exists() and not (folder / name).exists():
                (folder / name).symlink_to(Path(place) / name)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("harness.build.doctor.requirements", lambda options, stages: (PROBE,))
    return folder


def script(folder, name, body):
    write_program(folder / name, body)


def as_root(monkeypatch, *, root):
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)


def test_requirements_depend_on_options():
    names = {need.name for need in requirements(make_options(ccache=False, pin="7.2"))}
    assert "gcc" in names
    assert not names & {"ccache", "ensurepip"}
    assert {"ccache", "ensurepip"} <= {
        need.name for need in requirements(make_options(ccache=True, pin="10.0"))
    }
    sanitizer = "sanitizer/asan_interface.h"
    assert sanitizer not in names
    assert sanitizer in {need.name for need in requirements(make_options(profile="sanitize"))}
    assert "gcc" not in {need.name for need in requirements(None, ("fetch",))}


def test_requirements_of_one_session_are_not_default():
    asked = {need.name for need in requirements(None, ("guest", "clients"))}
    assert {"libvirtd", "bwrap", "dpkg-deb"} <= asked
    assert not {need.name for need in requirements(None)} & {"libvirtd", "bwrap"}


def test_files_are_found_by_their_path(tmp_path):
    need = dataclasses.replace(PROBE, kind="file", name=str(tmp_path / "library.py"))
    assert [row.found for row in check([need])] == [False]
    (tmp_path / "library.py").touch()
    (row,) = check([need], versions=True)
    assert (row.found, row.origin) == (True, str(tmp_path / "library.py"))


def test_status_contains_version_origin_and_user(bin_folder):
    script(bin_folder, "probe", "echo 'probe (of Debian 12) 3.4.5'")
    (row,) = check([PROBE], versions=True)
    assert (row.found, row.version, row.needed_by) == (True, "3.4.5", "the test")
    assert row.origin == str(bin_folder / "probe")
    (row,) = check([dataclasses.replace(PROBE, name="absent")], versions=True)
    assert (row.found, row.version, row.origin) == (False, "", "")


@pytest.mark.parametrize(
    ("version", "is_found"),
    [
        ("1.83.0", True),
        ("1.84.0-nightly", True),
        ("2.0", True),
        ("1.82.9", False),
        ("1.9", False),
        ("", False),
    ],
)
def test_program_that_is_too_old_is_missing(bin_folder, version, *, is_found):
    script(bin_folder, "probe", f"echo 'probe {version} (59807616e 2026-04-14)'")
    assert [row.found for row in check([dataclasses.replace(PROBE, minimum="1.83.0")])] == [is_found]


def test_rust_is_required_if_it_is_asked_for():
    rust = {"rustc", "bindgen"}
    assert not rust & {need.name for need in requirements(None)}
    assert not rust & {need.name for need in requirements(make_options())}
    wanted = {need.name: need.minimum for need in requirements(make_options(rust=True))}
    assert {name: wanted[name] for name in rust} == {"rustc": "1.83", "bindgen": "0.60"}


def test_libraries_are_checked_together_unless_one_is_missing(bin_folder):
    script(
        bin_folder, "pkg-config", f'echo "$*" >> {bin_folder}/calls; case "$*" in *missing*) exit 1;; esac'
    )
    needs = [dataclasses.replace(PROBE, kind="pkg-config", name=name, minimum="1.2") for name in ("a", "b")]
    assert [row.found for row in check(needs)] == [True, True]
    assert (bin_folder / "calls").read_text() == "--exists a >= 1.2 b >= 1.2\n"
    needs.append(dataclasses.replace(needs[0], name="missing"))
    assert [row.found for row in check(needs)] == [True, True, False]


def test_without_pkg_config_or_gcc_libraries_are_missing(bin_folder):
    needs = [
        dataclasses.replace(PROBE, kind="pkg-config"),
        dataclasses.replace(PROBE, kind="header", name="stdio.h"),
    ]
    assert [row.found for row in check(needs)] == [False, False]


def test_remedy_is_a_command_if_installing_is_not_permitted(layout, bin_folder, monkeypatch):
    script(bin_folder, "apt-get", "touch apt-get-was-run")
    script(bin_folder, "sudo", "exit 1")
    as_root(monkeypatch, root=False)
    with pytest.raises(MissingError) as caught:
        ensure(layout, None, Silent())
    assert (
        caught.value.remedy
        == "run: sudo apt-get update && sudo apt-get install -y --no-install-recommends probe-package"
    )
    assert caught.value.details == ("probe: needed by the test",)
    assert caught.value.code == 3


def on(monkeypatch, os_release):
    monkeypatch.setattr("harness.build.doctor.distribution", lambda: platforms.parse(os_release))


def test_remedy_lists_packages_on_unknown_distributions(layout, bin_folder, monkeypatch):
    on(monkeypatch, "ID=arch\nPRETTY_NAME='Arch Linux'\n")
    with pytest.raises(MissingError, match="Arch Linux is not in the table of distributions") as caught:
        ensure(layout, None, Silent())
    assert caught.value.remedy == "install these packages (names as in Debian): probe-package"


def test_distribution_without_its_package_manager_is_reported(layout, bin_folder, monkeypatch):
    on(monkeypatch, "ID=fedora\nNAME=Silverblue\n")
    with pytest.raises(MissingError, match="Silverblue has no dnf here"):
        ensure(layout, None, Silent())


@pytest.mark.parametrize(
    ("os_release", "command"),
    [
        (UBUNTU, "sudo apt-get update && sudo apt-get install -y --no-install-recommends"),
        (MINT, "sudo apt-get update && sudo apt-get install -y --no-install-recommends"),
        (FEDORA, "sudo dnf install -y --setopt=install_weak_deps=False"),
    ],
)
def test_remedy_is_the_command_of_the_distribution(layout, bin_folder, monkeypatch, os_release, command):
    on(monkeypatch, os_release)
    for program in ("apt-get", "dnf"):
        script(bin_folder, program, "exit 1")
    as_root(monkeypatch, root=False)
    need = dataclasses.replace(PROBE, package="one pkgconfig(two)")
    monkeypatch.setattr("harness.build.doctor.requirements", lambda options, stages: (need,))
    with pytest.raises(MissingError, match="no passwordless sudo") as caught:
        ensure(layout, None, Silent())
    assert caught.value.remedy == f"run: {command} one 'pkgconfig(two)'"


def test_what_a_distribution_lacks_is_named(layout, bin_folder, monkeypatch):
    on(monkeypatch, UBUNTU)
    need = dataclasses.replace(PROBE, name="rustc", package="")
    monkeypatch.setattr("harness.build.doctor.requirements", lambda options, stages: (need,))
    with pytest.raises(MissingError, match=r"no package of rustc \(rustc is 1\.75") as caught:
        ensure(layout, None, Silent())
    assert caught.value.remedy == "install it by other means, or omit the option that needs it"


# As dnf 5.2 of Fedora 42 prints it.
DNF = """\
Updating and loading repositories:
Repositories loaded.
Package                  Arch    Version                  Repository        Size
Installing:
 probe                   noarch  0.7.0-1.fc42             updates       38.0 KiB

Transaction Summary:
 Installing:         1 package

Total size of inbound packages is 475 KiB. Need to download 475 KiB.
After this operation, 2 MiB extra will be used (install 2 MiB, remove 0 B).
[1/1] probe-0:0.7.0-1.fc42.noarch       100% | 395.7 KiB/s |  36.8 KiB |  00m00s
Running transaction
[1/3] Verify package files              100% | 250.0   B/s |   3.0   B |  00m00s
[2/3] Prepare transaction               100% |  21.0   B/s |   3.0   B |  00m00s
[3/3] Installing probe-0:0.7.0-1.fc42   100% | 542.2 KiB/s |  41.2 KiB |  00m00s
Complete!
"""
NO_MATCH = "Failed to resolve the transaction:\nNo match for argument: probe-package\n"


def test_dnf_installs_what_is_missing(layout, bin_folder, monkeypatch):
    on(monkeypatch, FEDORA)
    as_root(monkeypatch, root=True)
    (bin_folder / "output").write_text(DNF)
    body = f'echo "$*" > {bin_folder}/call; while read -r l; do echo "$l"; done < {bin_folder}/output; '
    script(bin_folder, "dnf", f"{body} cp {bin_folder}/sh {bin_folder}/probe")
    steps = []
    monkeypatch.setattr(
        "harness.progress._QuietStep.update", lambda _step, done, total, *_: steps.append((done, total))
    )
    ensure(layout, None, Silent())
    assert [row.found for row in check([PROBE])] == [True]
    call = (bin_folder / "call").read_text().strip()
    assert call == "install -y --setopt=install_weak_deps=False probe-package"
    assert steps == [(1, 1), (1, 3), (2, 3), (3, 3)]


def test_failure_of_dnf_is_quoted_and_not_repeated(layout, bin_folder, monkeypatch):
    on(monkeypatch, FEDORA)
    as_root(monkeypatch, root=True)
    script(bin_folder, "dnf", f"echo call >> {bin_folder}/calls; echo '{NO_MATCH}' >&2; exit 1")
    with pytest.raises(MissingError, match="dnf cannot install it") as caught:
        ensure(layout, None, Silent())
    assert caught.value.details[1:] == tuple(NO_MATCH.splitlines())
    assert (bin_folder / "calls").read_text() == "call\n"


def test_requirements_are_those_of_the_distribution():
    def packages(os_release, **options):
        where = platforms.parse(os_release)
        return {need.name: need.package for need in requirements(make_options(**options), where=where)}

    debian, fedora = packages("ID=debian"), packages(FEDORA)
    assert (debian["glib-2.0"], fedora["glib-2.0"]) == ("libglib2.0-dev", "glib2-devel")
    assert packages(UBUNTU) == debian
    assert {"apt-get", "dpkg-deb"} <= set(debian)
    assert not {"apt-get", "dpkg-deb"} & set(fedora), "its sources and firmware are no Debian packages"
    assert packages(FEDORA, hosts=("native", "s390x"))["apt-get"] == "apt debian-keyring"
    assert packages("ID=arch") == {
        name: package for name, package in debian.items() if name not in ("apt-get", "dpkg-deb")
    }
    assert fedora["meson"] == "meson", "PyPI's"
    both = {"payload": ("linux",), "targets": ("x86_64-softmmu",)}
    assert packages(FEDORA, **both)["libc.a"] == "glibc-static"
    assert "libc.a" not in fedora


def test_static_library_is_found():
    need = Requirement(name="libc.a", kind="archive", needed_by="the test", stages=("build",))
    (row,) = check([need])
    assert row.found
    assert row.origin.endswith("/libc.a")
    (row,) = check([dataclasses.replace(need, name="libnothing-of-that-name.a")])
    assert not row.found


def test_owner_is_found_by_rpm(bin_folder):
    script(bin_folder, "probe", "echo probe 3.4.5")
    script(
        bin_folder,
        "rpm",
        'echo "$@" > '
        + str(bin_folder / "call")
        + "; echo 'file /x is not owned by any package'; echo probe 3.4-1.fc42",
    )
    paths = (str(bin_folder / "none"), str(bin_folder / "probe"))
    assert owners(paths) == {paths[1]: Owner(package="probe", version="3.4-1.fc42")}
    (row,) = check([PROBE], versions=True)
    assert row.version == "3.4.5"


@pytest.mark.parametrize("root", [True, False])
def test_missing_packages_are_installed(layout, bin_folder, monkeypatch, root):
    script(bin_folder, "sudo", 'test "$1" = -n || exit 1; shift; exec "$@"')
    script(bin_folder, "true", "exit 0")
    script(
        bin_folder,
        "apt-get",
        f'echo "$*" >> {bin_folder}/calls\n'
        'case "$*" in *update*) exit 0;; esac\n'
        f"grep() {{ :; }}; test -e {bin_folder}/updated || {{ touch {bin_folder}/updated; exit 100; }}\n"
        f"echo '0 upgraded, 1 newly installed, 0 to remove'; echo 'Setting up probe (1)'\n"
        f"cp {bin_folder}/sh {bin_folder}/probe",
    )
    as_root(monkeypatch, root=root)
    done = []
    ensure(layout, None, Silent(), meanwhile=[done.append])
    assert [row.found for row in check([PROBE])] == [True]
    ensure(layout, None, Silent(), meanwhile=[done.append])
    assert len(done) == 1, "beside an installation"
    calls = (bin_folder / "calls").read_text().splitlines()
    install = "-o DPkg::Lock::Timeout=300 install -y --no-install-recommends probe-package"
    assert calls == [install, "-o DPkg::Lock::Timeout=300 update", install]
    assert "Setting up probe" in (layout.logs / "doctor.log").read_text()


def test_failed_installation_reports_reason_and_log(layout, bin_folder, monkeypatch):
    script(bin_folder, "apt-get", "echo 'E: Unable to locate package probe-package'; exit 100")
    as_root(monkeypatch, root=True)
    with pytest.raises(MissingError) as caught:
        ensure(layout, None, Silent())
    assert "E: Unable to locate package probe-package" in caught.value.details
    assert caught.value.log == layout.logs / "doctor.log"


def test_package_without_the_program_is_reported(layout, bin_folder, monkeypatch):
    script(bin_folder, "apt-get", "exit 0")
    as_root(monkeypatch, root=True)
    with pytest.raises(MissingError, match="does not contain it"):
        ensure(layout, None, Silent())


def test_missing_python_packages_are_installed_by_pip(layout, monkeypatch):
    need = dataclasses.replace(PROBE, kind="python", name="no-such-package", package="no-such-package")
    monkeypatch.setattr(doctor, "requirements", lambda options, stages: (need,))
    with pytest.raises(MissingError) as caught:
        ensure(layout, None, Silent())
    assert caught.value.remedy.endswith("-m pip install no-such-package")


def test_guests_that_run_linux_require_a_compiler(monkeypatch):
    def compilers(**fields):
        names = {need.name for need in requirements(make_options(**fields))}
        return {name for name in names if name.endswith("-gcc")}

    both = ("x86_64-softmmu", "s390x-softmmu")
    assert compilers(payload=("paused",), targets=both) == set()
    if platform.machine() != "s390x":
        assert "s390x-linux-gnu-gcc" in compilers(payload=("linux",), targets=both)
    assert "s390x-linux-gnu-gcc" not in compilers(payload=("linux",), targets=both[:1])
