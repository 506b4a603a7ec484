import pytest

from harness.teardown.meter import choose_meter


def test_only_the_meter_of_a_cgroup_is_exact(tmp_path):
    (tmp_path / "meminfo").write_text("MemFree: 1 kB\nMemAvailable: 2048 kB\n")
    plain = choose_meter(tmp_path, "ram", tmp_path)
    assert (plain.name, plain.exact, plain.free_mib()) == ("MemAvailable", False, 2.0)
    (tmp_path / "memory.current").write_text("3145728\n")
    meter = choose_meter(tmp_path, "ram", tmp_path)
    assert (meter.name, meter.exact, meter.free_mib()) == ("memory.current", True, -3.0)
    (tmp_path / "memory.current").write_text("1048576\n")
    assert meter.free_mib() == -1.0
    assert choose_meter(None, "ram", tmp_path).name == "MemAvailable"


@pytest.mark.parametrize("backend", ["ram", "memfd", "file"])
def test_meter_supports_cgroup_version_1(tmp_path, backend):
    (tmp_path / "memory.usage_in_bytes").write_text("0\n")
    assert choose_meter(tmp_path, backend, tmp_path).name == "memory.usage_in_bytes"
    assert choose_meter(tmp_path, "hugetlb", tmp_path).name == "HugePages_Free"
