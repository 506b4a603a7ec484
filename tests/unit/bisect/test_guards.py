from types import SimpleNamespace

import pytest

from harness.bisect.conditions import Added, read_conditions
from harness.bisect.guards import guards_of, needs_of, targets_of
from harness.build.conditions import Description
from harness.build.features import Features, Needs

TEXT = """\
#ifdef CONFIG_A
a
#if defined(CONFIG_B) && !defined(CONFIG_C)
b
#endif
#else
not_a
#endif
#ifndef CONFIG_D
not_d
#else
d
#endif
#if defined(CONFIG_E) || defined(CONFIG_F)
e
#elif CONFIG_G && CONFIG_H
g
#elifndef CONFIG_I
not_i
#endif
plain
#ifdef TARGET_ARM
arm
#endif
"""


@pytest.mark.parametrize(
    ("code", "symbols"),
    [
        ("a", "CONFIG_A"),
        ("b", "CONFIG_A CONFIG_B"),
        ("not_a", ""),
        ("not_d", ""),
        ("d", "CONFIG_D"),
        ("e", "CONFIG_E"),
        ("g", "CONFIG_G CONFIG_H"),
        ("not_i", ""),
        ("plain", ""),
        ("arm", "TARGET_ARM"),
    ],
)
def test_symbols_of_the_conditions_around_added_lines(code, symbols):
    line = TEXT.splitlines().index(code) + 1
    added = {"util/a.c": Added(conditions=read_conditions(TEXT), patches={line: 1})}
    assert guards_of(added) == ({"util/a.c": tuple(symbols.split())} if symbols else {})


MESON = """\
libaio = cc.find_library('aio', required: get_option('linux_aio'))
config_host_data.set('CONFIG_LINUX_AIO', libaio.found())
config_host_data.set('CONFIG_CFI', get_option('cfi'))
config_host_data.set('CONFIG_EPOLL', cc.has_header('sys/epoll.h'))
"""


def test_symbols_become_switches_and_libraries():
    known = SimpleNamespace(knows=("--enable-linux-aio", "--enable-cfi").__contains__)
    features = Features(Description({"meson.build": MESON}.get), known, lambda: "")
    aio = Needs(switches=("--enable-linux-aio",), libraries=("aio",))
    assert needs_of(["CONFIG_LINUX_AIO", "CONFIG_CFI", "CONFIG_WIN32", "TARGET_ARM"], features) == aio
    assert needs_of(["CONFIG_CFI"], features) == Needs(), "it is no part of QEMU"


BASES = {
    "i386-softmmu": "i386",
    "x86_64-softmmu": "i386",
    "aarch64-softmmu": "arm",
    "arm-softmmu": "arm",
    "x86_64-linux-user": "i386",
    "aarch64-linux-user": "arm",
    "arm-linux-user": "arm",
}


@pytest.mark.parametrize(
    ("symbols", "targets"),
    [
        ("TARGET_I386", "x86_64-softmmu"),
        ("TARGET_X86_64", "x86_64-softmmu"),
        ("TARGET_ARM", "arm-softmmu"),
        ("TARGET_AARCH64 CONFIG_KVM TARGET_I386", "aarch64-softmmu x86_64-softmmu"),
        ("TARGET_ARM CONFIG_USER_ONLY", "arm-linux-user"),
        ("CONFIG_USER_ONLY", "x86_64-linux-user"),
        ("TARGET_BIG_ENDIAN CONFIG_SOFTMMU", ""),
    ],
)
def test_symbols_become_targets(symbols, targets):
    assert targets_of(symbols.split(), ("x86_64-softmmu", "s390x-softmmu"), BASES) == targets.split()
