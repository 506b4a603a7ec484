import hashlib

import pytest

from harness.errors import FetchError, OptionError, VerifyError
from harness.source import archive as archive_module
from harness.source.fetch import fetch
from harness.source.pin import Location
from tests.unit.repositories import git, make_repository
from tests.unit.web import serving

BYTES = b"the release" * 1000
DIGEST = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture
def server():
    """An HTTP server on loopback: its address, and the requested paths."""
    asked = []

    def answer(request, _):
        asked.append(request.path)
        if request.path == "/gone":
            return 404, b""
        body = b"other bytes" if request.path == "/wrong" else BYTES
        return 200, body[:100] if request.path == "/cut" else body, len(body)

    with serving(answer) as address:
        yield address, asked


def urls(*names):
    return tuple(Location(kind="url", url=name) for name in names)


def test_url_is_fetched_once_then_cached(layout, reporter, make_pin, server):
    address, asked = server
    pin = make_pin(sha256=DIGEST, locations=urls(f"{address}/good"))
    first = fetch(pin, layout, reporter)
    assert (first.kind, first.digest, first.path.read_bytes()) == ("url", DIGEST, BYTES)
    assert fetch(pin, layout, reporter) == first
    assert asked == ["/good"]
    assert sorted(path.name for path in layout.downloads.iterdir()) == [
        "tiny.tar.xz",
        "tiny.tar.xz.lock",
        "tiny.tar.xz.origin",
    ]


def test_next_location_is_tried_after_404_and_truncation(layout, reporter, make_pin, server):
    address, asked = server
    pin = make_pin(sha256=DIGEST, locations=urls(f"{address}/gone", f"{address}/cut", f"{address}/good"))
    assert fetch(pin, layout, reporter).path.read_bytes() == BYTES
    assert asked == ["/gone", "/cut", "/good"]
    assert any("tiny" in line and "404" in line for line in reporter.lines)


def test_error_lists_each_failed_location_with_its_reason(layout, reporter, make_pin, server):
    address, _ = server
    pin = make_pin(sha256=DIGEST, locations=urls(f"{address}/gone", "http://127.0.0.1:1/refused"))
    with pytest.raises(FetchError, match="pin tiny") as error:
        fetch(pin, layout, reporter)
    first, second = error.value.details
    assert first == f"{address}/gone: 404 Not Found"
    assert "refused: " in second
    assert second.count("http://") == 1, "the URL is shown once"
    assert not (layout.downloads / pin.archive).exists()


def test_failed_fetch_of_an_unverified_pin_says_so(layout, reporter, make_pin):
    with pytest.raises(FetchError) as failed:
        fetch(make_pin(unverified="the pool answered 404"), layout, reporter)
    assert failed.value.details[0] == "this pin is unverified: the pool answered 404"


def test_wrong_bytes_are_an_error_and_are_kept(layout, reporter, make_pin, server):
    address, _ = server
    pin = make_pin(sha256=DIGEST, locations=urls(f"{address}/wrong", f"{address}/gone"))
    with pytest.raises(VerifyError) as error:
        fetch(pin, layout, reporter)
    wrong = hashlib.sha256(b"other bytes").hexdigest()
    assert wrong in error.value.cause
    assert DIGEST in error.value.cause
    assert (layout.downloads / f"tiny.tar.xz.bad-{wrong[:12]}").read_bytes() == b"other bytes"
    assert not (layout.downloads / pin.archive).exists()


def test_wrong_bytes_before_a_good_location_are_a_warning(layout, reporter, make_pin, server):
    address, _ = server
    pin = make_pin(sha256=DIGEST, locations=urls(f"{address}/wrong", f"{address}/good"))
    assert fetch(pin, layout, reporter).path.read_bytes() == BYTES
    assert any(DIGEST in line for line in reporter.lines)


@pytest.mark.parametrize("damage", [BYTES[:-1], b"", b"x" + BYTES[1:]])
def test_damaged_archive_in_the_cache_is_fetched_again(layout, reporter, make_pin, server, damage):
    address, asked = server
    pin = make_pin(sha256=DIGEST, locations=urls(f"{address}/good"))
    path = fetch(pin, layout, reporter).path
    path.write_bytes(damage)
    assert fetch(pin, layout, reporter).path.read_bytes() == BYTES
    assert asked == ["/good", "/good"]
    assert any("damaged" in line for line in reporter.lines)
    assert [bad.read_bytes() for bad in layout.downloads.glob("*.bad-*")] == [damage]


def test_leftovers_of_a_killed_download_are_removed(layout, reporter, make_pin, server):
    address, _ = server
    part = layout.downloads / ".tiny.tar.xz.part"
    part.mkdir(parents=True)
    (part / "tiny.tar.xz").write_bytes(BYTES[:50])
    fetch(make_pin(sha256=DIGEST, locations=urls(f"{address}/good")), layout, reporter)
    assert not part.exists()


def test_slow_download_is_an_error(layout, reporter, make_pin, server, monkeypatch):
    monkeypatch.setattr(archive_module, "LIMIT_S", -1.0)
    address, _ = server
    with pytest.raises(FetchError) as error:
        fetch(make_pin(sha256=DIGEST, locations=urls(f"{address}/good")), layout, reporter)
    assert "longer" in error.value.details[0]


def test_local_archive_is_reported_as_not_verified(layout, reporter, make_pin, tmp_path):
    path = tmp_path / "mine.tar"
    path.write_bytes(BYTES)
    source = fetch(make_pin(), layout, reporter, local=str(path))
    assert (source.kind, source.path, source.digest) == ("local", path, DIGEST)
    assert any("not verified" in line for line in reporter.lines)


def test_missing_local_source_is_an_option_error(layout, reporter, make_pin):
    with pytest.raises(OptionError, match="does not exist"):
        fetch(make_pin(), layout, reporter, local="/does/not/exist")


@pytest.fixture
def repository(tmp_path):
    """A git repository with one commit, and the commit's id."""
    path = make_repository(tmp_path / "upstream", {"VERSION": "1.2.3\n"})
    return path, git(path, "rev-parse", "HEAD")


def test_git_commit_is_fetched_then_cached(layout, reporter, make_pin, repository):
    path, commit = repository
    location = Location(kind="git", url=path.as_uri(), commit=commit)
    pin = make_pin(archive="", sha256="", locations=(location,))
    source = fetch(pin, layout, reporter)
    assert (source.kind, source.digest) == ("git", commit)
    path.rename(path.with_name("away"))
    assert fetch(pin, layout, reporter) == source


def test_missing_git_commit_is_an_error(layout, reporter, make_pin, repository):
    location = Location(kind="git", url=repository[0].as_uri(), commit="1" * 40)
    with pytest.raises(FetchError, match="pin tiny"):
        fetch(make_pin(archive="", sha256="", locations=(location,)), layout, reporter)


def test_head_of_a_local_git_folder_is_used(layout, reporter, make_pin, repository):
    path, commit = repository
    (path / "VERSION").write_text("changed\n")
    assert fetch(make_pin(), layout, reporter, local=str(path)).digest == commit
    assert any("uncommitted changes are not part of" in line for line in reporter.lines)


def test_bad_signature_is_an_error(layout, reporter, make_pin, server):
    address, _ = server
    (layout.root / "keys.gpg").write_bytes(b"")
    location = Location(kind="url", url=f"{address}/good", signature=f"{address}/sig", keyring="keys.gpg")
    with pytest.raises(VerifyError, match="signature is not valid"):
        fetch(make_pin(sha256=DIGEST, locations=(location,)), layout, reporter)
    assert not (layout.downloads / "tiny.tar.xz").exists()
