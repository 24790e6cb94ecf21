"""JSON whose rows are not an object a line: what is read as it is, and what is named with a line that makes rows."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from text_tables import words, write

from schemas.errors import CorruptFileError, UsageError
from schemas.files import declare
from schemas.reading.input_files import check_columns, count_rows
from schemas.reading.json_rows import json_rows
from schemas.reading.rows import plan_slices, read_slice

ROWS = [{"item_id": "A-1", "title": "Mug {red}"}, {"item_id": "A-2", "title": 'Cup "blue"'}]
COLUMNS = {
    "names and lists": {"columns": [*ROWS[0]], "index": [0, 1], "data": [[*row.values()] for row in ROWS]},
    "meta and lists": {
        "meta": [{"name": name, "type": "String"} for name in ROWS[0]],
        "data": [[*row.values()] for row in ROWS],
        "rows": 2,
    },
    "lists by names": {name: [row[name] for row in ROWS] for name in ROWS[0]},
    "numbers by names": {name: {str(n): row[name] for n, row in enumerate(ROWS)} for name in ROWS[0]},
    "names first": [[*ROWS[0]], *([*row.values()] for row in ROWS)],
    "by ids": {row["item_id"]: {"title": row["title"]} for row in ROWS},
    "by ids in an object": {"products": {row["item_id"]: {"title": row["title"]} for row in ROWS}, "count": 2},
    "texts": [json.dumps(row) for row in ROWS],
}


def items_of(path: Path | str) -> list[tuple[str, str]]:
    """(item_id, title) of the rows, as the jobs read them."""
    path = path if isinstance(path, str) else str(path)
    check_columns([path], {})
    found = []
    for file_slice in plan_slices([path]):
        for raw in read_slice(file_slice, {}):
            found += zip(raw.table["item_id"].to_pylist(), raw.table["title"].to_pylist(), strict=True)
    return found


ITEMS = [(row["item_id"], row["title"]) for row in ROWS]


@pytest.mark.parametrize("text", ["\n".join(json.dumps(row, indent=2) for row in ROWS), "".join(map(json.dumps, ROWS))])
@pytest.mark.parametrize("end", ["", "\n"])
def test_objects_one_behind_the_other_are_rows(tmp_path: Path, text: str, end: str) -> None:
    path = write(tmp_path / "c.json", text + end)
    assert items_of(path) == ITEMS
    assert count_rows([str(path)]) == 2
    assert words(path) == "c.json: JSON objects one behind the other"


def test_a_comma_may_stand_between_objects(tmp_path: Path) -> None:
    text = ",\n".join(json.dumps(row, indent=1) for row in ROWS)
    assert items_of(write(tmp_path / "c.json", text)) == ITEMS


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.medium
@given(
    st.lists(VALUES, min_size=2, max_size=6), st.sampled_from([None, 1, "\t"]), st.sampled_from(["", " ", "\n", "\r\n"])
)
@example(["}{", '"'], None, "")
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_however_objects_are_run_on_each_is_a_row(
    tmp_path: Path, values: list[Any], indent: int | str | None, between: str
) -> None:
    """Against json, which has written them."""
    rows = [{"item_id": str(number), "value": value} for number, value in enumerate(values)]
    path = write(tmp_path / "c.json", between.join(json.dumps(row, indent=indent) for row in rows))
    found = list(json_rows(str(path), {"id": "item_id", "text": "value"}))
    assert [(row.values or {})["id"] for row in found] == [row["item_id"] for row in rows]
    assert all(row.error is None for row in found)


def test_a_broken_object_among_them_costs_only_itself_and_an_end_too_early_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", '{"item_id": "a"}{"item_id": tru}{"item_id": "b"}')
    rows = list(json_rows(str(path), {"item_id": "item_id"}))
    assert [(row.number, row.values and row.values["item_id"]) for row in rows] == [(1, "a"), (2, None), (3, "b")]
    for end in ('{"item', "x"):
        with pytest.raises(CorruptFileError, match=r"d\.json"):
            list(
                json_rows(str(write(tmp_path / "d.json", '{"item_id": "a"}{"item_id": "b"}' + end)), {"id": "item_id"})
            )


def test_lines_stay_lines_whose_errors_are_of_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", '{"item_id": "a"}\n{"item_id": \n{"item_id": "b"}\n')
    assert [row.number for row in json_rows(str(path), {"id": "item_id"}) if row.error is None] == [1, 3]


@pytest.mark.parametrize("shape", COLUMNS)
@pytest.mark.parametrize("indent", [None, 1])
def test_the_line_that_is_told_makes_rows_of_another_shape(tmp_path: Path, shape: str, indent: int | None) -> None:
    path = write(tmp_path / "c.json", json.dumps(COLUMNS[shape], indent=indent))
    with pytest.raises(UsageError, match=r"got .* in .*c\.json\. This makes rows of it: ") as told:
        items_of(path)
    assert _made(tmp_path, str(told.value)) == ITEMS


@pytest.mark.parametrize("before", ["var products = ", "export default ", "window.shop.items=", "callback("])
def test_the_line_that_is_told_takes_javascript_away(tmp_path: Path, before: str) -> None:
    path = write(tmp_path / "c.json", before + json.dumps(ROWS, indent=1) + (");\n" if "(" in before else ";\n"))
    with pytest.raises(UsageError, match="got JavaScript around it") as told:
        items_of(path)
    assert _made(tmp_path, str(told.value)) == ITEMS


def test_the_line_that_is_told_makes_rows_of_elasticsearchs_requests(tmp_path: Path) -> None:
    lines = [
        *({"index": {"_index": "p", "_id": "A-1"}}, {"title": ROWS[0]["title"]}, {"delete": {"_id": "A-9"}}),
        *({"update": {"_id": "A-2"}}, {"doc": {"title": ROWS[1]["title"]}}),
    ]
    path = write(tmp_path / "c.ndjson", "".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(UsageError, match="got lines of Elasticsearch's _bulk") as told:
        items_of(path)
    assert _made(tmp_path, str(told.value)) == ITEMS


def _made(tmp_path: Path, message: str) -> list[tuple[str, str]]:
    """The rows that the line in a message makes, called by a shell."""
    call = message.partition("This makes rows of it: ")[2]
    try:
        subprocess.run(["bash", "-ec", call], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    except subprocess.CalledProcessError as error:
        if b"not found" in error.stderr:
            pytest.skip("needs jq")
        raise
    return items_of(tmp_path / call.rpartition("> ")[2])


@pytest.mark.parametrize("beside", [{"meta": [{"name": "item_id", "type": "String"}]}, {"links": [{"rel": "self"}]}])
def test_a_list_of_columns_or_links_beside_the_rows_is_none(tmp_path: Path, beside: dict[str, Any]) -> None:
    """As ClickHouse's JSON and answers of interfaces have it."""
    path = write(tmp_path / "c.json", json.dumps({**beside, "data": ROWS, "rows": 2}))
    assert items_of(path) == ITEMS


def test_of_several_lists_the_likeliest_is_offered(tmp_path: Path) -> None:
    text = json.dumps({"shops": [{"name": "a"}], "goods": ROWS})
    path = write(tmp_path / "c.json", text)
    with pytest.raises(UsageError, match=r"got several: 'shops', 'goods'\. Say which .* list = 'goods'"):
        items_of(path)
    assert items_of(declare(str(tmp_path / "c.json"), {"list": "goods"})) == ITEMS


def test_values_with_the_signs_of_their_types_are_plain(tmp_path: Path) -> None:
    """As DynamoDB exports a table; the sizes of a product that has other values are none."""
    typed = [{"Item": {name: {"S": text} for name, text in row.items()}} for row in ROWS]
    for rows in (typed, [row["Item"] for row in typed]):
        path = write(tmp_path / "c.json", "".join(f"{json.dumps(row)}\n" for row in rows))
        assert items_of(path) == ITEMS
    path = write(tmp_path / "d.json", json.dumps({"item_id": "A", "stock": {"S": "sold out"}}))
    (row,) = json_rows(str(path), {"id": "item_id", "stock": "stock"})
    assert row.values == {"id": "A", "stock": {"S": "sold out"}}
