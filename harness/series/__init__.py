"""Read a patch series from a folder, a mailbox, a git range or standard input.

``load_series`` takes the name or path of a folder of ``NNNN-*.patch`` and returns a Series of its patches in
order. It refuses irregular input. ``read_input`` also accepts mailboxes, git ranges and standard input. It
returns an Input: every mail with its faults, the versions of the thread and the trailers of the replies.
Neither uses a tree.
"""

from harness.series.input import (
    Input,
    range_series,
    read_input,
    required_input,
    series_of,
    series_sha256,
)
from harness.series.mail import Mail, read_mail
from harness.series.metadata import SeriesFile, read_series_file
from harness.series.patch import FileChange, Hunk, PatchFormatError, scan_changes
from harness.series.rewrite import mailbox_bytes
from harness.series.series import (
    Series,
    find_folder,
    load_series,
    patch_files,
    series_of_files,
    series_of_folder,
)
from harness.series.thread import find_thread
from harness.series.trailers import Trailer, parse_trailers
from harness.series.version import Version, message_id_of

__all__ = [
    "FileChange",
    "Hunk",
    "Input",
    "Mail",
    "PatchFormatError",
    "Series",
    "SeriesFile",
    "Trailer",
    "Version",
    "find_folder",
    "find_thread",
    "load_series",
    "mailbox_bytes",
    "message_id_of",
    "parse_trailers",
    "patch_files",
    "range_series",
    "read_input",
    "read_mail",
    "read_series_file",
    "required_input",
    "scan_changes",
    "series_of",
    "series_of_files",
    "series_of_folder",
    "series_sha256",
]
