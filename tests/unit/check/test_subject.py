"""The series that is checked."""

from harness.check.subject import POLICY, added_lines, snippet
from harness.series.trailers import Trailer
from tests.unit.check.support import SIGNED, good, judged

TWO = """\
diff --git a/a.c b/a.c
--- a/a.c
+++ b/a.c
@@ -1,3 +1,3 @@
 one
-two
+zwei
 three
@@ -10,2 +10,4 @@
+new
 ten
-eleven
+elf
+zwoelf
diff --git a/b.c b/b.c
new file mode 100644
--- /dev/null
+++ b/b.c
@@ -0,0 +1 @@
+b
"""


def test_added_lines_have_the_number_of_the_new_file():
    (patch,) = judged(good(diff=TWO)).patches
    assert list(added_lines(patch.changes[0])) == [(2, "zwei"), (10, "new"), (12, "elf"), (13, "zwoelf")]
    assert [(change.path, number, text) for change, number, text in patch.added()][-2:] == [
        ("a.c", 13, "zwoelf"),
        ("b.c", 1, "b"),
    ]


def test_trailers_are_those_of_the_message():
    (patch,) = judged(good()).patches
    assert patch.trailers == (Trailer(key="Signed-off-by", value=SIGNED.partition(": ")[2]),)


def test_series_applies_if_it_has_commits():
    assert judged(good()).applies
    assert not judged(good(), tip="c0").applies


def test_files_are_read_from_a_commit():
    series = judged(good(), files={"c1:a.c": "text", "c0:b.c": "some text", f"c0:{POLICY}": "policy"})
    assert series.read("c1", "a.c") == "text"
    assert series.read("c0", "a.c") is None
    assert "me te" in (series.read(series.base, "b.c") or "")
    assert "other" not in (series.read(series.base, "b.c") or "")
    assert series.read(series.base, "c.c") is None
    assert series.policy == "policy"
    assert judged(good()).policy == ""


def test_snippet_is_cut_to_100_characters():
    assert snippet("x" * 100) == ("x" * 100,)
    assert snippet("x" * 101) == ("x" * 97 + "...",)
