"""docs/style.md, compared with the texts of the project: documentation, messages, docstrings, data files."""

import ast
import re

from tests.unit.defaults import ROOT
from tests.unit.syntax import nodes

PACKAGE = ROOT / "harness"
GLOSSARY = "## Words to avoid"


def avoided():
    """Return the phrases in the left column of the glossary, without remarks in brackets."""
    table = (ROOT / "docs" / "style.md").read_text(encoding="utf-8").split(GLOSSARY)[1]
    cells = re.findall(r"^\| (.+?) \| .+ \|$", table, re.MULTILINE)[1:]
    return [phrase for cell in cells for phrase in re.sub(r" \(.*?\)", "", cell).split(", ")]


AVOIDED = re.compile(
    r"(?<![\w-])(?:"
    + "|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in avoided())
    + r")(?![\w-])",
    re.IGNORECASE,
)


def problems(texts):
    return [
        f"{place}: {' '.join(text[max(0, hit.start() - 30) : hit.end() + 30].split())}"
        for place, text in texts
        for hit in AVOIDED.finditer(text)
    ]


def texts(path):
    """Yield the strings of several words, including docstrings, and the comments of a module."""
    for node in nodes(path):
        match node:
            case ast.Constant(value=str(text)) if " " in text:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if "#" in line:  # to find the comments by the tokenize module takes a second
            yield f"{path.relative_to(ROOT)}:{number}", line[line.index("#") :]


def test_glossary_is_read():
    assert {"mend", "told", "put down to"} <= set(avoided())
    assert problems(
        [("a", "Mend it\nwith care"), ("b", "it is put down\nto the commit"), ("c", "recommended")]
    ) == ["a: Mend it with care", "b: it is put down to the commit"]


def test_programs_use_standard_terms():
    programs = [
        path
        for name in ("faults", "fuzz", "mutate", "platforms")
        for path in (ROOT / "tests" / name).glob("*.py")
    ]
    paths = [ROOT / "noxfile.py", *PACKAGE.rglob("*.py"), *programs]
    assert not [found for path in paths for found in problems(texts(path))]


def test_documents_use_standard_terms():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    assert not problems(
        (path.name, path.read_text(encoding="utf-8").split(GLOSSARY)[0]) for path in documents
    )


def test_links_and_paths_in_documents_resolve():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    anchors = {
        path: {
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        }
        for path in documents
    }
    for path in documents:
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            name, _, anchor = target.partition("#")
            file = (path.parent / name).resolve() if name else path
            assert file.exists(), f"{path.name}: {target}"
            assert not anchor or anchor in anchors[file], f"{path.name}: {target}"
        for name in re.findall(r"`((?:harness|tests|\.ci)/[\w./-]+)`", path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{path.name}: {name}"


def test_data_files_use_standard_terms():
    names = [
        "meson_options.txt",
        ".gitlab-ci.yml",
        ".github/workflows/validate.yml",
        "qemu-src/pins.toml",
        ".ci/gates.toml",
    ]
    paths = [ROOT / name for name in names]
    paths += [*(ROOT / "patches").glob("*/series.toml"), *PACKAGE.rglob("*.toml"), *PACKAGE.rglob("*.j2")]
    assert not problems((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in paths)
