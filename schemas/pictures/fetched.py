"""What is known of the pictures that were fetched, and of those that could not be: a journal for each host.

    <image root>/fetched/hosts/<sha256 of the host>.jsonl   CacheRows, a line each; the last one of a URL counts

pipelines.fetch_images writes it; whoever looks for a picture reads there why it is not.
"""

import functools
import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from schemas import storage
from schemas.pictures.urls import FETCHED_FOLDER, canonical_url, fetched_path

_HOSTS = "hosts"
#: Why a picture could not be fetched -> what its owner can do.
FETCH_REMEDIES = {
    "bad_url": "list a whole http(s) URL, without user name and password",
    "bad_redirect": "list the URL that the picture is at: its server redirects to a place that is not asked",
    "too_many_redirects": "list the URL that the picture is at",
    "private_address": "list a public URL, or give --allow-private if the pictures lie on your own network",
    "port_refused": "serve pictures on port 80 or 443, or give --allow-private if they lie on your own network",
    "robots_disallowed": "let the site's robots.txt allow it, or give --ignore-robots if the site is yours",
    "robots_unreadable": "let the site show its robots.txt, or give --ignore-robots if the site is yours",
    "not_found": "put the picture back, or drop its URL from the catalogue",
    "gone": "drop the URL from the catalogue",
    "refused": "let the server answer without a login, a cookie or a page to click",
    "busy": "call again later, or with a lower --max-requests-per-host-s",
    "server_error": "call again later; if it stays, mend the server",
    "bad_answer": "mend the server: it does not speak HTTP",
    "unreachable": "check the host's name and that it answers from here",
    "host_given_up": "check that the host answers from here, and call again",
    "tls_failed": "renew the server's certificate",
    "timed_out": "call again later, or with a larger --timeout-s",
    "cut_short": "call again; if it stays, upload the picture again",
    "too_many_bytes": "store a smaller picture, or call with a larger --max-picture-bytes and --refresh-days=0",
    "wrong_type": "list the URL of a picture, not of a page",
}
#: Journals that are kept as far as they tell of what was not fetched.
_JOURNALS_KEPT = 64
_lock = threading.Lock()


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheRow:
    """What is known of a URL. asked_at: Unix seconds. status: of the last HTTP answer, null if there was none. sha256,
    bytes, etag, last_modified: of the picture that lies at `path` below the image root, null without one. reason,
    expected, got: why the last question failed, null if it did not; an earlier picture stays."""

    url: str
    path: str
    asked_at: float
    status: int | None = None
    sha256: str | None = None
    bytes: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    reason: str | None = None
    expected: str | None = None
    got: str | None = None


#: field -> the types that it may have.
_TYPES = {
    field.name: {"url": str, "path": str, "asked_at": int | float}.get(
        field.name, int | None if field.name in ("status", "bytes") else str | None
    )
    for field in fields(CacheRow)
}


def host_key(host: str) -> str:
    """A name for the files of a host."""
    return hashlib.sha256(host.encode()).hexdigest()[:32]


def journal_path(image_root: str | os.PathLike[str], host: str) -> Path:
    """The journal of a host, with its port if that is another than its scheme's."""
    return Path(image_root, FETCHED_FOLDER, _HOSTS, f"{host_key(host)}.jsonl")


def read_journal(path: str | os.PathLike[str]) -> dict[str, CacheRow]:
    """URL -> the last row of it; none of a journal that is not there. Lines that are none tell nothing."""
    rows: dict[str, CacheRow] = {}
    with suppress(FileNotFoundError), storage.open_file(path, "rb") as file:
        for line in file:
            row = _parsed(line)
            if row is not None:
                rows[row.url] = row
    return rows


def why_not_fetched(image_root: str | os.PathLike[str], uri: str) -> CacheRow | None:
    """The row of an http(s) URL whose picture could not be fetched when it was last asked for; None of any other."""
    url = canonical_url(uri)
    if url is None:
        return None
    path = journal_path(image_root, urlsplit(url).netloc)
    try:
        status = storage.status(path)
    except OSError:
        return None
    with _lock:
        return _failed_rows(str(path), status.st_mtime_ns, status.st_size).get(url)


@functools.lru_cache(_JOURNALS_KEPT)
def _failed_rows(path: str, mtime_ns: int, num_bytes: int) -> dict[str, CacheRow]:
    return {url: row for url, row in read_journal(path).items() if row.reason in FETCH_REMEDIES and row.sha256 is None}


def _parsed(line: bytes) -> CacheRow | None:
    """The row of a line; None for anything else, a row of another place than its URL's too."""
    try:
        values = json.loads(line)
        row = CacheRow(**values)
    except (ValueError, TypeError, RecursionError):
        return None
    fits = all(isinstance(getattr(row, name), kind) for name, kind in _TYPES.items())
    return row if fits and row.path == fetched_path(row.url) else None
