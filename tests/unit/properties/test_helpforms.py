"""harness.properties.helpforms: the option table, and the forms that end in help."""

import sys

import pytest

from harness.properties import helpforms
from harness.properties.helpforms import help_forms, read_table
from harness.properties.outcome import Cancelled

from ..programs import write_program

TABLE = """QEMU emulator version 7.2
usage: qemu [options] [disk_image]

Standard options:
-h or -help     display this help and exit
-version        display version information and exit
-machine [type=]name[,prop[=value][,...]]
                selects emulated machine ('-machine help' for list)
-fda/-fdb file  use 'file' as floppy disk 0/1 image
-drive [file=file][,format=f]
       [,bus=n]
                use 'file' as a drive image
-net nic[,macaddr=mac][,model=type]
                create a NIC
-net [tap|bridge][,option]
-S              freeze CPU at startup (use 'c' to start execution)
"""


def test_option_table_is_read_from_the_help_text():
    table = {option.name: option for option in read_table(TABLE)}
    assert list(table) == ["h", "help", "version", "machine", "fda", "drive", "net", "S"]
    assert [name for name, option in table.items() if option.has_value] == ["machine", "fda", "drive", "net"]
    assert table["drive"].keys == ("file", "format", "bus")
    assert table["machine"].keys == ("type",)
    assert table["net"].keys == ("macaddr", "model")
    assert table["net"].choices == ("nic,model",)
    assert not table["machine"].choices


FAKE = """
import sys
words = sys.argv[1:]
table = %r
given = " ".join(words)
forms = {"-version": "v", "-machine help": "Supported machines are:\\nmicrovm x\\npc y", "-machine ?": "z",
         "-drive format=help": "raw", "-machine microvm,help": "props",
         "-net nic,model=help": "e1000", "-net help": "backends"}
if words == ["-help"] or "-help " in given:
    print(table)
    sys.exit(0)
if "-S " in given:
    sys.exit(0)  # ends without printing anything
if "-drive help" in given:
    open("written", "w").close()
    print("bad")
    sys.exit(1)
assert words[-2] == "-incoming"
for form, text in forms.items():
    if form + " -incoming" in given:
        print(text)
        sys.exit(0)
sys.exit(1)
"""


def test_forms_are_those_that_print_and_end_normally(tmp_path):
    forms = help_forms(write_program(tmp_path / "qemu", f"#!{sys.executable} -IS\n" + FAKE % TABLE))
    good = {"-version", "-machine help", "-machine ?", "-drive format=help", "-machine microvm,help"}
    bad = {"-S", "-drive help", "-drive ?", "-machine pc,help", "-fda help"}
    assert {" ".join(form) for form in forms} & (good | bad | {"-net nic,model=help"}) == (
        good | {"-net nic,model=help"}
    )


def test_binary_without_a_table_cancels(monkeypatch, tmp_path):
    monkeypatch.setattr(helpforms, "_run", lambda *_: (0, "usage: qemu"))
    with pytest.raises(Cancelled, match="no options"):
        help_forms(tmp_path)


def test_form_that_does_not_end_is_none(monkeypatch, tmp_path):
    binary = write_program(tmp_path / "qemu", "echo help; exec sleep 60")
    monkeypatch.setattr(helpforms, "LIMIT_S", 0.2)
    assert helpforms._run(binary, ("-x",)) == (-1, "")
