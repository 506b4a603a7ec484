"""Download an archive from a URL, and verify an optional signature with gpgv."""

import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from harness.errors import FetchError, OptionError, VerifyError
from harness.jsonfile import storing
from harness.process import run
from harness.progress import Reporter, Step

STALL_S = 30.0
"""Seconds without data after which a download fails."""
LIMIT_S = 3600.0
"""Total seconds that one download may take."""
SCHEMES = ("https", "http", "file", "ftp")


def download(url: str, target: Path, reporter: Reporter, *, size: int = 0) -> None:
    """Download ``url`` to ``target``, which is incomplete until this returns.

    ``size`` (bytes) is used for progress if the server does not announce a length.

    Raises OptionError (scheme), FetchError (HTTP error, no connection, too slow, truncated) and StorageError.
    """
    if url.partition(":")[0] not in SCHEMES:
        raise OptionError(f"the scheme of {url!r} is not supported", f"use one of: {' '.join(SCHEMES)}")
    name = url.rpartition("/")[2]
    with reporter.step(f"fetching {name}") as step:
        try:
            request = urllib.request.Request(url, headers={"User-Agent": "qemu-harness"})  # noqa: S310 - see SCHEMES
            with urllib.request.urlopen(request, timeout=STALL_S) as answer:  # noqa: S310 - see SCHEMES
                _copy(answer, target, size, step)
        except urllib.error.HTTPError as error:
            error.close()  # the exception is the response, with an open connection
            raise FetchError(f"{url}: {error.code} {error.reason}", "try another location") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise FetchError(f"{url}: {reason}", "check the network, or try another location") from error


def _copy(answer: http.client.HTTPResponse, target: Path, size: int, step: Step) -> None:
    announced = int(answer.headers.get("Content-Length") or 0)
    started, done = time.monotonic(), 0
    with storing(f"write {target}"):
        sink = target.open("wb")
    with sink:
        while chunk := answer.read(1 << 18):
            with storing(f"write {target}"):
                sink.write(chunk)
            done += len(chunk)
            step.update(done, announced or size or None)
            if time.monotonic() - started > LIMIT_S:
                raise FetchError(f"{target.name}: download took longer than {LIMIT_S:.0f} s", "run again")
    if announced and done != announced:
        raise FetchError(f"{target.name}: download ended after {done} of {announced} bytes", "run again")


def check_signature(archive: Path, signature: Path, keyring: Path) -> None:
    """Verify the detached ``signature`` of ``archive`` with the keys of ``keyring``. Raises VerifyError.

    gpgv(1) trusts exactly the keys of this keyring; it uses no web of trust and no key server.
    """
    if not keyring.is_file():
        raise VerifyError(f"keyring {keyring} does not exist", "specify an existing keyring in the pin")
    run(
        ["gpgv", "--keyring", keyring.absolute(), signature, archive],
        timeout_s=60,
        error=lambda ended: VerifyError(
            f"{archive.name}: the signature is not valid for any key of {keyring.name}",
            "do not use this file; fetch from another location",
            details=tuple(ended.output.splitlines()[-5:]),
        ),
    )
