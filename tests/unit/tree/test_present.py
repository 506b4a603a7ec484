"""A change that a tree contains in another surrounding."""

import pytest

from harness.series import scan_changes
from harness.tree.present import has_change, is_distinctive

CHANGE = """\
diff --git a/a.c b/a.c
--- a/a.c
+++ b/a.c
@@ -1,4 +1,5 @@
 {
-    old_function(one);
+    new_function(one, two);
+    other_function(three);
 }
 int x;
"""
NEW = """\
diff --git a/a.c b/a.c
new file mode 100644
--- /dev/null
+++ b/a.c
@@ -0,0 +1,5 @@
+first_line();
+second_line();
+third_line();
+fourth_line();
+fifth_line();
"""
TRIVIAL = "diff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -1 +1,2 @@\n x\n+    break;\n"


@pytest.mark.parametrize(
    ("diff", "text", "present"),
    [
        (CHANGE, "{\nnew_function(one, two);\nother_function(three);\n\n}", True),
        (CHANGE, "{\nnew_function(one, two);\n\nother_function(three);\n}", False),
        (CHANGE, "{\nnew_function(one, two);\nother_function(three);\nold_function(one);\n}", False),
        (CHANGE, "{\nold_function(one);\n}", False),
        (CHANGE, None, False),
        (NEW, "first_line();\nsecond_line();\nthird_line();\nfourth_line();\nadded();", True),
        (NEW, "first_line();\nsecond_line();\nthird_line();\nadded();", False),
        (TRIVIAL, "x\n    break;", False),
    ],
)
def test_change_is_present(diff, text, present):
    assert has_change(scan_changes(diff), lambda path: {"a.c": text}[path]) is present


def test_few_lines_that_are_everywhere_are_not_distinctive():
    assert is_distinctive(scan_changes(CHANGE))
    assert not is_distinctive(scan_changes(TRIVIAL))
    assert not is_distinctive(scan_changes(CHANGE + TRIVIAL.replace("a.c", "b.c")))
