import pytest

from harness.errors import GuestError
from harness.guest.hugepages import free_hugepages_mib, reserved, restored


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "meminfo").write_text("HugePages_Free:      3\nHugepagesize:       2048 kB\n")
    (tmp_path / "nr").write_text("5\n")
    return {"setting": tmp_path / "nr", "meminfo": tmp_path / "meminfo"}


def test_pages_are_reserved_in_addition_and_released(machine):
    with reserved(11, **machine):
        assert machine["setting"].read_text() == "11\n"  # 5 and 6 of 2 MiB
    assert machine["setting"].read_text() == "5\n"
    assert free_hugepages_mib(machine["meminfo"]) == 6.0


def test_pages_are_released_after_an_exception(machine):
    with pytest.raises(ZeroDivisionError), reserved(4, **machine):
        raise ZeroDivisionError
    assert machine["setting"].read_text() == "5\n"


def test_too_few_pages_are_an_error_and_are_released(machine, monkeypatch):
    from harness.guest import hugepages

    answers = iter((5, 6))
    monkeypatch.setattr(hugepages, "_read", lambda _: next(answers))
    with pytest.raises(GuestError, match="reserved 1 of 2 huge pages"), reserved(4, **machine):
        pytest.fail("the block was run")
    assert machine["setting"].read_text() == "5\n"


@pytest.mark.parametrize("text", ["", "Hugepagesize: 0 kB\n"])
def test_kernel_without_huge_pages_is_an_error(machine, text):
    machine["meminfo"].write_text(text)
    with pytest.raises(GuestError, match="does not support huge pages"), reserved(4, **machine):
        pytest.fail("the block was run")


def test_pages_of_a_killed_run_are_released_by_the_next_run(machine, tmp_path):
    note = tmp_path / "locks" / "note.json"
    with restored(note, ("hugetlb",), setting=machine["setting"]):
        machine["setting"].write_text("9\n")
    assert machine["setting"].read_text() == "5\n"
    assert not note.exists()
    note.write_text("2")  # of a killed run
    with restored(note, ("hugetlb",), setting=machine["setting"]):
        assert machine["setting"].read_text() == "2\n"
    note.write_text("half a fi")
    with restored(note, ("hugetlb",), setting=machine["setting"]):
        assert machine["setting"].read_text() == "2\n"


def test_pages_of_other_runs_are_left_alone(machine, tmp_path):
    note = tmp_path / "note.json"
    note.write_text("2")  # of a killed run
    with restored(note, ("ram", "memfd"), setting=machine["setting"]):
        assert machine["setting"].read_text() == "2\n"
        assert not note.exists()
        machine["setting"].write_text("9\n")
    assert machine["setting"].read_text() == "9\n"
