"""Which of a file's columns is meant where ours is missing: one of a usual name, or one with nearly our name."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

from schemas.columns.names import bare_name, plain_name, singular_name
from schemas.columns.picture_names import is_called_a_picture, picture_column_of
from schemas.columns.usual_names import NONE_OF_OURS, OF_CATALOGUE, OF_LOG
from schemas.tables import TEXT_FIELDS

#: Columns of ours that are always asked for by their usual names: a log is read without them, as if they had one value.
_ALWAYS_ASKED = ("surface", "action")
#: Columns of which a table has to have one, or nothing of their kind is read: then they are asked for likewise.
_ONE_OF = (frozenset(TEXT_FIELDS), frozenset({"user_id", "session_id"}))
#: A feed's `link` is the address of a page, no text.
_NEVER_MEANT = {"links": ("link",)}
#: How like ours, from 0 to 1, the name of a column is that is taken for a slip.
_NEAR = 0.88


def called(usual: Iterable[str], given: Sequence[str]) -> str | None:
    """The one of a file's columns that has the likeliest of some usual names, also in the plural or with something in
    brackets behind it; None if none has any.

    >>> called(OF_CATALOGUE["title"], ["SKU", "Name", "Product name"]), called(["desc"], ["title"])
    ('Product name', None)
    """
    by_name: dict[str, str] = {}
    for form in (plain_name, bare_name):
        for name in given:
            by_name.setdefault(singular_name(form(name)), name)
    return next((by_name[plain] for name in usual if (plain := singular_name(plain_name(name))) in by_name), None)


def meant_columns(missing: Sequence[str], others: Sequence[str], read: Collection[str]) -> dict[str, str]:
    """Of our columns that a table lacks, and that its mapping does not name, those that may be there by another name ->
    that one of its `others`, which nobody reads. read: our columns that are there.

    >>> meant_columns(["title", "brand"], ["Product name", "maker"], ["item_id"])
    {'title': 'Product name'}
    >>> meant_columns(["title"], ["Product name", "maker"], ["item_id", "brand"])
    {}
    """
    asked = set(_ALWAYS_ASKED).union(*(kind for kind in _ONE_OF if kind.isdisjoint(read)))
    usual = {name: {**OF_CATALOGUE, **OF_LOG}.get(name, ()) if name in asked else () for name in missing}
    found = {name: meant_name(name, others) or called(usual[name], that_may_be(name, others)) for name in missing}
    return {name: theirs for name, theirs in found.items() if theirs is not None}


def meant_name(ours: str, others: Sequence[str]) -> str | None:
    """The one of the file's other columns that is ours but for case, signs, plural or a slip; of pictures also one that
    is called as only pictures are.

    >>> meant_name("title", ["SKU", "Title"]), meant_name("images", ["image_link"]), meant_name("links", ["likes"])
    ('Title', 'image_link', None)
    """
    plain = {singular_name(plain_name(name)): name for name in that_may_be(ours, others)}
    if ours in _ALWAYS_ASKED:
        return plain.get(singular_name(ours))
    near = difflib.get_close_matches(singular_name(plain_name(ours)), plain, n=1, cutoff=_NEAR)
    if near:
        return plain[near[0]]
    return picture_column_of(plain) if ours == "images" else None


def that_may_be(ours: str, others: Iterable[str]) -> list[str]:
    """The columns of a file without those that are never our column, though they are called much like it.

    >>> that_may_be("links", ["link", "likes"])
    ['likes']
    """
    return [name for name in others if name not in _NEVER_MEANT.get(ours, ())]


def means_another(ours: str, name: str, usual: Mapping[str, Sequence[str]]) -> bool:
    """Whether a file's column is usually something else than ours. usual: OF_CATALOGUE or OF_LOG.

    >>> means_another("description", "Condition", OF_CATALOGUE), means_another("title", "Name", OF_CATALOGUE)
    (True, False)
    """
    plain = singular_name(plain_name(name))
    if any(singular_name(plain_name(own)) == plain for own in (ours, *usual.get(ours, ()))):
        return False
    others = chain(NONE_OF_OURS, usual, *usual.values())
    return any(singular_name(plain_name(other)) == plain for other in others) or (
        ours != "images" and is_called_a_picture(name)
    )
