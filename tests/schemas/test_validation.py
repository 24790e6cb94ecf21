"""Each rule with its reason; vectorised and value-by-value coercion agree."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.column_spec import Column
from schemas.duplicates import resolve_duplicates
from schemas.errors import CorruptFileError
from schemas.quarantine import rejections_to_table
from schemas.raw_rows import FileSlice, RawRows
from schemas.reading import plan_slices, read_slice
from schemas.tables import CATALOGUE, ENGAGEMENTS, JUDGEMENTS, TIMESTAMP
from schemas.validation import (
    REMEDIES,
    VALIDATED_CATALOGUE,
    Limits,
    validate_catalogue,
    validate_engagements,
    validate_judgements,
)

SLICE = FileSlice(3, "/shop/c.parquet")


def raw_rows(schema: pa.Schema, **columns: Any) -> RawRows:
    """A batch; Arrow arrays as given, lists as mixed Python values, other columns absent."""
    count = len(next(iter(columns.values())))
    arrays = [columns[n] if isinstance(columns.get(n), pa.Array) else pa.nulls(count) for n in schema.names]
    mixed = {name: values for name, values in columns.items() if isinstance(values, list)}
    return RawRows(1, pa.Table.from_arrays(arrays, schema.names), [], np.arange(1, count + 1), mixed)


def ids(count: int) -> pa.Array:
    return pa.array([f"i{number}" for number in range(count)])


def outcome(raw: RawRows, validate: Any = validate_catalogue) -> tuple[pa.Table, dict[int, str], Any]:
    good, rejections, counts = validate(raw, SLICE, Limits())
    assert rejections_to_table(rejections).num_rows == len(rejections)  # every rejection can be written
    assert counts["rows_read"] == good.num_rows + len(rejections)
    return good, {int(entry.where.split(":")[1]): entry.reason for entry in rejections}, counts


def test_id_rules() -> None:
    values = [
        "ok",
        None,
        "",
        " \t\u3000",
        "ü" * 256,
        "ü" * 257,
        7,
        2**70,
        True,
        1.5,
        {"id": 1},
        ["x"],
        "\udcff",
        "a\n\0",
    ]
    good, reasons, _ = outcome(raw_rows(CATALOGUE, item_id=values))
    assert good["item_id"].to_pylist() == ["ok", "ü" * 256, "7", str(2**70), "a\n\0"]  # 1.5 is no id
    assert reasons == {
        2: "null_id",
        3: "empty_id",
        4: "empty_id",
        6: "oversized_id",
        9: "wrong_type",
        10: "wrong_type",
        11: "wrong_type",
        12: "wrong_type",
        13: "bad_utf8",
    }
    assert good.schema == VALIDATED_CATALOGUE
    assert good["row_number"].to_pylist() == [1, 5, 7, 8, 14]
    assert set(good["file_number"].to_pylist()) == {3}


def test_every_reason_has_a_remedy_and_rejections_say_where() -> None:
    _, rejections, _ = validate_catalogue(raw_rows(CATALOGUE, item_id=["x" * 600, 1.5]), SLICE)
    first, second = rejections
    assert (first.where, first.item_id, first.remedy) == ("c.parquet:1", None, REMEDIES["oversized_id"])
    assert "512" in first.expected
    assert len(first.got) <= 200
    assert (second.item_id, second.reason, second.got) == (None, "wrong_type", "1.5")
    assert "item_id" in second.expected


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()])
def test_bad_utf8_costs_an_id_its_row_and_a_text_only_its_cell(kind: pa.DataType) -> None:
    data = pa.array([b"good", b"\xff\xfe", b"fine"])
    wide = data.cast(pa.large_binary()).view(pa.large_string()) if kind == pa.large_string() else data
    column = wide if kind in (pa.binary(), pa.large_string()) else data.view(pa.string()).cast(kind)
    good, reasons, _ = outcome(raw_rows(CATALOGUE, item_id=column))
    assert (good["item_id"].to_pylist(), reasons) == (["good", "fine"], {2: "bad_utf8"})
    good, reasons, counts = outcome(raw_rows(CATALOGUE, item_id=ids(3), title=column))
    assert (good["title"].to_pylist(), reasons) == (["good", None, "fine"], {})
    assert counts["cells_unreadable:title"] == 1


def test_bad_utf8_inside_lists_and_dictionaries() -> None:
    strings = pa.array([b"good", b"\xff"]).view(pa.string())
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), strings)
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), strings)
    for name, column in (("images", lists), ("colors", lists), ("brand", words)):
        good, reasons, counts = outcome(raw_rows(CATALOGUE, item_id=ids(2), **{name: column}))
        assert good[name].to_pylist() == ([["good"], []] if name == "images" else ["good", None])
        assert (reasons, counts[f"cells_unreadable:{name}"]) == ({}, 1)


def test_text_of_other_types() -> None:
    given_colors = [["red", None, "blue"], [], None, "", "plain", 5, ["red", {"a": 1}], {"list": [{"element": "x"}]}]
    good, reasons, counts = outcome(raw_rows(CATALOGUE, item_id=ids(8), colors=given_colors))
    assert good["colors"].to_pylist() == ["red blue", None, None, None, "plain", "5", "red", "x"]
    assert (reasons, counts["cells_unreadable:colors"]) == ({}, 1)
    numbers = pa.array([1, None, 3], pa.int64())
    good, _, _ = outcome(raw_rows(CATALOGUE, item_id=numbers.fill_null(2), size=numbers))
    assert (good["item_id"].to_pylist(), good["size"].to_pylist()) == (["1", "2", "3"], ["1", None, "3"])


def test_over_long_text_is_cut_at_code_points_and_counted() -> None:
    texts = pa.array(["é" * 10_001, "é" * 10_000, None])
    good, _, counts = outcome(raw_rows(CATALOGUE, item_id=ids(3), title=texts, description=texts))
    assert [len(text) for text in good["title"].to_pylist()[:2]] == [10_000, 10_000]
    assert good["texts_truncated"].to_pylist() == [2, 0, 0]
    assert counts["texts_truncated"] == 2


@pytest.mark.parametrize(
    "text",
    [
        "<style>" + ".a { color: red }\n" * 700 + "</style><p>A <b>tall</b> lamp</p>",
        "".join(f'<div style="{"margin: 0 auto;" * 9}">{word}</div>' for word in ["A", "tall", *[""] * 90, "lamp"]),
        f'<img src="data:image/png;base64,{"A" * 12_000}"><p>A tall lamp',
        f'<img src="data:image/png;base64,{"A" * 900_000}">A tall lamp',
    ],
    ids=["style", "styles", "data URI", "long data URI"],
)
def test_text_behind_long_markup_is_kept(text: str) -> None:
    good, _, counts = outcome(raw_rows(CATALOGUE, item_id=ids(2), title=["Lamp"] * 2, description=[text, None]))
    assert good["description"].to_pylist() == ["A tall lamp", None]
    assert counts["texts_truncated"] == 0


def test_of_markup_that_shows_too_much_the_start_is_kept_and_work_is_bounded() -> None:
    words = "lamp " * 3_000
    texts = [f"<p>{words}</p>", words, words[:10_000], "<i> " * 300_000 + "lamp", "&amp;" * 9_999, "<p>lamp</p>"]
    good, _, counts = outcome(raw_rows(CATALOGUE, item_id=ids(6), description=texts))
    assert good["description"].to_pylist() == [words[:10_000]] * 3 + [None, "&" * 9_999, "<p>lamp</p>"]
    assert (good["texts_truncated"].to_pylist(), counts["texts_truncated"]) == ([1, 1, 0, 1, 0, 0], 3)


def test_pictures() -> None:
    many = [f"{number}.jpg" for number in range(23)]
    images = [None, [], "one.jpg", ["a", None, " ", "b"], many, [1], {"url": "x"}]
    good, reasons, counts = outcome(raw_rows(CATALOGUE, item_id=ids(7), images=images))
    assert good["images"].to_pylist() == [[], [], ["one.jpg"], ["a", "b"], many[:20], [], ["x"]]
    assert (reasons, counts["cells_unreadable:images"]) == ({}, 1)
    assert good["pictures_cut_off"].to_pylist() == [0, 0, 0, 0, 3, 0, 0]
    assert good["pictures_empty"].to_pylist() == [0, 0, 0, 2, 0, 0, 0]
    assert (counts["pictures_listed"], counts["pictures_cut_off"], counts["pictures_empty"]) == (24, 3, 2)
    good, _, counts = outcome(raw_rows(CATALOGUE, item_id=ids(2), images=pa.array(["one.jpg", None])))
    assert (good["images"].to_pylist(), counts["pictures_listed"]) == ([["one.jpg"], []], 1)


PIECES = st.one_of(st.none(), st.text(max_size=5), st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=4))


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=8))
def test_whole_columns_and_single_values_are_coerced_alike(values: list[Any]) -> None:
    lists = [value if isinstance(value, list) else None for value in values]
    strings = [value if isinstance(value, str) else None for value in values]
    kinds = {"images": pa.list_(pa.string()), "colors": pa.large_list(pa.large_string()), "title": pa.string()}
    columns = {"images": lists, "colors": lists, "title": strings}
    by_value, _, counts = outcome(raw_rows(CATALOGUE, item_id=ids(len(values)), **columns))
    arrays = {name: pa.array(column, kinds[name]) for name, column in columns.items()}
    at_once, _, counts_at_once = outcome(raw_rows(CATALOGUE, item_id=ids(len(values)), **arrays))
    assert at_once.equals(by_value)
    assert counts == counts_at_once


def engagements(**columns: Any) -> RawRows:
    """Valid rows but for the given columns."""
    plain = {"timestamp": "2024-01-01", "surface": "search", "query": "mug", "item_id": "a", "action": "click"}
    count = len(next(iter(columns.values())))
    return raw_rows(ENGAGEMENTS, **{**{name: [value] * count for name, value in plain.items()}, **columns})


NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([NOON], pa.timestamp("s", "UTC")),
        pa.array([NOON], pa.timestamp("ns", "Europe/Berlin")),
        pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ms")),
        pa.array([int(NOON.timestamp() * 1e9) + 1], pa.timestamp("ns")),
        pa.array(["2024-05-01T12:00:00Z"]),
        pa.array(["2024-05-01 12:00:00"]),
        ["2024-05-01T14:00:00+02:00"],
        [datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))],
    ],
)
def test_timestamps_become_utc(column: Any) -> None:
    good, reasons, _ = outcome(engagements(timestamp=column), validate_engagements)
    assert not reasons
    assert good["timestamp"].to_pylist() == [NOON]
    assert good.schema == ENGAGEMENTS


def test_timestamps_that_are_none() -> None:
    mixed = [None, "", "2024-05-01", 20240501, "20240501100000", "16120101012", "soon", "2024-13-01", 1.5, True]
    good, reasons, _ = outcome(engagements(timestamp=mixed), validate_engagements)
    assert good["timestamp"].to_pylist() == [datetime(2024, 5, 1, tzinfo=UTC)]
    assert (reasons[1], reasons[2]) == ("null_timestamp", "null_timestamp")
    assert [reasons[row] for row in range(4, 11)] == ["wrong_type"] * 7
    for column in (
        pa.array([20240501]),
        pa.array([10**12], pa.timestamp("s")),
        pa.array([10**16], pa.timestamp("s")),
    ):
        assert outcome(engagements(timestamp=column), validate_engagements)[1] == {1: "wrong_type"}
    assert outcome(engagements(timestamp=pa.array([None], TIMESTAMP)), validate_engagements)[1] == {1: "null_timestamp"}


def test_engagement_rules() -> None:
    columns = {
        "surface": ["search", "closeup", "home", "Seek", None, "search", "closeup", "search", "search", "search"],
        "query": ["mug", "a.jpg", "ignored", "x", "x", None, "  ", "x" * 2001, "x", "x"],
        "action": ["click", "save", "checkout", "click", "click", "click", "click", "click", "buy", None],
        "item_id": ["a", 5, "a", "a", "a", "a", "a", "a", "a", "a"],
    }
    good, reasons, counts = outcome(engagements(**columns), validate_engagements)
    assert reasons == {
        4: "unknown_surface",
        5: "unknown_surface",
        6: "missing_query",
        7: "missing_query",
        9: "unknown_action",
        10: "unknown_action",
    }
    assert good["query"].to_pylist() == ["mug", "a.jpg", None, "x" * 2000]
    assert good["item_id"].to_pylist() == ["a", "5", "a", "a"]
    assert counts["queries_truncated"] == 1
    _, reasons, _ = outcome(engagements(item_id=[None, "", "\ud800", 1.5]), validate_engagements)
    assert reasons == {1: "null_id", 2: "null_id", 3: "bad_utf8", 4: "wrong_type"}


def test_judgement_rules() -> None:
    grades = [1, 2.5, "3", None, "many", float("nan"), True, 1e300, 1, 1]
    surfaces = ["search"] * 8 + ["home", "search"]
    queries = ["mug"] * 9 + [None]
    raw = raw_rows(JUDGEMENTS, surface=surfaces, query=queries, item_id=["a"] * 10, grade=grades)
    good, reasons, _ = outcome(raw, validate_judgements)
    assert good["grade"].to_pylist() == [1.0, 2.5, 3.0]
    assert good.schema == JUDGEMENTS
    assert reasons == {**dict.fromkeys(range(4, 9), "wrong_type"), 9: "unknown_surface", 10: "missing_query"}
    for kind in (pa.float32(), pa.float64(), pa.int8(), pa.decimal128(22, 2)):
        good, reasons, _ = outcome(
            raw_rows(
                JUDGEMENTS,
                surface=pa.array(["search"]),
                query=pa.array(["mug"]),
                item_id=pa.array(["a"]),
                grade=pa.array([2]).cast(kind),
            ),
            validate_judgements,
        )
        assert (good["grade"].to_pylist(), reasons) == ([2.0], {})


def test_broken_lines_are_rejected_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(b'{"item_id": "a"}\n{"item\n' + json.dumps({"item_id": "\ud800"}).encode())
    (part,) = plan_slices([str(tmp_path / "c.jsonl")])
    (raw,) = read_slice(part, {})
    good, rejections, counts = validate_catalogue(raw, part)
    assert good["item_id"].to_pylist() == ["a"]
    assert [(entry.reason, entry.where) for entry in rejections] == [
        ("broken_line", "c.jsonl:2"),
        ("bad_utf8", "c.jsonl:3"),
    ]
    assert counts["rows_read"] == 3


WHOLE = {"item_id": "b", "title": "a mug, blue", "description": "it is round"}
HEADER = "item_id,title,description\na,t,d\n"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("c.csv", HEADER + 'b,"a mug, blue",it is', None),  # whole, for all that can be seen
        ("c.csv", HEADER + 'b,"a mug, blue"', "cut_off_file"),
        ("c.csv", HEADER + "b", "cut_off_file"),
        ("c.csv", HEADER + 'b,"a mug, bl', "cut_off_file"),
        ("c.csv", HEADER + 'b,"a mug, blue","it is\nround', "cut_off_file"),
        ("c.csv", HEADER + "b\n", "broken_line"),
        ("c.csv", HEADER + "b,t,d,e", "broken_line"),
        ("c.csv", HEADER + 'b,"t" x,d', "broken_line"),
        ("c.tsv", HEADER.replace(",", "\t") + "b\ta mug", "cut_off_file"),
        ("c.tsv", HEADER.replace(",", "\t").replace("\n", "\r\n") + "b\ta mug", "cut_off_file"),
        ("c.jsonl", '{"item_id": "a"}\n' + json.dumps(WHOLE), None),
        ("c.jsonl", '{"item_id": "a"}\n' + json.dumps(WHOLE)[:-1], "cut_off_file"),
        ("c.jsonl", '{"item_id": "a"}\n' + json.dumps(WHOLE)[:30], "cut_off_file"),
        ("c.jsonl", '{"item_id": "a"}\n{"item_id": "b", "images": [{"a": 1}', "cut_off_file"),
        ("c.jsonl", '{"item_id": "a"}\n' + json.dumps(WHOLE)[:30] + "\n", "broken_line"),
        ("c.jsonl", '{"item_id": "a"}\n{"item_id": nope}', "broken_line"),
        ("c.jsonl", '{"item_id": "a"}\nnope', "broken_line"),
        ("c.json", '[{"item_id": "a"}, {"item_id": nope}]', "broken_line"),
    ],
)
def test_a_file_that_ends_within_a_row_is_told_from_a_broken_line(tmp_path: Path, name, text, reason) -> None:
    (tmp_path / name).write_bytes(text.encode())
    (part,) = plan_slices([str(tmp_path / name)])
    found = [validate_catalogue(raw, part) for raw in read_slice(part, {})]
    assert sum(len(good) for good, _, _ in found) == (2 if reason is None else 1)
    rejected = [row for _, rejections, _ in found for row in rejections]
    assert [row.reason for row in rejected] == ([] if reason is None else [reason])
    if reason == "cut_off_file":
        line = 2 if name == "c.jsonl" else 3
        assert (rejected[0].expected, rejected[0].where) == ("a file that ends with a whole row", f"{name}:{line}")
        assert "the file ends within this row: is it whole?" in rejected[0].remedy


@pytest.mark.parametrize("name", ["c.csv", "c.jsonl"])
def test_a_compressed_file_that_is_cut_off_is_refused(tmp_path: Path, name) -> None:
    rows = {"c.jsonl": [json.dumps({"item_id": str(n)}) for n in range(999)], "c.csv": [HEADER] * 999}[name]
    packed = gzip.compress("\n".join(rows).encode())
    (tmp_path / f"{name}.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(CorruptFileError, match="write it again"):
        [list(read_slice(part, {})) for part in plan_slices([str(tmp_path / f"{name}.gz")])]


def test_duplicates_of_the_docstring() -> None:
    good, _, _ = validate_catalogue(raw_rows(CATALOGUE, item_id=list("baaac"), title=list("zxyxw")), SLICE)
    rows, rejections, num_collapsed = resolve_duplicates(good, ["", "", "", "c.parquet"])
    assert list(zip(rows["item_id"].to_pylist(), rows["row_number"].to_pylist(), strict=True)) == [
        ("a", 4),
        ("b", 1),
        ("c", 5),
    ]
    assert num_collapsed == 1
    (rejection,) = rejections
    assert (rejection.item_id, rejection.reason, rejection.where) == ("a", "duplicate_id", "c.parquet:3")
    assert "c.parquet:4" in rejection.got


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=1, max_size=10), st.randoms())
def test_duplicates_follow_the_rule_in_any_order(pairs: list[tuple[str, str]], random: Any) -> None:
    columns = {"item_id": [item for item, _ in pairs], "title": [title for _, title in pairs]}
    good, _, _ = validate_catalogue(raw_rows(CATALOGUE, **columns), SLICE)
    shuffled = good.take(random.sample(range(len(pairs)), len(pairs)))
    rows, rejections, num_collapsed = resolve_duplicates(shuffled, ["", "", "", "c"])
    assert dict(zip(rows["item_id"].to_pylist(), rows["title"].to_pylist(), strict=True)) == dict(pairs)
    distinct = set(pairs)
    assert num_collapsed == len(pairs) - len(distinct)
    expected = sorted(
        (item, f"c:{max(row for row, other in enumerate(pairs, 1) if other == (item, title))}")
        for item, title in distinct
        if dict(pairs)[item] != title
    )
    assert sorted((entry.item_id, entry.where) for entry in rejections) == expected


@pytest.mark.parametrize(
    ("column", "written"),
    [
        (pa.array(["30.06.2026", "01.07.2026", "soon"]), 'timestamp = {source = "day", time = "%d.%m.%Y"}'),
        (pa.array(["06/30/2026 10:00"]), 'timestamp = {source = "day", time = "%m/%d/%Y %H:%M"}'),
        (pa.array([20260630, 20260701]), 'timestamp = {source = "day", time = "%Y%m%d"}'),
        (pa.array([20260630.0]), 'timestamp = {source = "day", time = "%Y%m%d"}'),
        (pa.array([b"30.06.2026"]), 'timestamp = {source = "day", time = "%d.%m.%Y"}'),
        (pa.array([2026063010]), 'timestamp = {source = "day", time = "%Y%m%d%H"}, or time = "s" there'),
        (pa.array(["30/Jun/2026:10:00:00 +0000"]), 'time = "%d/%b/%Y:%H:%M:%S %z"'),
        (["06/07/2026", 5], '{source = "day", time = "%d/%m/%Y"}, or time = "%m/%d/%Y" there'),
    ],
)
def test_a_date_in_a_format_of_its_own_is_told_with_the_key_to_write(column: Any, written: str) -> None:
    raw = replace(engagements(timestamp=column), columns={"timestamp": Column(source=("day",))})
    _, rejections, _ = validate_engagements(raw, SLICE)
    assert len(rejections) == len(column)
    for rejection in rejections:
        assert rejection.reason == "wrong_type"
        assert written in rejection.remedy
        assert rejection.remedy.startswith("say how it is written, in the config: [columns.engagements] ")


def test_a_format_that_is_told_and_not_needed_is_to_be_left_out() -> None:
    raw = engagements(timestamp=pa.array(["2026-06-30T10:00:00Z", "2026-06-30 10:00"]))
    raw = replace(raw, columns={"timestamp": Column(source=("timestamp",), time="%d.%m.%Y")})
    _, rejections, _ = validate_engagements(raw, SLICE)
    assert {rejection.remedy for rejection in rejections} == {
        "leave time = '%d.%m.%Y' out of timestamp in [columns.engagements]: such times are read without it"
    }


def test_a_format_that_some_rows_are_not_written_in_is_told_by_none() -> None:
    raw = engagements(timestamp=pa.array(["30.06.2026", "01.07.2026", "06.07.2026 10:00"]))
    raw = replace(raw, columns={"timestamp": Column(source=("timestamp",), time="%d.%m.%Y")})
    (rejection,) = validate_engagements(raw, SLICE)[1]
    assert rejection.remedy.startswith("the times are written in several ways, %d.%m.%Y %H:%M and such as other rows")


def test_what_is_no_date_has_the_remedy_of_its_reason() -> None:
    _, rejections, _ = validate_engagements(engagements(timestamp=pa.array(["soon", "late"])), SLICE)
    assert {rejection.remedy for rejection in rejections} == {REMEDIES["wrong_type"]}
