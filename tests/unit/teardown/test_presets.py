import pytest

from harness.layout import find_layout
from harness.options import declared_options
from harness.teardown.presets import PRESETS, apply_preset

from .test_scenario import options


def test_presets_equal_the_choices_of_the_option():
    assert set(PRESETS) == set(declared_options(find_layout())["preset"].choices)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_given_options_override_a_preset(name):
    given = options(preset=name, memory_mib=(512,), given=("-Dmemory=512M",))
    assert apply_preset(given).memory_mib == (512,)
    assert apply_preset(options(preset=name)).memory_mib == PRESETS[name].get("memory_mib", (256, 1024))
    for field, value in PRESETS[name].items():
        assert getattr(apply_preset(options(preset=name)), field) == value
