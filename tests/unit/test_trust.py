"""harness.trust: a cache that others can write to is refused."""

from __future__ import annotations

import os
import shutil

import pytest

from harness import trust
from harness.cli import main
from harness.errors import StorageError
from harness.trust import protect_cache

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="files are given to others by root alone")


def test_new_cache_is_private_regardless_of_the_umask(tmp_path):
    before = os.umask(0)
    try:
        protect_cache(tmp_path / "a" / "cache")
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "cache").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("where", [".", "downloads", "file"])
def test_world_writable_cache_is_refused(tmp_path, where):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("/nowhere")
    protect_cache(tmp_path)
    (tmp_path / where).chmod(0o777)
    with pytest.raises(StorageError, match="is world-writable") as caught:
        protect_cache(tmp_path)
    assert "QEMU_HARNESS_CACHE" in caught.value.remedy


@pytest.mark.parametrize("link", ["cache", "cache/entry"])
def test_targets_of_links_are_checked(tmp_path, link):
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    if "/" in link:
        (tmp_path / "cache").mkdir()
    (tmp_path / link).symlink_to(real)
    protect_cache(tmp_path / "cache")
    real.chmod(0o777)
    with pytest.raises(StorageError, match="is world-writable"):
        protect_cache(tmp_path / "cache")


@pytest.mark.parametrize("linked", [False, True])
def test_replaceable_cache_is_refused(tmp_path, linked):
    shared = tmp_path / "shared"
    real = shared / "deeper" / "cache"
    real.mkdir(parents=True)
    cache = tmp_path / "link" if linked else real
    if linked:
        cache.symlink_to(real)
    shared.chmod(0o1777)
    protect_cache(cache)
    shared.chmod(0o777)
    with pytest.raises(StorageError, match=f"{shared} is world-writable .* above the cache"):
        protect_cache(cache)


def test_private_group_of_the_user_may_write(tmp_path, monkeypatch):
    tmp_path.chmod(0o775)
    monkeypatch.setattr(trust, "_is_private", lambda gid, uid: True)
    protect_cache(tmp_path)
    monkeypatch.setattr(trust, "_is_private", lambda gid, uid: False)
    with pytest.raises(StorageError, match="is writable by group"):
        protect_cache(tmp_path)


def test_group_of_several_users_is_not_private(monkeypatch):
    class User:
        pw_uid, pw_gid = 1000, 50

    class Group:
        gr_mem: tuple[str, ...] = ()

    monkeypatch.setattr(trust.pwd, "getpwall", lambda: [User])
    monkeypatch.setattr(trust.grp, "getgrgid", lambda gid: Group)
    assert trust._is_private(50, 1000)
    assert not trust._is_private(50, 1001)
    assert not trust._is_private(51, 1000)


@as_root
@pytest.mark.parametrize("where", [".", "downloads"])
def test_cache_of_another_user_is_refused(tmp_path, where):
    (tmp_path / "downloads").mkdir()
    os.chown(tmp_path / where, 12345, 0)
    with pytest.raises(StorageError, match="belongs to user 12345, not to"):
        protect_cache(tmp_path)


def test_every_command_that_uses_the_cache_checks_it(tmp_path, known_options, monkeypatch, capsys):
    shutil.copytree(known_options, tmp_path, dirs_exist_ok=True)
    tmp_path.chmod(0o777)
    monkeypatch.setenv("QEMU_HARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr("harness.cli.guarded", lambda call, **_: call())
    assert main(["fetch"]) == 14
    assert "the cache cannot be trusted" in capsys.readouterr().err
    assert main(["check"]) == 0
