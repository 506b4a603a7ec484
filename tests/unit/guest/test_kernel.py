import dataclasses
import platform

import pytest

from harness.errors import FetchError, OptionError
from harness.guest.kernel import Kernel, extract_image, fetch_kernel, installed_kernel, real_package
from harness.guest.model import ARCHITECTURES
from harness.platforms import Distribution, table
from harness.progress import Silent

from .debs import make_deb

OLD, NEW = "linux-image-6.1.0-1-s390x", "linux-image-6.1.0-2-s390x"


def test_kernel_package_is_read_from_the_meta_package(tmp_path):
    meta = make_deb(tmp_path / "m.deb", depends=f"linux-base, {NEW} (= 6.1-2) | other, kmod")
    assert real_package(meta) == NEW


@pytest.mark.parametrize(
    "depends", ["", "linux-image-s390x, kmod", "linux-image-../../6.1", "linux-image-6.1/x"]
)
def test_meta_package_without_a_kernel_is_an_error(tmp_path, depends):
    meta = make_deb(tmp_path / "meta.deb", depends=depends)
    with pytest.raises(FetchError, match=r"meta\.deb depends on no kernel"):
        real_package(meta)


def test_only_the_image_is_extracted(tmp_path):
    files = {
        "./boot/": b"",
        "./boot/System.map-6.1": b"m",
        "./boot/vmlinuz-6.1": b"image",
        "./lib/x.ko": b"x",
    }
    image = extract_image(make_deb(tmp_path / "k.deb", files=files), tmp_path / "out")
    assert image.read_bytes() == b"image"
    assert list((tmp_path / "out").iterdir()) == [image]
    # An existing image is used without reading the package.
    assert extract_image(tmp_path / "none.deb", tmp_path / "out") == image


