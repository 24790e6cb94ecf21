"""Rows of side information: values of cells, counts that add up, the vocabulary, against a dense table by hand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.sources.side_information import (
    ATTRIBUTE_FIELDS,
    MAX_CELL_VALUES,
    AttributeVocabulary,
    SideInformationConfig,
    count_values,
    values_of,
    vocabulary_of,
)
from schemas.errors import CorruptFileError, UsageError
from schemas.tables import TEXT_FIELDS

pytestmark = pytest.mark.medium

CONFIG = SideInformationConfig(fields={"brand": "whole", "colors": "words", "product_types": "paths"}, min_items=2)
COLUMNS = {
    "brand": ["Nordvik", "NORDVIK ", "Kumo", None],
    "colors": ["navy, white", "white", None, ""],
    "product_types": ["Home > Sofa", "Home > Lamp", "Home", None],
}
cells = st.one_of(st.none(), st.text(max_size=12), st.sampled_from(["red blue", "a > b > c", "a > b | d", "  "]))


def vocabulary() -> AttributeVocabulary:
    return vocabulary_of(count_values(COLUMNS, CONFIG), CONFIG)


def test_rows_are_the_table_that_a_person_writes():
    #            nordvik other | white other | home other
    expected = [[1, 0, 1, 1, 1, 1], [1, 0, 1, 0, 1, 1], [0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]]
    rows = vocabulary().rows(COLUMNS)
    assert rows.toarray().tolist() == expected
    assert rows.dtype == np.float32
    assert rows.has_sorted_indices


def test_values_are_normalised_and_counted_once_an_item():
    assert values_of("Red red RED", "words") == ["red"]
    assert values_of("Harrow  & Finch ", "whole") == ["harrow & finch"]
    assert values_of(" > Sofa > > Corner", "paths") == ["sofa", "sofa > corner"]
    assert values_of(None, "words") == values_of("", "paths") == values_of(" \n", "whole") == []
    assert len(values_of(" ".join(f"w{n}" for n in range(1000)), "words")) == MAX_CELL_VALUES
    assert count_values(COLUMNS, CONFIG)["brand", "nordvik"] == 2


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=12), st.integers(0, 12))
def test_counts_of_parts_add_up_and_rows_do_not_depend_on_neighbours(items, cut):
    names = ("brand", "colors", "product_types")
    columns = {name: [item[place] for item in items] for place, name in enumerate(names)}
    parts = [{name: column[rows] for name, column in columns.items()} for rows in (slice(cut), slice(cut, None))]
    whole = count_values(columns, CONFIG)
    assert sum((count_values(part, CONFIG) for part in parts), start=type(whole)()) == whole
    known = vocabulary_of(whole, CONFIG)
    alone = [known.rows({name: [column[row]] for name, column in columns.items()}) for row in range(len(items))]
    assert (known.rows(columns).toarray() == np.concatenate([row.toarray() for row in alone])).all()


@given(st.lists(cells, min_size=1, max_size=12))
def test_every_value_has_a_column_and_a_cell_without_value_has_none(texts):
    config = SideInformationConfig(fields={"colors": "words"}, min_items=2, max_values=2)
    known = vocabulary_of(count_values({"colors": texts}, config), config)
    assert len(known.counts["colors"]) <= 2
    sums = known.rows({"colors": texts}).toarray().sum(axis=1)
    for total, text in zip(sums, texts, strict=True):
        values = values_of(text, "words")
        kept = sum(value in known.counts["colors"] for value in values)
        assert total == kept + (kept < len(values))


def test_the_order_of_counts_does_not_matter_and_frequent_values_come_first():
    counts = {("brand", "b"): 3, ("brand", "a"): 3, ("brand", "c"): 9, ("brand", "d"): 1}
    config = SideInformationConfig(fields={"brand": "whole"}, max_values=2)
    for order in (counts, dict(reversed(counts.items()))):
        known = vocabulary_of(order, config)
        assert list(known.counts["brand"].items()) == [("c", 9), ("a", 3)]
        assert known.other == {"brand": 4}
        assert known.other_column == {"brand": 2}


def test_a_field_that_is_asked_for_is_withheld():
    config = SideInformationConfig().without("brand")
    assert set(config.forms) == set(ATTRIBUTE_FIELDS) - {"brand"}
    with pytest.raises(UsageError, match="at least one field"):
        SideInformationConfig(fields={"brand": "whole"}).without("brand")


def test_json_keeps_everything_and_refuses_what_is_none():
    known = vocabulary()
    again = AttributeVocabulary.from_json(json.loads(json.dumps(known.to_json(), sort_keys=True)))
    assert again == known
    assert (again.rows(COLUMNS) != known.rows(COLUMNS)).nnz == 0
    for value in (
        None,
        {},
        {"fields": []},
        {"fields": [{"field": "brand", "form": "other", "values": [], "other": 0}]},
    ):
        with pytest.raises(CorruptFileError, match="expected"):
            AttributeVocabulary.from_json(value)
    twice = known.to_json()["fields"] * 2
    with pytest.raises(CorruptFileError, match="there once"):
        AttributeVocabulary.from_json({"fields": twice})


def test_wrong_calls_say_what_was_expected():
    with pytest.raises(UsageError, match="fields of title"):
        SideInformationConfig(fields={"price": "whole"})
    with pytest.raises(UsageError, match="forms of whole"):
        SideInformationConfig(fields={"brand": "letters"})
    with pytest.raises(UsageError, match="none of \\['colors'"):
        count_values({"brand": ["a"]}, CONFIG)
    with pytest.raises(UsageError, match="equal length"):
        vocabulary().rows({"brand": ["a"], "colors": [], "product_types": []})
    assert set(ATTRIBUTE_FIELDS) <= set(TEXT_FIELDS)
