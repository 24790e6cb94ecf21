"""Why a picture could not be fetched, and whether asking again may help. What its owner can do:
schemas.pictures.fetched."""

#: The server has judged: the same question is asked again only when it is no longer fresh.
SETTLED = frozenset(("not_found", "gone", "refused", "wrong_type", "too_many_bytes"))
#: May be otherwise a moment later.
WORTH_ANOTHER_TRY = frozenset(("busy", "server_error", "unreachable", "cut_short"))
#: The host itself does not answer.
HOST_FAULTS = frozenset(("unreachable", "timed_out", "tls_failed"))


class FetchError(Exception):
    """A picture that was not got. `reason` is a key of FETCH_REMEDIES; `expected` and `got` are short and printable.
    status: of the HTTP answer, if there was one. retry_after_s: how long the server asks to be left alone, if it does.
    """

    def __init__(
        self, reason: str, expected: str, got: str, status: int | None = None, retry_after_s: float | None = None
    ):
        super().__init__(reason, expected, got)
        self.reason, self.expected, self.got = reason, expected, got
        self.status, self.retry_after_s = status, retry_after_s
