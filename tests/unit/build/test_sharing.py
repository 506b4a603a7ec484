import http.server
import json
import os
import shutil
import threading

import pytest

from harness.build.sharing import sharing_variables
from harness.errors import MissingError
from tests.faults.world import World
from tests.unit.defaults import options_with


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
    program = tmp_path / "distcc"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert os.access(program, os.X_OK)
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

    class Handler(http.server.BaseHTTPRequestHandler):
        """The methods that ccache uses (ccache(1), "HTTP storage backend")."""

        protocol_version = "HTTP/1.1"

        def answer(self, code, data=b""):
            asked.append(f"{self.command} {code}")
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            found = stored.get(self.path)
            self.answer(404 if found is None else 200, found or b"")

        def do_PUT(self):
            stored[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(201)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            remote = f"-Dccache_remote=http://127.0.0.1:{server.server_port}/cache"
            uses = [_cache_use(tmp_path / name, remote) for name in ("first", "second")]
        finally:
            server.shutdown()
            thread.join()
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
