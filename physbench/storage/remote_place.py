"""Places behind URLs: in object stores (`s3://bucket/name`) and whatever else fsspec reaches.

fsspec names the file systems and their errors in many ways; what goes wrong is said here in one or two lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from physbench.errors import DISK_FULL, PhysbenchError, UsageError

URL_START = re.compile(r"([a-z][a-z0-9+.-]*)://")
URL_FORM = re.compile(r"[a-z][a-z0-9+.-]*://[\w.,:=+%/-]+", re.ASCII)  # no user, no query: these may be secrets
VERSION_FIELDS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound")
MOST_QUOTED = 200  # characters of what a library says


@dataclass(frozen=True)
class RemotePlace:
    """A file or folder behind a URL.

    Attributes:
        url: As the user gave it, without a slash at the end.
        fs: The file system of fsspec.
        path: In it.
    """

    url: str
    fs: Any
    path: str


def is_url(text: object) -> bool:
    """Whether this is a URL and no path."""
    return isinstance(text, str) and URL_START.match(text) is not None


def remote_place(url: str) -> RemotePlace:
    """What a URL names. Nothing is asked for yet.

    Raises:
        UsageError: It is no URL that could be kept in a manifest, or nothing is installed that reads it.
    """
    url = url.rstrip("/")
    if not URL_FORM.fullmatch(url) or "::" in url:  # fsspec would take several file systems, one in another
        scheme = url.partition(":")[0][:MOST_QUOTED]
        raise UsageError(
            f"{scheme}://...: expected a URL of ASCII letters, digits and . , : = + % / - _ such as s3://BUCKET/NAME. "
            "Secrets and settings are no part of it: they stand in the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE)."
        )
    if {".", ".."} & set(url.split("/")):
        raise UsageError(f"{url}: expected a URL without parts '.' and '..'. Name the folder or the file itself.")
    from fsspec.core import url_to_fs

    with remote_errors(url):
        fs, path = url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)
    fs.auto_mkdir = True  # of a file system on this machine; object stores have no folders
    return RemotePlace(url, fs, str(path).rstrip("/"))


def version_of(info: Mapping[str, Any]) -> str:
    """What changes with a file's content, from what fsspec says of it: its size, and its ETag or else its time."""
    mark = next((str(info[name]) for name in VERSION_FIELDS if info.get(name)), "")
    return f"{info.get('size')} {mark}"


@contextmanager
def remote_errors(url: str) -> Iterator[None]:
    """Say in one or two lines what goes wrong in here with a place behind a URL.

    Raises:
        UsageError: The URL, what is installed or the credentials do not fit.
        PhysbenchError: Anything else, such as a network that is gone.
    """
    try:
        yield
    except PhysbenchError:
        raise
    except Exception as error:  # each file system has errors of its own, and not all of them are OSErrors
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        raise _explained_error(url, error) from error


def _explained_error(url: str, error: Exception) -> PhysbenchError:
    scheme, said = url.partition("://")[0], _first_line(error)
    if isinstance(error, ImportError):
        remedy = "pip install 'physbench[remote]'" if scheme.startswith("s3") else "Install what is named there."
        return UsageError(f"{url}: what reads {scheme}:// is not installed ({said}). {remedy}")
    if isinstance(error, ValueError) and "rotocol not known" in said:
        return UsageError(
            f"{url}: there is no protocol {scheme}://. Expected such as s3://BUCKET/NAME or file:///PATH."
        )
    if type(error).__name__ in NO_CREDENTIALS:
        return UsageError(
            f"{url}: there are no credentials for it here ({said}). Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "or AWS_PROFILE."
        )
    if isinstance(error, PermissionError):
        return UsageError(f"{url}: access is denied ({said}). Use credentials that may read and write there.")
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{url}: there is no such place ({said}). Name one that exists; a bucket is not created.")
    return PhysbenchError(
        f"{url}: does not answer as it should ({said}). Is the network up, and AWS_ENDPOINT_URL right if it is set?"
    )


def _first_line(error: Exception) -> str:
    """The first line of an error without queries of URLs, in which signatures may stand."""
    line = next(iter(str(error).splitlines()), "") or type(error).__name__
    return re.sub(r"\?[^\s\"']*", "?...", line)[:MOST_QUOTED]
