"""A JSON file that is one object around its rows is read like an array; one that is a row itself stays one."""

import contextlib
import gzip
import json
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_tables import read, words, write

from schemas.columns.spec import Columns
from schemas.errors import CorruptFileError, UsageError
from schemas.files import declare
from schemas.reading.formats_of_config import checked_format
from schemas.reading.input_files import check_columns, column_names, count_rows
from schemas.reading.json_arrays import JsonText
from schemas.reading.json_objects import elements_of_list, read_envelope
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import CATALOGUE, ENGAGEMENTS

PRODUCTS = [{"item_id": "a", "title": "red mug"}, {"item_id": "b", "tags": [{"n": 1}, "x"]}]
KEYS = st.sampled_from(["item_id", "title", 'a"b', "{", "]"])
MEMBERS = st.lists(st.dictionaries(KEYS, st.text(max_size=5), min_size=1))
#: Nearly JSON, of one object.
BROKEN = st.binary(max_size=60) | st.text('{}[]",:\\\n 1a', max_size=40).map(str.encode)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def items_of(path: str, columns: Columns, schema: pa.Schema = CATALOGUE) -> list[Any]:
    check_columns([path], columns, schema)
    batches = [raw for part in plan_slices([path]) for raw in read_slice(part, columns, schema)]
    return [item for raw in batches for item in raw.mixed.get("item_id", raw.table["item_id"].to_pylist())]


