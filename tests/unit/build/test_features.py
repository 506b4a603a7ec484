"""What meson.build and Kconfig of a small tree require of each source."""

import pytest

from harness.build.features import Needs, features_of

TOP = """\
project('tiny', 'c')
have_system = true
have_tools = get_option('tools').allowed()
have_block = have_system or have_tools
if get_option('vnc').allowed()
  vnc = declare_dependency()
endif
curl = not_found
if not get_option('curl').auto() or have_block
  curl = dependency('libcurl', required: get_option('curl'))
endif
rbd = cc.find_library('rbd', required: get_option('rbd'))
spice = dependency('spice-server', required: get_option('spice'))
libattr = cc.find_library('attr', required: get_option('attr'))
have_virtfs = get_option('virtfs').require(targetos == 'darwin' or libattr.found()).allowed()
xen = not_found
foreach lib : ['xenctrl']
  xen = dependency('xencontrol', required: get_option('xen'))
endforeach
have_vss = get_option('vss').require(targetos == 'windows').allowed()
host_kconfig = (spice.found() ? ['CONFIG_SPICE=y'] : [])
if have_tools
  executable('tool', files('tool.c'))
endif
if have_block
  subdir('block')
endif
if host_os == 'darwin'
  subdir('mac')
elif host_os != 'windows'
  subdir('unix')
else
  subdir('win')
endif
subdir('hw')
subdir('ga')
if cpu == 'aarch64'
  foo.add(files('cpu-arm.c'))
endif
foo.add(when: 'CONFIG_KVM', if_true: files('kvm.c'))
foo.add(files('coroutine-@0@.c'.format(backend)))
foo.add(when: have_virtfs, if_true: files('fs.c'))
foo.add(when: 'CONFIG_XEN', if_true: files('xen.c'))
subdir('tests')
unused = vss.add(when: have_vss, if_true: files('vss.c'))
"""
FILES = {
    "meson.build": TOP,
    "configure": "--enable-tools --enable-curl --enable-rbd --enable-vnc --enable-spice --enable-ga "
    "--enable-system --enable-virtfs --enable-attr --enable-vdi --enable-replication --enable-xen",
    "block/meson.build": """\
ss.add(files('always.c'))
modules += {'curl': curl_ss}
x = custom_target('y', output: '@0@.c', command: ['@OUTPUT@', 'gen-@0@.h'])
foreach m : [[curl, 'curl', files('curl.c')], [rbd, 'rbd', files('rbd.c')]]
  if m[0].found()
    x.add(when: m[0], if_true: m[2])
  endif
endforeach
if get_option('vdi').allowed()
  ss.add(files('vdi.c'))
endif
if not get_option('replication').disabled()
  ss.add(files('replication.c'))
endif
ss.add(when: 'CONFIG_WIN32', if_true: files('file-win32.c'), if_false: files('file-posix.c'))
ss.add(when: 'CONFIG_POSIX', if_false: files('no-posix.c'))
inner = files('inner.c')
vnc_ss.add(inner)
ss.add_all(when: [vnc, 'CONFIG_XEN'], if_true: vnc_ss)
subdir('deep')
""",
    "block/deep/meson.build": "ss.add(when: curl, if_true: files('own.c'))",
    "mac/meson.build": "ss.add(files('mac.c'))",
    "unix/meson.build": "ss.add(files('unix.c'))",
    "win/meson.build": "ss.add(files('win.c'))",
    "hw/meson.build": "ss.add(when: 'CONFIG_QXL', if_true: files('qxl.c'))\n"
    "ss.add(when: 'CONFIG_HVF', if_true: files('hvf.c'))",
    "hw/Kconfig": "config QXL\n    bool\n    depends on SPICE && !WIN\n\nconfig OTHER\n    depends on XEN\n",
    "ga/meson.build": "if not have_ga\n  subdir_done()\nendif\nss.add(files('ga.c'))\n",
    "bsd-user/main.c": "",
    "tests/meson.build": "if rbd.found()\n  tests += {'test-rbd': [rbd]}\nendif\ntests += {'test-b': []}\n",
}


@pytest.fixture
def features(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return features_of(tmp_path)


@pytest.mark.parametrize(
    ("path", "needs"),
    [
        ("block/always.c", Needs()),
        ("block/curl.c", Needs(switches=("--enable-curl",), libraries=("libcurl",))),
        ("block/rbd.c", Needs(switches=("--enable-rbd",), libraries=("rbd",))),
        ("block/vdi.c", Needs(switches=("--enable-vdi",))),
        ("block/replication.c", Needs(switches=("--enable-replication",))),
        ("block/inner.c", Needs(switches=("--enable-vnc", "--enable-xen"), libraries=("xencontrol",))),
        ("block/deep/own.c", Needs(switches=("--enable-curl",), libraries=("libcurl",))),
        ("kvm.c", Needs(kvm=True)),
        ("coroutine-ucontext.c", Needs()),
        ("tests/test-rbd.c", Needs(switches=("--enable-rbd",), libraries=("rbd",))),
        ("tests/test-b.c", Needs()),
        ("fs.c", Needs(switches=("--enable-attr", "--enable-virtfs"), libraries=("attr",))),
        ("xen.c", Needs(switches=("--enable-xen",), libraries=("xencontrol",))),
        ("tool.c", Needs(switches=("--enable-tools",))),
        ("ga/ga.c", Needs(switches=("--enable-ga",))),
        ("hw/qxl.c", Needs(switches=("--enable-spice",), libraries=("spice-server",))),
        ("block/file-win32.c", Needs(system="windows")),
        ("block/file-posix.c", Needs()),
        ("block/no-posix.c", Needs(system="not posix")),
        ("mac/mac.c", Needs(system="darwin")),
        ("unix/unix.c", Needs()),
        ("win/win.c", Needs(system="windows")),
        ("hw/hvf.c", Needs(system="darwin")),
        ("bsd-user/main.c", Needs(system="BSD")),
        ("vss.c", Needs(system="windows")),
        ("cpu-arm.c", Needs(processor="aarch64")),
        ("block/unknown.c", None),
    ],
)
def test_needs_of_a_source(features, path, needs):
    assert features.needs_of(path) == needs


def test_switches_that_are_on_anyway_or_unknown_are_not_needed(features):
    assert features.switch("curl") == "--enable-curl"
    assert features.switch("system") == features.switch("no_such") == ""


def test_damaged_description_names_nothing(features, tmp_path):
    (tmp_path / "block" / "meson.build").write_text("ss.add(files('curl.c'")
    assert features.needs_of("block/curl.c") is None
