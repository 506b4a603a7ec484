"""Coverage of the added lines in the format of Cobertura, which GitLab displays next to a diff.

Source: GitLab, "Coverage visualization"; coverage-04.dtd of Cobertura.
"""

from collections import defaultdict
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

from harness.check import ValidateResults


def cobertura(results: ValidateResults) -> str:
    """Return the report. It has the lines that the series adds, with hits 1 or 0, and no others."""
    files: dict[str, dict[int, int]] = defaultdict(dict)
    for one in results.coverage:
        files[one.file] |= dict.fromkeys(one.ran, 1) | dict.fromkeys(one.missing, 0)
    hits = [hit for lines in files.values() for hit in lines.values()]
    top = ET.Element("coverage", {**_counts(hits), "version": "0.1", "timestamp": "0", "complexity": "0"})
    ET.SubElement(ET.SubElement(top, "sources"), "source").text = "."
    package = ET.SubElement(
        ET.SubElement(top, "packages"),
        "package",
        {"name": results.series.name, **_rates(hits), "complexity": "0"},
    )
    classes = ET.SubElement(package, "classes")
    for file, lines in sorted(files.items()):
        name = PurePosixPath(file).name
        about = {"name": name, "filename": file, **_rates([*lines.values()]), "complexity": "0"}
        found = ET.SubElement(classes, "class", about)
        ET.SubElement(found, "methods")
        listed = ET.SubElement(found, "lines")
        for number, hit in sorted(lines.items()):
            ET.SubElement(listed, "line", {"number": str(number), "hits": str(hit)})
    ET.indent(top)
    return ET.tostring(top, encoding="unicode", xml_declaration=True) + "\n"


def _rates(hits: list[int]) -> dict[str, str]:
    rate = sum(hits) / len(hits) if hits else 0.0
    return {"line-rate": f"{rate:.4f}", "branch-rate": "0"}


def _counts(hits: list[int]) -> dict[str, str]:
    valid, covered = str(len(hits)), str(sum(hits))
    branches = {"branches-covered": "0", "branches-valid": "0"}
    return {**_rates(hits), "lines-covered": covered, "lines-valid": valid, **branches}
