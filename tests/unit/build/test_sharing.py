import json
import shutil

import pytest

from harness.build.sharing import sharing_variables
from harness.errors import MissingError
from tests.faults.world import World
from tests.unit.defaults import options_with
from tests.unit.programs import write_program
from tests.unit.web import serving


def test_default_options_share_nothing():
    assert sharing_variables(options_with()) == {}


def test_remote_cache_is_set_for_old_and_new_releases():
    assert sharing_variables(options_with(ccache_remote="file:/c")) == {
        "CCACHE_REMOTE_STORAGE": "file:/c",
        "CCACHE_SECONDARY_STORAGE": "file:/c",
    }


def test_distcc_is_started_by_ccache(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="-Ddistcc="):
        sharing_variables(options_with(distcc="a/4"))
    program = write_program(tmp_path / "distcc", "")
    assert sharing_variables(options_with(distcc="a/4 b")) == {
        "CCACHE_PREFIX": str(program),
        "DISTCC_HOSTS": "a/4 b",
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("ccache") is None, reason="ccache is not installed")
def test_machines_share_a_cache_by_http(tmp_path):
    """Build the stand-in twice, as two machines without a common file would, with a server between them."""
    stored = {}
    asked = []

    def answer(request, body):
        """The methods that ccache uses (ccache(1), "HTTP storage backend")."""
        if request.command == "PUT":
            stored[request.path] = body
        found = stored.get(request.path)
        status = 201 if request.command == "PUT" else 200 if found is not None else 404
        asked.append(f"{request.command} {status}")
        return status, b"" if status == 201 else found or b""

    with serving(answer, "HTTP/1.1") as address:
        remote = f"-Dccache_remote={address}/cache"
        uses = [_cache_use(tmp_path / name, remote) for name in ("first", "second")]
    first, second = uses
    assert first["misses"] > 0
    assert stored, "the first machine fills the cache"
    assert (second["misses"], second["hits"]) == (0, first["misses"] + first["hits"])
    assert "GET 200" in asked


def _cache_use(folder, remote):
    world = World(folder)
    try:
        ended = world.run("build", "-Dtargets=x86_64-softmmu", remote)
        assert ended.code == 0, ended.error
        build = json.loads((world.build / "results" / "build.json").read_text())
    finally:
        world.close()
    uses = [one["cache"] for one in build["builds"]]
    hits = sum(use["direct_hits"] + use["preprocessed_hits"] for use in uses)
    return {"hits": hits, "misses": sum(use["misses"] for use in uses)}
