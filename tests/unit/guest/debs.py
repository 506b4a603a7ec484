"""Create Debian packages: an ar archive of two tar archives (deb(5))."""

import io
import tarfile
from pathlib import Path


def make_deb(path: Path, *, depends: str = "", files: dict[str, bytes] | None = None) -> Path:
    control = f"Package: {path.stem}\nVersion: 1\n" + (f"Depends: {depends}\n" if depends else "")
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"./control": control.encode()}),
        "data.tar.gz": _tar(files or {}),
    }
    data = b"!<arch>\n"
    for name, content in parts.items():
        data += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        data += content + b"\n" * (len(content) % 2)
    path.write_bytes(data)
    return path


def _tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            elif content.startswith(b"-> "):
                info.type, info.linkname = tarfile.SYMTYPE, content[3:].decode()
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()
