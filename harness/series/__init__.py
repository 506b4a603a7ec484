"""Read a patch series: a folder of ``NNNN-*.patch`` with a ``series.toml``, or whatever else holds one.

``load_series`` takes a folder's name or path; gives a Series with its patches in order, and refuses what is
odd. ``read_input`` also takes mailboxes, ranges of a clone and standard input; gives an Input with every
mail, its faults, the versions of the thread and the trailers that replies gave. Both know nothing of trees.
"""

from harness.series.input import Input, read_input, series_of, series_sha256
from harness.series.mail import Address, Fault, Mail, mailbox_bytes, read_mail
from harness.series.mbox import read_mbox
from harness.series.metadata import SeriesFile, read_series_file
from harness.series.patch import FileChange, Hunk, Patch, PatchFormatError, scan_changes
from harness.series.series import (
    Series,
    find_folder,
    load_series,
    patch_files,
    series_of_files,
    series_of_folder,
)
from harness.series.thread import Thread, Trailer, Version, find_thread, parse_trailers, reply_trailers

__all__ = [
    "Address",
    "Fault",
    "FileChange",
    "Hunk",
    "Input",
    "Mail",
    "Patch",
    "PatchFormatError",
    "Series",
    "SeriesFile",
    "Thread",
    "Trailer",
    "Version",
    "find_folder",
    "find_thread",
    "load_series",
    "mailbox_bytes",
    "parse_trailers",
    "patch_files",
    "read_input",
    "read_mail",
    "read_mbox",
    "read_series_file",
    "reply_trailers",
    "scan_changes",
    "series_of",
    "series_of_files",
    "series_of_folder",
    "series_sha256",
]
