"""Items of a log that are texts which list several, though the mapping does not say so: a catalogue tells."""

from collections.abc import Collection, Iterator, Mapping

from pipelines.console.terminal import shortened
from schemas.cells.list_texts import is_printed_object
from schemas.events.item_lists import items_of_text
from schemas.quarantine import quote

#: What may separate items in a text.
SEPARATORS = (",", ";", "|")


def listed_in_words(items: Mapping[str, int], ids: Collection[str]) -> str:
    """What to do about items of a log that are unknown as a whole, and whose parts are items; "" without any.

    items: id in the log -> its rows; ids: of the catalogue.

    >>> listed_in_words({"[{id=1, n=2}]": 3}, {"1"}).partition(":")[0]
    "3 rows have objects in one text that is no JSON, such as '[{id=1, n=2}]'"
    >>> listed_in_words({"1,2": 3, "9": 1}, {"1", "2"}).partition(":")[0]
    "3 rows name several items in one text, such as '1,2'"
    """
    if objects := {text: count for text, count in items.items() if is_printed_object(text) and text not in ids}:
        text = max(objects, key=lambda text: objects[text])
        return (
            f"{sum(objects.values()):,} rows have objects in one text that is no JSON, such as "
            f"{shortened(quote(text), 60)}: which item each is cannot be told. Write the column as JSON in the export "
            "(in Athena and Trino json_format(cast(items as json)), in Spark to_json), and lead item_id to "
            "the id in it with a name with dots, such as items.product_id"
        )
    found = {text: separator for text in items if (separator := _separator_of(text, ids))}
    if not found:
        return ""
    text = max(found, key=lambda text: items[text])
    return (
        f"{sum(items[text] for text in found):,} rows name several items in one text, such as "
        f"{shortened(quote(text), 60)}: say what separates them, and each is a row, in the config: "
        f'[columns.engagements] item_id = {{source = "your column", separator = "{found[text]}"}}'
    )


def separators_in(items: Collection[str]) -> list[str]:
    """Those of SEPARATORS that are in texts of a log's items; the first, too, if there are lists in brackets alone."""
    found = [separator for separator in SEPARATORS if any(separator in text for text in items)]
    if not found and any(text.lstrip().startswith(("[", "{")) for text in items):
        return [SEPARATORS[0]]
    return found


def _separator_of(text: str, ids: Collection[str]) -> str | None:
    return None if text in ids else next(_splitting(text, ids), None)


def _splitting(text: str, ids: Collection[str]) -> Iterator[str]:
    """The separators that make items of the catalogue of the whole text."""
    for separator in SEPARATORS:
        parts = items_of_text(text, separator)
        if parts != [text] and all(part in ids for part in parts):
            yield separator
