"""Items that are most likely no products but the row of totals, or a line, that a report has below its table.

    SKU     Name      Price        ID     Name         Stock
    S-1     A mug      9.90        1      A mug            3
    Total             19.80        2      Grand total    120

Such a row is an item as any other, since nothing says that it is none: whoever reads a table asks. A product that is
called so (a brand of oil, say) has pictures or texts, and is not asked about. The same goes for what a report says of
itself below its table (see schemas.validation.lines_below).
"""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns.leave_out import LeaveOut
from schemas.columns.spec import Columns, column_of
from schemas.quarantine import quote
from schemas.tables import LEAVE_OUT, TEXT_FIELDS
from schemas.validation.lines_below import are_labels_below, are_lines_below

#: Counted of a bucket of items where there are any.
LIKE_TOTALS = "items_like_totals"
#: Columns that likely_totals looks at.
LOOKED_AT = ("item_id", *TEXT_FIELDS, "images")
_WORDS = (
    *(
        r"(?:grand|sub|report|overall|page|running)?[ -]?totals?",
        r"totals? general",
        "gran total",
        "sums?",
        "sum total",
    ),
    *("(?:gesamt|end|zwischen)?summen?", "gesamt", "insgesamt", "total général", "sous-total", "somme", "suma"),
    *("suma total", "totale(?: generale)?", "somma", "totaal", "eindtotaal", "total geral", "soma", "razem", "celkem"),
    *("summa", "i alt", "yhteensä", "összesen", "toplam", "genel toplam", "σύνολο", "итого", "всего", "сумма"),
    *("разом", "всього", "общий итог", "合计", "合計", "总计", "總計", "小計", "小计", "総計", "합계", "총계"),
)
_OF_WHAT = (
    r"(?:(?: of)?(?: all| number of)? (?:items?|products?|rows?|records?|articles?|artikel|skus?|товаров|строк))?"
)
_AMOUNT = r"[-*=\d.,\s+()%€$£¥₽]*"
#: RE2; the word, what is summed up, and the sum.
_TOTAL = rf"(?i)^[\s*#=—–-]*(?:{'|'.join(_WORDS)}){_OF_WHAT}(?:[\s:：=(*#]+{_AMOUNT}|[\s*#=—–-]*)$"
#: RE2; an id with a digit and without what stands between words or before a sum: no total and no label, and a line
#: below the table only of whose it is ("copyright-2026").
_CODE = r"^[\w./-]*\d[\w./-]*$"
#: Items that a message names.
_NAMED = 3


def are_called_totals(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """bool [rows]: where a text is what rows of totals are called by, the sum behind it aside.

    >>> are_called_totals(pa.array(["Grand Total:", "Итого", "Total 1,200.00", "Total oil", "Summer", None])).tolist()
    [True, True, True, False, False, False]
    """
    return _mask(pc.match_substring_regex(texts, _TOTAL))


def may_be_totals(ids: pa.Array | pa.ChunkedArray, titles: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """bool [rows]: where an item is called so that it may be one of likely_totals."""
    return are_called_totals(ids) | are_called_totals(titles) | are_lines_below(ids) | are_labels_below(ids)


def likely_totals(items: pa.Table) -> pa.Table:
    """The items (LOOKED_AT), in their order, that are called a total by their id, or by their title beside an id that
    is a number, or are a line below the table, and that have nothing else but numbers: neither a text nor a picture."""
    bare = items.filter(pa.array(_have_nothing_beside(items)))  # few: only these are asked what they are called
    bare = bare.filter(pa.array(~are_codes(bare["item_id"]) | _are_amounts(bare["item_id"])))
    if not bare.num_rows:  # the patterns take 2 ms to compile at each call, however few the rows
        return bare
    labels = are_labels_below(bare["item_id"])  # what they are of stands in the next cell
    by_id = are_called_totals(bare["item_id"]) | are_lines_below(bare["item_id"]) | labels
    by_title = are_called_totals(bare["title"]) | labels
    likely = by_id | (by_title & _are_amounts(bare["item_id"]))
    likely &= by_title | ~_mask(bare["title"].is_valid()) | _are_amounts(bare["title"])
    return bare.filter(pa.array(likely))


def _have_nothing_beside(items: pa.Table) -> np.ndarray:
    """bool [rows]: where an item has no picture, and in all texts but its title nothing but numbers."""
    bare = _mask(pc.equal(pc.list_value_length(items["images"]), 0))
    for name in TEXT_FIELDS:
        if name != "title" and items[name].null_count < len(items):
            bare &= ~_mask(items[name].is_valid()) | _are_amounts(items[name])
    return bare


def are_codes(ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """bool [rows]: where an id is so written that it is neither called a total nor a line or a label below a table."""
    return _mask(pc.match_substring_regex(ids, _CODE)) & ~_mask(pc.match_substring(ids, "copyright", ignore_case=True))


def _are_amounts(texts: pa.ChunkedArray) -> np.ndarray:
    return _mask(pc.match_substring_regex(texts, f"^{_AMOUNT}$"))


def _mask(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)


def totals_in_words(totals: pa.Table, columns: Columns) -> str:
    """For a person: which items these are, and the line that leaves them out; "" of none. columns: the mapping."""
    if not totals.num_rows:
        return ""
    texts = leave_out_of(totals, columns)
    names = list(dict.fromkeys(quote(text) for listed in texts.values() for text in listed))
    entries = ", ".join(f"{_toml(column)} = [{', '.join(map(_toml, listed))}]" for column, listed in texts.items())
    is_there = isinstance(columns.get(LEAVE_OUT.name), LeaveOut)
    write = f"add {entries} to {LEAVE_OUT.name}" if is_there else f"write {LEAVE_OUT.name} = {{{entries}}}"
    look, named = _how_they_look(totals), ", ".join(names[:_NAMED])
    return f"{look}: {named}. No product? Then {write} in [columns]; else leave it as it is"


def _how_they_look(totals: pa.Table) -> str:
    number = totals.num_rows
    num_below = int((are_lines_below(totals["item_id"]) | are_labels_below(totals["item_id"])).sum())
    kinds = ["a row of totals"] * (num_below < number) + ["a line below the table"] * (num_below > 0)
    if number == 1:
        return f"1 item looks like {kinds[0]}"
    plural = " or ".join(kinds).replace("a row", "rows").replace("a line", "lines")
    return f"{number:,} items look like {plural}"


def leave_out_of(totals: pa.Table, columns: Columns) -> dict[str, list[str]]:
    """What leaves such items out: the shop's column that calls them so -> what it calls them, each once."""
    found: dict[str, list[str]] = {}
    ids = totals["item_id"]
    by_id = are_called_totals(ids) | are_lines_below(ids) | are_labels_below(ids)
    for is_id, item_id, title in zip(by_id, *(totals[name].to_pylist() for name in ("item_id", "title")), strict=True):
        name, text = ("item_id", item_id) if is_id else ("title", title)
        column = next(iter(column_of(columns, name).source), name)
        found.setdefault(column, []).append(text.strip())
    return {column: list(dict.fromkeys(texts)) for column, texts in found.items()}


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
