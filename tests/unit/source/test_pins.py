from pathlib import Path

import pytest

from harness.errors import OptionError
from harness.layout import find_layout
from harness.source.pin import find_pin, load_pins

GOOD = """
["1.2"]
archive = "tiny.tar.xz"
sha256 = "{digest}"
{more}
[["1.2".locations]]
{location}
"""
URL = 'kind = "url"\nurl = "http://x/"\n'
SIGNED = 'signature = "http://x/s"\nkeyring = "k"'
DEBIAN = 'kind = "debian"\nsuite = "bookworm"\npackage = "qemu"'


def write(layout, *, more="", location=DEBIAN, digest="a" * 64):
    layout.pins_file.write_text(GOOD.format(more=more, location=location, digest=digest))


def test_shipped_pins_are_valid():
    pins = load_pins(find_layout(Path(__file__).parents[3]))
    assert [name for name, pin in pins.items() if pin.unmerge] == ["7.2"]
    assert {"7.2", "5.2", "10.0"} <= set(pins)


def test_pin_is_parsed(layout):
    write(layout, more='[["1.2".unmerge]]\nkind = "replace"\nfile = "a/b"\nold = """\nx\ny\n"""')
    pin = find_pin(layout, "1.2")
    assert pin.locations[0].suite == "bookworm"
    assert pin.unmerge[0].old == "x\ny\n"


def test_unknown_pin_error_lists_known_pins(layout):
    write(layout)
    with pytest.raises(OptionError) as error:
        find_pin(layout, "1.3")
    assert "1.2" in error.value.remedy


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"more": 'sha265 = "x"'}, "sha265"),
        ({"digest": "abc"}, "64"),
        ({"location": 'kind = "debian"\nsuite = "bookworm"'}, "needs package"),
        ({"location": DEBIAN + '\nurl = "http://x/"'}, "does not accept url"),
        ({"location": 'kind = "git"\nurl = "http://x/"\ncommit = "main"'}, "full commit id"),
        ({"location": 'kind = "url"\nurl = "http://x/"\nsignature = "http://x/s"'}, "given together"),
        ({"location": 'kind = "url"\nurl = "--upload-pack=evil"'}, "not a URL"),
        ({"location": 'kind = "ftp"'}, "ftp"),
        ({"location": f'{URL}archive = "a"\nsha256 = "B"'}, "64"),
        ({"location": f'{URL}archive = "a"'}, "needs sha256, or signature, keyring and release"),
        ({"location": f'{URL}archive = "a"\n{SIGNED}'}, "needs sha256, or signature, keyring and release"),
        (
            {"location": f'{URL}archive = "a"\nrelease = "1"'},
            "needs sha256, or signature, keyring and release",
        ),
        ({"location": f'{URL}archive = "tiny.tar.xz"\nsha256 = "{"b" * 64}"'}, "two values of sha256"),
        ({"location": f"{URL}size = 1"}, "need archive"),
        ({"location": f'{DEBIAN}\narchive = "a"'}, "does not accept archive"),
        ({"more": 'targets = ["x86_64-softmmu"]'}, "targets"),
        ({"more": '[["1.2".unmerge]]\nkind = "remove"\nfile = "../x"'}, "not a file of the tree"),
        ({"more": '[["1.2".unmerge]]\nkind = "replace"\nfile = "x"\nnew = "y"'}, "needs old"),
        ({"more": '[["1.2".unmerge]]\nkind = "remove"\nfile = "x"\nold = "y"'}, "does not accept old"),
        ({"more": '[["1.2".unmerge]]\nkind = "remove"\nfile = "x"\nunless = "y"'}, "does not accept unless"),
    ],
)
def test_invalid_pin_is_refused(layout, change, problem):
    write(layout, **change)
    with pytest.raises(OptionError, match=r"pins\.toml") as error:
        load_pins(layout)
    assert problem in error.value.cause


def test_archive_of_a_location_that_is_no_file_name_is_refused(layout):
    write(layout, location=f'{URL}archive = "../a"\nsha256 = "{"b" * 64}"')
    with pytest.raises(OptionError, match="cannot be used as a folder name"):
        load_pins(layout)


def test_missing_pins_file_is_an_option_error(layout):
    with pytest.raises(OptionError):
        load_pins(layout)
