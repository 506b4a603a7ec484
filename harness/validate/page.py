"""The results as a page, ``validate.html``: findings, tests, proofs, lines that no test ran."""

from __future__ import annotations

import jinja2

from harness.bisect.coverage import ranges_of
from harness.check import CoveredFile, ValidateResults
from harness.validate.table import verdict_line
from harness.validate.tested import proof_lines, skipped_lines

_TEMPLATE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ results.series.title }}</title>
<style>
body { font: 15px/1.5 sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .2em .6em; border-bottom: 1px solid #ccc }
pre { margin: 0; color: #555; white-space: pre-wrap }
.error, .failed, .timeout { color: #b00 } .warning { color: #960 } .note, .skipped { color: #555 }
</style>
</head>
<body>
<h1>{{ results.series.title }}</h1>
<p>{{ verdict }}</p>
<p>{{ results.base }} of pin {{ results.pin }}. {{ results.machine }}.</p>
{% if results.findings %}
<h2>Findings</h2>
<table>
<tr><th>patch</th><th>severity</th><th>place</th><th>problem</th></tr>
{% for one in results.findings %}
<tr><td>{{ one.patch or "series" }}</td><td class="{{ one.severity }}">{{ one.severity }}</td>
<td>{{ one.file }}{% if one.line %}:{{ one.line }}{% endif %}</td>
<td>{{ one.message }} [{{ one.rule }}]{% if one.count > 1 %} ({{ one.count }} times){% endif %}
{% if one.snippet %}<pre>{{ one.snippet|join("\\n") }}</pre>{% endif %}{{ one.remedy }}</td></tr>
{% endfor %}
</table>
{% endif %}
{% if lines %}
<h2>What the tests show</h2>
<ul>
{% for line in lines %}
<li>{{ line }}</li>
{% endfor %}
</ul>
{% endif %}
{% if results.coverage %}
<h2>Lines that no test ran</h2>
<table>
<tr><th>patch</th><th>file</th><th>added lines with code</th><th>run by no test</th></tr>
{% for one in results.coverage %}
<tr><td>{{ one.patch }}</td><td>{{ one.file }}</td><td>{{ one.executable }}</td>
<td>{{ missing(one) }}</td></tr>
{% endfor %}
</table>
{% endif %}
{% if results.tests %}
<h2>QEMU's own tests</h2>
<table>
<tr><th>patch</th><th>suite</th><th>test</th><th>result</th><th>seconds</th><th>reason</th></tr>
{% for row in results.tests %}
<tr><td>{{ row.patch or "base" }}</td><td>{{ row.suite }}</td><td>{{ row.name }}</td>
<td class="{{ row.outcome }}">{{ row.outcome }}</td><td>{{ row.seconds }}</td><td>{{ row.reason }}</td></tr>
{% endfor %}
</table>
{% endif %}
<p>To repeat: <code>{{ results.command }}</code></p>
</body>
</html>
"""


def page(results: ValidateResults) -> str:
    """Return the page. Everything in it is escaped: texts of a series are not trusted."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(_TEMPLATE).render(
        results=results,
        verdict=verdict_line(results),
        lines=[*proof_lines(results), *skipped_lines(results)],
        missing=_missing,
    )


def _missing(covered: CoveredFile) -> str:
    return ", ".join(ranges_of(covered.missing)) or "none"
