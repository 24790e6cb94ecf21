"""Pictures that a catalogue names by URL: one spelling of each URL, and the file under the image root that holds it."""

import hashlib
import re
from urllib.parse import quote, urlsplit, urlunsplit

#: Below the image root: the pictures that were fetched, and what is known of them.
FETCHED_FOLDER = "fetched"
DEFAULT_PORTS = {"http": 80, "https": 443}
_HTTP = re.compile(r"\s*https?://", re.IGNORECASE | re.ASCII)
#: What stays as it is in a path or a query: what RFC 3986 allows there, and the % of what is escaped already.
_SAFE = "%/:@!$&'()*+,;=~-._?"
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def is_picture_url(uri: str) -> bool:
    """Whether a catalogue's picture is an http(s) URL, good or not, also with blanks around it; others are paths, or of
    no scheme that is fetched.

    >>> is_picture_url("HTTPS://shop.example/a.jpg"), is_picture_url("a/http.jpg"), is_picture_url("ftp://x/a.jpg")
    (True, False, False)
    """
    return _HTTP.match(uri) is not None


def canonical_url(uri: str) -> str | None:
    """The one spelling of an http(s) URL that all equal ones have; None if nothing can be asked for it: no host, a
    number that is no port, a user name or password.

    Scheme and host in lower case, the host in its ASCII form, no default port, blanks and other letters escaped, no
    fragment.

    >>> canonical_url("HTTP://Shop.example:80/a b.jpg?v=1#zoom")
    'http://shop.example/a%20b.jpg?v=1'
    >>> canonical_url("https://user:secret@shop.example/a.jpg")
    """
    try:
        parts = urlsplit(uri.strip())
        host, port = parts.hostname, parts.port
        if parts.scheme not in DEFAULT_PORTS or not host or "@" in parts.netloc:
            return None
        host = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii").lower()
        path, query = (quote(_BARE_PERCENT.sub("%25", text), safe=_SAFE) for text in (parts.path or "/", parts.query))
    except ValueError:  # UnicodeError too: text that no URL encodes, a label that no host has
        return None
    if port == 0 or not re.fullmatch(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]", host):
        return None
    shown_port = "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return urlunsplit((parts.scheme, host + shown_port, path, query, ""))


def fetched_path(uri: str) -> str | None:
    """Where the picture of an http(s) URL lies, relative to the image root, once it is fetched; None for a URL of which
    there is none. The name says nothing of the format: the content does.

    >>> fetched_path("https://shop.example/a.jpg")
    'fetched/d5/d5391c65ed48988d9f52d12941cf4a5f12ea00d90fd28f6d641d3102cc7daded'
    """
    url = canonical_url(uri)
    if url is None:
        return None
    digest = hashlib.sha256(url.encode()).hexdigest()
    return f"{FETCHED_FOLDER}/{digest[:2]}/{digest}"
