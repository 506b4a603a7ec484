"""pytest must collect every test file: it silently skips folders by name (``norecursedirs``)."""


def test_pytest_collects_every_test_file(pytestconfig, collected_files):
    """This holds for each folder on pytest's command line; by default, this is tests/unit."""
    asked = [
        pytestconfig.invocation_params.dir / argument.partition("::")[0] for argument in pytestconfig.args
    ]
    on_disk = {file for place in asked for file in place.rglob("test_*.py")} | {
        file for file in asked if file.is_file()
    }
    assert {file.resolve() for file in on_disk} - collected_files == set()
