"""The plan for avocado, and the folders that it leaves. That it runs: tests/unit/teardown/test_kill.py."""

from harness import job
from harness.job import JobItem, JobPlan, configuration


def test_avocado_runs_one_test_at_a_time_with_a_higher_limit():
    items = tuple(JobItem(index=index, name=f"n{index}", task={"cell": index}) for index in (1, 2))
    settings = configuration(JobPlan(test="t.py", jobs="/j", timeout_s=99, items=items))
    assert settings["run.max_parallel_tasks"] == 1
    assert settings["task.timeout.running"] == 99
    assert [entry["task"] for entry in settings["run.dict_variants"]] == ['{"cell":1}', '{"cell":2}']
    assert [entry["id"] for entry in settings["run.dict_variants"]] == ["1-n1", "2-n2"]


def test_index_is_parsed_from_avocados_name_of_a_test():
    assert job._index("1-tests/avocado/t.py:T.test;12-n-3-4f2a") == 12


def test_old_jobs_are_removed(tmp_path):
    for number in range(6):
        (tmp_path / f"job-{number}").mkdir()
    job._prune(tmp_path)
    assert len(list(tmp_path.iterdir())) == job.KEPT_JOBS