@pytest.mark.parametrize(
    ("text", "list_path"),
    [
        (json.dumps({"products": PRODUCTS}), "products"),
        (json.dumps({"total": 2, "status": "ok", "errors": [], "products": PRODUCTS, "next": {"page": 2}}), "products"),
        (json.dumps({"data": {"products": PRODUCTS}, "code": 0, "timestamp": 1782813600}, indent=2), "data.products"),
        ("\n " + json.dumps({"a.b": [{"x": 1}], "rows": PRODUCTS, "z": [1, [2]]}) + "\n\n", "rows"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_the_rows_are_those_of_its_list(tmp_path: Path, text: str, list_path: str, packed: bool) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(gzip.compress(text.encode(), mtime=0) if packed else text.encode())
    assert read(path) == ([("a", "red mug", None), ("b", None, None)], [])
    assert column_names(str(path)) == ["item_id", "tags", "title"]
    assert count_rows([str(path)]) == 2
    assert words(path).startswith(f"c.json: one JSON object, whose '{list_path}' are the rows")


def test_objects_within_the_rows_are_reached_by_dots(tmp_path: Path) -> None:
    """As GraphQL answers."""
    edges = [{"node": {"id": f"p{n}", "title": "mug"}} for n in range(3)]
    path = write(tmp_path / "c.json", json.dumps({"data": {"products": {"edges": edges, "pageInfo": {}}}}))
    assert items_of(str(path), {"item_id": "node.id"}) == ["p0", "p1", "p2"]


def test_a_list_that_is_there_twice_is_read_twice_and_one_that_no_path_names_is_none(tmp_path: Path) -> None:
    rows = '"rows": [{"item_id": "a"}], "rows": [{"item_id": "b"}]'
    path = write(tmp_path / "c.json", f'{{"a.b": {{"rows": [{{"item_id": "z"}}]}}, {rows}}}')
    assert items_of(str(path), {}) == ["a", "b"]


@pytest.mark.parametrize(
    "row",
    [
        {"item_id": "a", "variants": [{"size": 1}]},
        {"item_id": "a", "variants": [{"size": 1, "colors": "red", "patterns": "dots"}]},
        {"item_id": "a", "title": "mug", "images": [{"src": "a.jpg", "title": "front"}]},
    ],
)
def test_one_row_with_a_list_of_objects_is_a_row(tmp_path: Path, row: Mapping[str, Any]) -> None:
    path = write(tmp_path / "c.json", json.dumps(row) + "\n")
    assert items_of(str(path), {}) == ["a"]
    assert words(path) == ""


def test_one_event_with_its_items_is_an_event(tmp_path: Path) -> None:
    """As a part of a log may have no more; its columns have names of the shop's own."""
    columns = {"timestamp": "wann", "user_id": "wer", "item_id": "artikel.sku"}
    event = {"wann": "2026-06-01", "wer": "u", "artikel": [{"sku": "1", "title": "t"}, {"sku": "2", "title": "t"}]}
    path = write(tmp_path / "log.json", json.dumps(event))
    assert items_of(str(path), columns, ENGAGEMENTS) == ["1", "2"]


def test_of_several_lists_the_call_says_which(tmp_path: Path) -> None:
    text = json.dumps({"products": PRODUCTS, "collections": [{"item_id": "c"}]})
    path = write(tmp_path / "c.json", text)
    told = (
        r"got several: 'products', 'collections'\. Say which are the rows, in the config: \[format\] list = 'products'"
    )
    for fails in (items_of, lambda path, _: column_names(path)):
        with pytest.raises(UsageError, match=told):
            fails(str(path), {})
    said = checked_format({"list": "collections"}, "catalogue", "c.toml")
    assert items_of(declare(str(path), said), {}) == ["c"]
    with pytest.raises(UsageError, match="expected a list at 'data' in the object of"):
        items_of(declare(str(path), {"list": "data"}), {})


def test_what_may_be_a_row_or_not_is_asked_about(tmp_path: Path) -> None:
    """As JSON Feed has it, which has a title and a description of its own."""
    feed = {"title": "Shop", "description": "all", "items": [{"id": "1", "title": "mug"}]}
    path = write(tmp_path / "c.json", json.dumps(feed))
    assert items_of(str(path), {"item_id": "id"}) == ["1"]
    odd = write(tmp_path / "d.json", json.dumps({"sku": 1, "dinge": [{"nr": "1"}]}))
    with pytest.raises(UsageError, match=r"with a list of objects: 'dinge'\. Say which .*list = 'dinge'"):
        items_of(str(odd), {"item_id": "nr1", "title": ""})
    assert items_of(declare(str(odd), {"list": "dinge"}), {"item_id": "nr"}) == ["1"]
    assert items_of(declare(str(path), {"list": ""}), {"item_id": "title", "title": ""}) == ["Shop"]


def test_one_object_over_several_lines_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", '{\n  "item_id": "a"\n}\n')
    with pytest.raises(UsageError, match=r"one object over several lines in .*c\.json.*jq -c"):
        items_of(str(path), {})


def test_an_object_of_objects_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """As PHP writes a table whose keys are ids."""
    path = write(tmp_path / "c.json", json.dumps({"12": {"title": "mug"}, "15": {"title": "cup"}}))
    with pytest.raises(UsageError, match=r"got one object of objects, by their ids in .*c\.json.*jq -c"):
        items_of(str(path), {})
    row = write(tmp_path / "d.json", json.dumps({"item_id": {"$oid": "a"}, "title": {"en": "mug"}}))
    assert items_of(str(row), {}) == ["a"]


@pytest.mark.parametrize("text", ['{"products": [], "count": 0}', '{"data": {"items": []}}'])
def test_a_page_without_rows_has_none(tmp_path: Path, text: str) -> None:
    assert read(write(tmp_path / "c.json", text)) == ([], [])


def test_an_answer_that_is_an_error_is_no_page(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", '{"error": "denied", "details": []}')
    with pytest.raises(UsageError, match=r"an answer that says what went wrong \('denied'\)"):
        items_of(str(path), {})


def test_a_bad_member_costs_only_itself_and_a_file_that_ends_too_early_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", '{"products": [{"item_id": "a"}, {"item_id": tru}, 7, {"item_id": "b"}]}')
    rows, broken = read(path)
    assert ([row[0] for row in rows], [number for number, _ in broken]) == (["a", "b"], [2, 3])
    for end in (', {"ite', "", "]} x"):
        with pytest.raises(CorruptFileError, match=r"c\.json"):
            read(write(tmp_path / "c.json", '{"products": [{"item_id": "a"}' + end))


@pytest.mark.medium
@given(MEMBERS, st.dictionaries(st.text(max_size=4), VALUES, max_size=4), st.integers(1, 64), st.booleans())
def test_what_is_cut_out_is_what_json_reads(tmp_path_factory, members, beside, piece_bytes, indented) -> None:
    """Wherever the file is cut into pieces."""
    document = {**beside, "rows": members, **{f"z{key}": value for key, value in beside.items()}}
    path = tmp_path_factory.mktemp("json") / "c.json"
    path.write_text(json.dumps(document, indent=1 if indented else None), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("schemas.reading.json_arrays._PIECE_BYTES", piece_bytes)
        with path.open("rb") as file:
            texts = [text for _, text in elements_of_list(file, str(path), "rows", 1 << 20)]
        with path.open("rb") as file:
            envelope = read_envelope(file, str(path), 1 << 20)
    assert [json.loads(text) for text in texts] == members
    assert envelope is not None
    assert envelope.keys == frozenset(document)
    if members:
        (rows,) = [one for one in envelope.lists if one.path == "rows"]
        assert rows.keys == frozenset(key for member in members for key in member)


@given(BROKEN)
def test_what_is_no_json_is_refused_or_left_to_the_lines(tmp_path_factory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("json") / "c.json"
    path.write_bytes(b"{" + content)
    with path.open("rb") as file:
        read_envelope(file, str(path), 1 << 20)
    with path.open("rb") as file, contextlib.suppress(CorruptFileError, UsageError):
        list(elements_of_list(file, str(path), "a", 1 << 20))


@pytest.mark.medium
def test_a_long_list_takes_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    member = json.dumps({"item_id": "a", "title": "x" * 10_000})
    path.write_text('{"meta": [' + ",".join(["1"] * 50_000) + '], "products": [' + ",".join([member] * 1_500) + "]}")
    tracemalloc.start()
    with path.open("rb") as file:
        num = sum(1 for _ in elements_of_list(file, str(path), "products", 1 << 20))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert num == 1_500
    assert peak_bytes < 8 << 20 < path.stat().st_size


def test_a_value_above_the_bound_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", '{"a": "' + "x" * (2 << 20) + '"}')
    with path.open("rb") as file:
        text = JsonText(file, str(path), 1 << 20)
        assert text.next_byte() == b"{"
        names = text.names()
        assert next(names) == "a"
        with pytest.raises(CorruptFileError, match="one of more than 1,048,576 bytes"):
            text.skip_value()


@pytest.mark.medium
def test_of_a_large_list_the_beginning_tells_that_it_holds_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"products": [' + ",".join('{"item_id": "a"}' for _ in range(100_100)) + "]}")
    assert count_rows([str(path)], {}) == 100_100
    path.write_text('{"item_id": "a", "images": [' + ",".join("{}" for _ in range(100_100)) + "]}\n")
    assert count_rows([str(path)], {}) == 1
