"""The results of a calibration as text."""

from rich.console import Group, RenderableType
from rich.text import Text

from harness.figures import format_ratio, format_seconds
from harness.teardown.calibrate import LATE
from harness.teardown.calibration import CalibrationResults


def render_calibration(results: CalibrationResults) -> RenderableType:
    """Summarise the results in a few lines."""
    late = [row for row in results.comparisons if row.variant == LATE]
    lines = [
        f"simulated: {results.simulated_false_alarm_rate:.1%} of {results.simulated_comparisons} comparisons"
        f" of equal binaries reported as different"
        f" ({results.simulated_uncorrected_rate:.1%} without correction)",
        f"real: {results.real_false_alarms} of {results.real_comparisons}"
        f" ({results.real_uncorrected_alarms} without correction)",
        f"a delay of {format_seconds(results.injected_delay_s)} was"
        f" {'detected' if results.injected_delay_found else 'not detected'}: medians differ by"
        f" {format_seconds(results.found_delay_s)}",
        *(
            f"  {format_seconds(row.reference_s)} and {format_seconds(row.variant_s)}, ratio"
            f" {format_ratio(row.ratio)} [{format_ratio(row.ratio_low)}, {format_ratio(row.ratio_high)}]"
            for row in late
        ),
    ]
    return Group(*map(Text, lines))