@pytest.mark.parametrize(
    "files",
    [
        {"./boot/System.map-6.1": b"m"},
        {"./boot/vmlinuz-6/../../../evil": b"x"},
        {"./boot/../../boot/vmlinuz-6.1": b"x"},
        {"./boot/vmlinuz-6.1": b"-> /etc/passwd"},
        {"./boot/vmlinuz-6.1\n": b"x"},
    ],
)
def test_members_that_are_not_an_image_are_ignored(tmp_path, files):
    with pytest.raises(FetchError, match=r"k\.deb has no boot/vmlinuz"):
        extract_image(make_deb(tmp_path / "k.deb", files=files), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("cut", [0, 7, 30, 100, -40])
def test_corrupt_package_is_named_in_the_error(tmp_path, cut):
    deb = make_deb(tmp_path / "k.deb", files={"./boot/vmlinuz-6.1": bytes(range(256)) * 64})
    deb.write_bytes(deb.read_bytes()[:cut])
    with pytest.raises(FetchError, match=r"k\.deb is damaged"):
        extract_image(deb, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@dataclasses.dataclass
class Mirror:
    """Fake of fetch_packages. ``meta`` is the mirror's current kernel, ``kept`` that of the cache."""

    folder: object
    has: tuple[str, ...]
    meta: str
    kept: str = ""
    asked: list = dataclasses.field(default_factory=list)

    def __call__(self, layout, reporter, packages, *, architecture, fresh=False):
        (name,) = packages
        self.asked.append((name, architecture, fresh))
        if name == "linux-image-s390x":
            if not self.meta:
                raise FetchError(f"apt does not know package {name}", "check the suite")
            depends = self.meta if fresh or not self.kept else self.kept
            return {name: make_deb(self.folder / f"{name}.deb", depends=depends)}
        if name not in self.has:
            raise FetchError("apt-get download for bookworm: 404 Not Found", "check the network")
        release = name.removeprefix("linux-image-")
        return {name: make_deb(self.folder / f"{name}.deb", files={f"./boot/vmlinuz-{release}": b"z"})}


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    made = Mirror(folder=tmp_path, has=(NEW,), meta=NEW)
    monkeypatch.setattr("harness.guest.kernel.fetch_packages", made)
    return made


def fetched(layout, reporter=None):
    return fetch_kernel(layout, reporter or Silent(), "s390x-softmmu")


def test_kernel_is_found_through_its_meta_package(mirror, layout):
    kernel = fetched(layout)
    assert (kernel.package, kernel.release) == (NEW, "6.1.0-2-s390x")
    assert kernel.image.is_relative_to(layout.cache)
    assert mirror.asked == [("linux-image-s390x", "s390x", False), (NEW, "s390x", False)]


def test_newer_kernel_is_used_if_the_cached_one_is_unavailable(mirror, layout):
    mirror.kept, reporter = OLD, Silent()
    assert fetched(layout, reporter).package == NEW
    assert any(OLD in line and NEW in line and "404" in line for line in reporter.lines)


def test_unavailable_newest_kernel_is_an_error(mirror, layout):
    mirror.has = ()
    with pytest.raises(FetchError, match="404 Not Found"):
        fetched(layout)


def test_missing_meta_package_is_an_error(mirror, layout):
    mirror.meta = ""
    with pytest.raises(FetchError, match="apt does not know package linux-image-s390x"):
        fetched(layout)


def test_target_without_a_kernel_is_an_option_error(mirror, layout):
    with pytest.raises(OptionError, match="sparc-softmmu"):
        fetch_kernel(layout, Silent(), "sparc-softmmu")


FEDORA = Distribution(id="fedora", family="fedora")


def image(root, path, mode=0o644):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(b"kernel")
    (root / path).chmod(mode)
    return root / path


def test_installed_kernel_is_the_running_one_or_the_newest(tmp_path):
    assert installed_kernel(tmp_path) is None
    old = image(tmp_path, "lib/modules/6.9.1-100.fc42.x86_64/vmlinuz")
    image(tmp_path, "boot/vmlinuz-0-rescue-3a5f")
    new = image(tmp_path, "boot/vmlinuz-6.11.0-5-generic")
    assert installed_kernel(tmp_path, "6.20").image == new, "6.11 is newer than 6.9"
    found = installed_kernel(tmp_path, "6.9.1-100.fc42.x86_64")
    assert (found.image, found.release, found.package) == (old, "6.9.1-100.fc42.x86_64", "")


def test_images_that_cannot_be_read_are_ignored(tmp_path, monkeypatch):
    image(tmp_path, "boot/vmlinuz-6.11.0-5-generic")
    monkeypatch.setattr("harness.guest.kernel.os.access", lambda *_: False)
    assert installed_kernel(tmp_path) is None


def native_target():
    return f"{platform.machine()}-softmmu"


@pytest.mark.skipif(platform.machine() not in ARCHITECTURES, reason="no guest of this architecture")
def test_kernel_of_other_distributions_is_the_installed_one(mirror, layout, monkeypatch):
    own = Kernel(image=layout.root / "vmlinuz", release="6.1", package="")
    monkeypatch.setattr("harness.guest.kernel.distribution", lambda: FEDORA)
    monkeypatch.setattr("harness.guest.kernel.installed_kernel", lambda: own)
    assert fetch_kernel(layout, Silent(), native_target()) == own
    assert mirror.asked == []
    monkeypatch.setattr("harness.guest.kernel.installed_kernel", lambda: None)
    with pytest.raises(FetchError):
        fetch_kernel(layout, Silent(), native_target())
    assert mirror.asked[0][0] == table().families["debian"].kernels[platform.machine()]


@pytest.mark.skipif(platform.machine() not in ARCHITECTURES, reason="no guest of this architecture")
def test_installed_kernel_replaces_a_package_that_cannot_be_fetched(mirror, layout, monkeypatch):
    own = Kernel(image=layout.root / "vmlinuz", release="6.1", package="")
    monkeypatch.setattr("harness.guest.kernel.distribution", lambda: Distribution(family="ubuntu"))
    monkeypatch.setattr("harness.guest.kernel.installed_kernel", lambda: own)
    reporter = Silent()
    assert fetch_kernel(layout, reporter, native_target()) == own
    assert mirror.asked[0][0] == "linux-image-virtual"
    assert any(str(own.image) in line for line in reporter.lines)
