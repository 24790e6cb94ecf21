"""Why a picture could not be fetched, and what its owner can do."""

#: Reason -> remedy.
REMEDIES = {
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
#: The server has judged: the same question is asked again only when it is no longer fresh.
SETTLED = frozenset(("not_found", "gone", "refused", "wrong_type", "too_many_bytes"))
#: May be otherwise a moment later.
WORTH_ANOTHER_TRY = frozenset(("busy", "server_error", "unreachable", "cut_short"))
#: The host itself does not answer.
HOST_FAULTS = frozenset(("unreachable", "timed_out", "tls_failed"))


class FetchError(Exception):
    """A picture that was not got. `reason` is a key of REMEDIES; `expected` and `got` are short and printable. status:
    of the HTTP answer, if there was one. retry_after_s: how long the server asks to be left alone, if it does."""

    def __init__(
        self, reason: str, expected: str, got: str, status: int | None = None, retry_after_s: float | None = None
    ):
        super().__init__(reason, expected, got)
        self.reason, self.expected, self.got = reason, expected, got
        self.status, self.retry_after_s = status, retry_after_s
