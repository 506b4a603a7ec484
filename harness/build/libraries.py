"""Debian's packages of the libraries that QEMU's optional features need, by the names in its meson.build."""

from __future__ import annotations

from collections.abc import Iterable

from harness.build.doctor import check
from harness.build.needs import Requirement

PACKAGES = {
    "SDL2_image": "libsdl2-image-dev",
    "alsa": "libasound2-dev",
    "blkio": "libblkio-dev",
    "brlapi": "libbrlapi-dev",
    "canokey-qemu": "",
    "capstone": "libcapstone-dev",
    "daxctl": "libdaxctl-dev",
    "libdaxctl": "libdaxctl-dev",
    "libdw": "libdw-dev",
    "epoxy": "libepoxy-dev",
    "fuse3": "libfuse3-dev",
    "gbm": "libgbm-dev",
    "gio-2.0": "libglib2.0-dev",
    "glusterfs-api": "libglusterfs-dev",
    "gnutls": "libgnutls28-dev",
    "gtk+-3.0": "libgtk-3-dev",
    "jack": "libjack-dev",
    "libbpf": "libbpf-dev",
    "libcacard": "libcacard-dev",
    "libcurl": "libcurl4-gnutls-dev",
    "libgcrypt": "libgcrypt20-dev",
    "libibumad": "libibumad-dev",
    "libiscsi": "libiscsi-dev",
    "libjpeg": "libjpeg-dev",
    "libkeyutils": "libkeyutils-dev",
    "libnfs": "libnfs-dev",
    "libpipewire-0.3": "libpipewire-0.3-dev",
    "libpmem": "libpmem-dev",
    "libpng": "libpng-dev",
    "libpulse": "libpulse-dev",
    "libsasl2": "libsasl2-dev",
    "libselinux": "libselinux1-dev",
    "libssh": "libssh-dev",
    "libtasn1": "libtasn1-6-dev",
    "libudev": "libudev-dev",
    "liburing": "liburing-dev",
    "libusb-1.0": "libusb-1.0-0-dev",
    "libusbredirparser-0.5": "libusbredirparser-dev",
    "libxdp": "libxdp-dev",
    "libzstd": "libzstd-dev",
    "ncursesw": "libncurses-dev",
    "nettle": "nettle-dev",
    "rdmacm": "librdmacm-dev",
    "sdl2": "libsdl2-dev",
    "slirp": "libslirp-dev",
    "sndio": "libsndio-dev",
    "spice-protocol": "libspice-protocol-dev",
    "spice-server": "libspice-server-dev",
    "u2f-emu": "libu2f-emu-dev",
    "virglrenderer": "libvirglrenderer-dev",
    "vte-2.91": "libvte-2.91-dev",
    "x11": "libx11-dev",
    "xencontrol": "libxen-dev",
    "xkbcommon": "libxkbcommon-dev",
}
"""Modules of pkg-config. Names differ for those of HEADERS, which have no such module."""
HEADERS = {
    "aio": ("libaio.h", "libaio-dev"),
    "attr": ("sys/xattr.h", "libc6-dev"),
    "bz2": ("bzlib.h", "libbz2-dev"),
    "cap-ng": ("cap-ng.h", "libcap-ng-dev"),
    "ibumad": ("infiniband/umad.h", "libibumad-dev"),
    "ibverbs": ("infiniband/verbs.h", "libibverbs-dev"),
    "lzfse": ("lzfse.h", "liblzfse-dev"),
    "lzo2": ("lzo/lzo1x.h", "liblzo2-dev"),
    "numa": ("numa.h", "libnuma-dev"),
    "pam": ("security/pam_appl.h", "libpam0g-dev"),
    "rados": ("rados/librados.h", "librados-dev"),
    "rbd": ("rbd/librbd.h", "librbd-dev"),
    "rdmacm": ("rdma/rdma_cma.h", "librdmacm-dev"),
    "sasl2": ("sasl/sasl.h", "libsasl2-dev"),
    "snappy": ("snappy-c.h", "libsnappy-dev"),
    "vdeplug": ("libvdeplug.h", "libvdeplug-dev"),
    "brlapi": ("brlapi.h", "libbrlapi-dev"),
}


PROGRAMS = {
    "bison": "bison",
    "dtrace": "systemtap-sdt-dev",
    "flex": "flex",
    "gdbus-codegen": "libglib2.0-dev-bin",
}
"""Programs that some targets and features need, such as flex for hexagon."""


def library(name: str, needed_by: str = "") -> Requirement | None:
    """Return the requirement for the library or program ``name``; None if no package of it is known."""
    if name in PROGRAMS:
        return Requirement(
            name=name, kind="program", package=PROGRAMS[name], needed_by=needed_by, stages=("features",)
        )
    if name in HEADERS:
        header, package = HEADERS[name]
        return Requirement(
            name=header, kind="header", package=package, needed_by=needed_by, stages=("features",)
        )
    if PACKAGES.get(name):
        return Requirement(
            name=name, kind="pkg-config", package=PACKAGES[name], needed_by=needed_by, stages=("features",)
        )
    return None


def missing_packages(names: Iterable[str]) -> tuple[str, ...]:
    """Return the packages of those libraries that are missing; without a known package, their own names."""
    known = {name: library(name) for name in names}
    missing = tuple(row.package for row in check(filter(None, known.values())) if not row.found)
    return tuple(dict.fromkeys(missing or (name for name, need in known.items() if need is None)))
