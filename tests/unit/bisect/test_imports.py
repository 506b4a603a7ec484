"""Which files a script of the tree imports, by the rules of Python."""

import pytest

from harness.bisect.imports import Imports

TOOL, MAIN = "scripts/tool.py", "scripts/pack/main.py"
FILES = {
    TOOL: "pass",
    "scripts/beside.py": "pass",
    MAIN: "pass",
    "scripts/pack/__init__.py": "pass",
    "scripts/pack/beside.py": "pass",
    "python/cmd.py": "import beside",
    "python/near.py": "pass",
    "python/one/two/three.py": "from ..other import x\nimport near",
    "python/one/two/near.py": "pass",
    "python/one/two/four.py": "from . import near\nfrom . import cmd",
    "python/one/other.py": "pass",
    "python/top/mid/__init__.py": "pass",
    "python/top/mid/low.py": "pass",
    "python/top/mid/loaded.py": "pass",
}


@pytest.mark.parametrize(
    ("script", "text", "reached"),
    [
        (TOOL, "import os", ""),
        (TOOL, "def broken(:", ""),
        (TOOL, "import cmd", "scripts/beside.py python/cmd.py"),
        (TOOL, "from cmd import x", "scripts/beside.py python/cmd.py"),
        (TOOL, "from one import other", "python/one/other.py"),
        (TOOL, "import one.two.four", "python/one/two/near.py python/one/two/four.py"),
        (
            TOOL,
            "import one.two.three",  # which may add its own folder to sys.path
            "python/near.py python/one/two/three.py python/one/two/near.py python/one/other.py",
        ),
        (
            TOOL,
            "import top.mid.low",  # a package may load the others by name
            "python/top/mid/__init__.py python/top/mid/low.py python/top/mid/loaded.py",
        ),
        (MAIN, "import os", ""),
        (MAIN, "import cmd", "scripts/pack/beside.py python/cmd.py"),
        (MAIN, "from . import x", "scripts/pack/__init__.py scripts/pack/beside.py"),
        (MAIN, "from .gone import x", "scripts/pack/__init__.py scripts/pack/beside.py"),
        ("scripts/gone.py", "", ""),
    ],
)
def test_files_that_a_script_imports(script, text, reached):
    imports = Imports(lambda path: (FILES | {script: text}).get(path, ""))
    found = [path for path in FILES if path != script and imports.reach(script, ["python"], [path])]
    assert found == reached.split()
