"""Draw the picture of README.md: ``python -m tests.picture RESULTS > docs/images/teardown.svg``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from harness.report.pages import TEMPLATES
from harness.report.plots import latency_plots
from harness.teardown.results import TeardownResults, read_teardown


def picture(results: TeardownResults) -> str:
    """Return exit and reclaim against memory as one SVG image, with the colours of report.html."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    colours = style[: style.index("* { box-sizing")]
    plots = [plot.svg for plot in latency_plots(results)[:2]]
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', plots[0])[0])
    placed = (
        svg.replace("<svg ", f'<svg x="{index * width}" width="{width}" height="{height}" ', 1)
        for index, svg in enumerate(plots)
    )
    total = width * len(plots)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}"'
        f' width="{total}" height="{height}">\n'
        f"<style>{colours}svg {{ background: var(--page); }}</style>\n{''.join(placed)}</svg>\n"
    )


if __name__ == "__main__":
    sys.stdout.write(picture(read_teardown(Path(sys.argv[1]))))
