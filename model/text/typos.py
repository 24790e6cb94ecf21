"""Misspelt queries, as people type them: two letters swapped, one lost, one doubled.

    running shoe   ->   runnign shoe | runing shoe | running shooe | ...

Only words of MIN_LETTERS letters or more, and never their first letter, which people get right. A word that holds more
than letters (tx-20, 42cm, t-shirt) stays, and so do ideographs. A query is never made to say a word twice.
"""

import random
from collections.abc import Iterator

from model.text.tokenizer import is_cjk, normalize
from schemas.errors import UsageError
from schemas.hashing import seed_of

#: Share of an item's pseudo-queries that are misspelt.
TYPO_SHARE = 0.15
#: Shorter words are rarely misspelt, and too often made another word.
MIN_LETTERS = 4


def maybe_misspelt(query: str, share: float, seed: int, item_id: str) -> str:
    """The query with one typo in a share of the draws, else as it is, as where nothing can be misspelt. query:
    normalised (tokenizer.normalize), and so is the result. Depends on all four arguments and on nothing else.

    >>> maybe_misspelt("running shoe", 1.0, 0, "a"), maybe_misspelt("running shoe", 0.0, 0, "a")
    ('running sho', 'running shoe')
    """
    draw = random.Random(seed_of("typo", seed, item_id, query))
    if draw.random() >= share:
        return query
    words = query.split(" ")
    edits = [(place, kind) for place, word in enumerate(words) if _may_be_misspelt(word) for kind in _KINDS]
    draw.shuffle(edits)
    for place, kind in edits:
        candidates = [word for word in kind(words[place]) if word not in words and normalize(word) == word]
        if candidates:
            return " ".join([*words[:place], draw.choice(candidates), *words[place + 1 :]])
    return query


def check_typo_share(share: float) -> None:
    """Raises UsageError for what is no share."""
    if not 0 <= share <= 1:
        raise UsageError(f"expected a typo share from 0 to 1, got {share}")


def _may_be_misspelt(word: str) -> bool:
    return len(word) >= MIN_LETTERS and word.isalpha() and not any(map(is_cjk, word))


def _swapped(word: str) -> Iterator[str]:
    """Two neighbouring letters the other way round, the first one in its place."""
    for at in range(1, len(word) - 1):
        if word[at] != word[at + 1]:
            yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _lost(word: str) -> Iterator[str]:
    """One letter less, not the first."""
    for at in range(1, len(word)):
        yield word[:at] + word[at + 1 :]


def _doubled(word: str) -> Iterator[str]:
    """One letter twice, not the first."""
    for at in range(1, len(word)):
        yield word[: at + 1] + word[at:]


_KINDS = (_swapped, _lost, _doubled)
