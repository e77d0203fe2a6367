"""What Python raises where a zip or tar file from elsewhere is damaged."""

from __future__ import annotations

import lzma
import struct
import tarfile
import zipfile
import zlib

# RuntimeError: encrypted, or of another version of zip; ValueError: names that are no text; IndexError: without a name;
# OverflowError: arrays with sides of any length.
DAMAGED_ARCHIVE = (
    OSError,
    EOFError,
    ValueError,
    IndexError,
    RuntimeError,
    OverflowError,
    struct.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
