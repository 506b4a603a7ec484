"""Threads in archives: a public-inbox repository on disk, and a server that b4 downloads from."""

import gzip
import http.server
import sys
import threading

import pytest

from harness.errors import FetchError, MissingError, OptionError
from harness.progress import Silent
from harness.series import archive, read_input
from tests.unit.programs import write_program
from tests.unit.repositories import git
from tests.unit.series.mails import DIFF, mbox, patch

COVER = patch("[PATCH 0/2] two", diff="", ident="0@example.org", message="Both.")
ONE = patch("[PATCH 1/2] util: count", ident="1@example.org", above="0@example.org")
TWO = patch(
    "[PATCH 2/2] util: more", ident="2@example.org", above="0@example.org", diff=DIFF.replace("a.c", "b.c")
).replace(b"References: <0@example.org>\n", b"")  # some mailers write none
ANSWER = patch(
    "Re: [PATCH 1/2] util: count",
    ident="3@example.org",
    above="1@example.org",
    diff="",
    message="Reviewed-by: R <r@example.org>",
    sender="R <r@example.org>",
)
OTHER = patch("[PATCH] util: else", ident="9@example.org")


def epoch(path, *mails):
    """Create the repository of an epoch. None is a mail that was removed, as public-inbox removes one."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--bare")
    parent = ()
    for mail in mails:
        name = "d" if mail is None else "m"
        blob = git(path, "hash-object", "-w", "--stdin", stdin=mail or b"")
        tree = git(path, "mktree", stdin=f"100644 blob {blob}\t{name}\n".encode())
        commit = git(path, "commit-tree", "-m", "x", *parent, tree)
        parent = ("-p", commit)
    git(path, "update-ref", "HEAD", parent[1])


@pytest.fixture
def inbox(tmp_path):
    """A public-inbox repository whose thread begins in one epoch and ends in the next."""
    folder = tmp_path / "inbox"
    epoch(folder / "git" / "0.git", OTHER, COVER, None)
    epoch(folder / "git" / "1.git", ONE, OTHER.replace(b"<9@", b"<8@"), TWO, ANSWER)
    return folder


@pytest.mark.parametrize("ident", ["0@example.org", "<2@example.org>", "3@example.org"])
def test_thread_is_found_by_each_of_its_mails(layout, inbox, ident):
    found = read_input(layout, f"{inbox}#{ident}")
    assert found.kind == "archive"
    assert found.cover is not None
    assert [mail.subject.title for mail in found.patches] == ["util: count", "util: more"]
    assert [str(trailer) for _, trailer in found.version.trailers] == ["Reviewed-by: R <r@example.org>"]
    assert found.sha256 == read_input(layout, write(inbox.parent / "box", COVER, ONE, TWO)).sha256


def test_thread_is_found_by_either_header_and_mails_are_named_by_their_id(layout, tmp_path):
    """Mailers write In-Reply-To:, References: or both; some mails have neither, and some no Message-Id:."""
    first = ONE.replace(b"In-Reply-To: <0@example.org>\n", b"")
    assert b"References: <0@example.org>" in first
    assert b"In-Reply-To: <0@example.org>" in TWO
    odd = OTHER.replace(b"Message-Id: <9@example.org>\n", b"")
    epoch(tmp_path / "9.git", COVER, odd, first)
    epoch(tmp_path / "10.git", odd, TWO)
    found = read_input(layout, f"{tmp_path}#2@example.org")
    assert [mail.subject.title for mail in found.patches] == ["util: count", "util: more"]
    assert [mail.origin for mail in found.mails] == [f"<{number}@example.org>" for number in range(3)]


def test_first_mail_is_the_one_that_is_referred_to_first(layout, tmp_path):
    """References: lists a thread from its first mail on, In-Reply-To: has the last one."""
    late = ANSWER.replace(b"References: <1@example.org>", b"References: <0@example.org> <1@example.org>")
    epoch(tmp_path / "0.git", COVER, late)
    assert read_input(layout, f"{tmp_path}#3@example.org").cover is not None


def test_mails_that_refer_to_each_other_end_the_search(layout, tmp_path):
    circle = [
        patch(f"[PATCH {at}/2] util: {at}", ident=f"{at}@example.org", above=f"{3 - at}@example.org")
        for at in (1, 2)
    ]
    epoch(tmp_path / "0.git", *circle)
    assert len(read_input(layout, f"{tmp_path}#2@example.org").patches) == 2


def test_folder_of_an_inbox_may_have_a_number_sign(layout, tmp_path):
    epoch(tmp_path / "a#b" / "0.git", OTHER)
    assert len(read_input(layout, f"{tmp_path / 'a#b'}#9@example.org").patches) == 1


def write(path, *mails):
    path.write_bytes(mbox(*mails))
    return str(path)


def test_one_epoch_and_an_inbox_of_epochs_without_git_are_read(layout, inbox):
    assert len(read_input(layout, f"{inbox / 'git' / '0.git'}#9@example.org").patches) == 1
    assert len(read_input(layout, f"{inbox / 'git'}#1@example.org").patches) == 2


def test_mail_keeps_its_bytes(layout, tmp_path):
    latin = patch(
        "[PATCH] util: gr\xfc\xdfe",
        charset="ISO-8859-1",
        message="Gr\xfc\xdfe.\n\nSigned-off-by: A <a@example.org>",
    )
    crlf = patch("[PATCH] util: lines", newline=b"\r\n", ident="5@example.org")
    epoch(tmp_path / "0.git", latin, crlf)
    assert read_input(layout, f"{tmp_path}#1@example.org").mails[0].data == latin
    assert read_input(layout, f"{tmp_path}#5@example.org").mails[0].data == crlf


def test_first_mail_that_is_not_in_the_archive_ends_the_search(layout, inbox, monkeypatch):
    epoch(inbox / "git" / "2.git", patch(ident="7@example.org", above="gone@example.org"))
    read = []
    real = archive.read_commits
    monkeypatch.setattr(
        archive, "read_commits", lambda path, commits: read.append(path) or real(path, commits)
    )
    monkeypatch.setattr(archive, "_BEFORE", 2)
    assert len(read_input(layout, f"{inbox}#7@example.org").patches) == 1
    assert [path.name for path in read] == ["2.git", "1.git", "2.git"]


def test_what_is_not_there_is_an_error(layout, inbox, tmp_path):
    with pytest.raises(OptionError, match=r"none of the 6 mails in .* has the Message-Id <x@y>"):
        read_input(layout, f"{inbox}#x@y")
    with pytest.raises(OptionError, match="is no public-inbox repository"):
        read_input(layout, f"{tmp_path}#x@y")
    git(tmp_path, "init", "--quiet", "--bare", "3.git")
    with pytest.raises(OptionError, match="git cannot read the archive: it may have no mails"):
        read_input(layout, f"{tmp_path}#x@y")
    (tmp_path / "3.git" / "HEAD").write_text("0" * 39 + "1\n", encoding="ascii")
    with pytest.raises(OptionError, match=r"git cannot read the archive: (?!it may)."):
        read_input(layout, f"{tmp_path}#x@y")


def test_damaged_archive_is_named_with_its_commit(layout, inbox, monkeypatch):
    real = archive.run_git

    def run_git(repository, *words, **settings):
        if "cat-file" in words:
            return settings["into"].write(b"1 ambiguous\n")
        return real(repository, *words, **settings)

    monkeypatch.setattr(archive, "run_git", run_git)
    commit = git(inbox / "git" / "1.git", "rev-parse", "HEAD")
    with pytest.raises(OptionError, match=f"1.git is damaged at {commit}$") as error:
        read_input(layout, f"{inbox}#1@example.org")
    assert error.value.remedy == "run git fsck in it"


def test_name_without_at_is_no_message(layout):
    for name in ("no-such-series", "a/b@c", "x.mbox", "https://example.org/x", "-"):
        assert archive.find_place(name) is None


def test_link_names_a_message(layout):
    for link in ("https://example.org/list/1@b.c/", "https://example.org/list/1%40b.c/t.mbox.gz"):
        assert archive.find_place(link) == archive.Place(message_id="1@b.c", url=link)


@pytest.fixture
def server(tmp_path):
    """A server of threads as public-inbox serves them. Yields the function from a path to its link."""
    thread = gzip.compress(mbox(COVER, ONE, TWO))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path.startswith("/list/1%40example.org/t.mbox")
            self.send_response(200 if known else 404)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(thread if known else b"")

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread_of_server = threading.Thread(target=running.serve_forever)
        thread_of_server.start()
        yield lambda path: f"http://127.0.0.1:{running.server_port}/{path}"
        running.shutdown()
        thread_of_server.join()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_b4_downloads_by_link_and_by_the_configuration_of_the_clone(layout, server, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    clone = tmp_path / "clone"
    git(clone.parent, "init", "--quiet", clone)
    assert len(read_input(layout, server("list/1@example.org/"), clone=str(clone)).patches) == 2
    git(clone, "config", "b4.midmask", server("list/%s"))
    for source in (server("list/1@example.org/"), "1@example.org", "<1@example.org>"):
        found = read_input(layout, source, clone=str(clone), reporter=Silent())
        assert [mail.subject.title for mail in found.patches] == ["util: count", "util: more"], source
    with pytest.raises(FetchError, match=r"b4 cannot download the thread of 2@example.org"):
        read_input(layout, "2@example.org", clone=str(clone))


@pytest.mark.parametrize("beside", [True, False])
def test_b4_beside_python_or_on_path_writes_the_thread(layout, tmp_path, monkeypatch, beside):
    (tmp_path / "box").write_bytes(mbox(COVER, ONE, TWO))
    mail = write_program(tmp_path / "bin" / "b4", f'echo "$@" > {tmp_path}/words; cat {tmp_path}/box')
    if beside:
        monkeypatch.setattr(sys, "executable", str(mail.with_name("python")))
    else:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        monkeypatch.setenv("PATH", f"{mail.parent}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    found = read_input(layout, "1@example.org", reporter=Silent())
    assert [mail.subject.title for mail in found.patches] == ["util: count", "util: more"]
    assert sorted(mail.origin for mail in found.mails) == [f"mail {at} of 1@example.org" for at in (1, 2, 3)]
    assert (tmp_path / "words").read_text() == "mbox --no-cache --outdir=- -- 1@example.org\n"
    assert {path.name for path in tmp_path.iterdir()} >= {"box", "words"}
    assert not {path.name for path in tmp_path.iterdir()} & {"log", "mbox"}


@pytest.mark.parametrize("script", ["exit 0", "cat BOX; exit 1"])
def test_failed_download_has_the_last_words_of_b4(layout, tmp_path, monkeypatch, script):
    (tmp_path / "box").write_bytes(mbox(OTHER))
    talk = "printf 'one\\n\\ntwo\\n \\nthree \\377\\nfour\\n' >&2"
    program = write_program(tmp_path / "b4", f"{talk}; {script.replace('BOX', str(tmp_path / 'box'))}")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(FetchError, match=r"^b4 cannot download the thread of 1@example\.org$") as error:
        read_input(layout, "1@example.org")
    command, *said = error.value.details
    assert command == f"{program} mbox --no-cache --outdir=- -- 1@example.org"
    assert said == ["two", "three \N{REPLACEMENT CHARACTER}", "four"]


def test_missing_b4_is_named(layout, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="b4 downloads threads"):
        read_input(layout, "1@example.org")
