"""Each rule of a catalogue with its reason; vectorised and value-by-value coercion agree."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_batches import SLICE, ids, outcome, raw_rows

from schemas.columns.spec import Column
from schemas.tables import CATALOGUE
from schemas.validation.catalogue import VALIDATED_CATALOGUE, validate_catalogue
from schemas.validation.rules import REMEDIES


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


def test_ids_that_a_spreadsheet_rounded() -> None:
    """With all their digits they are ids, and so are article numbers that look alike."""
    rounded = ["4,01235E+12", "4.01235E+12", " 4.01235e+12 ", "1E+12"]
    good_ids = ["4.012345678901E+12", "12E5", "1E10", "1.0", "E+12", "4012345678901"]
    good, rejections, _ = validate_catalogue(raw_rows(CATALOGUE, item_id=[*rounded, *good_ids, 4.01235e12]), SLICE)
    assert good["item_id"].to_pylist() == [*good_ids, "4012350000000"]
    assert {one.reason for one in rejections} == {"rounded_id"}
    assert [one.got for one in rejections] == [repr(text.strip()) for text in rounded]
    assert "format the column as text in the spreadsheet" in rejections[0].remedy


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


@pytest.mark.medium
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


@pytest.mark.medium
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


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (True, "write 'nummer' as text or whole numbers in the export, or name the column of the ids, in the config: "),
        (1.5, "write 'nummer' as text or whole numbers in the export, or name the column of the ids, in the config: "),
        ({"no": 5, "of": 1}, "name what is in the object, in the config: [columns] item_id = 'nummer.no'"),
        ([1], "write 'nummer' as text or whole numbers in the export"),
    ],
)
def test_an_id_of_a_wrong_type_is_told_by_the_shops_name_of_its_column(value: Any, remedy: str) -> None:
    raw = replace(raw_rows(CATALOGUE, item_id=["a", value]), columns={"item_id": "nummer"})
    _, (rejection,), _ = validate_catalogue(raw, SLICE)
    assert (rejection.reason, rejection.expected) == ("wrong_type", "text or a whole number in 'nummer' (item_id)")
    assert rejection.remedy.startswith(remedy)
    assert "[columns] item_id = " in rejection.remedy


def test_of_several_sources_of_an_id_the_one_that_is_wrong_is_named() -> None:
    raw = raw_rows(pa.schema([*CATALOGUE, pa.field("item_id+1", pa.string())]), item_id=[None], **{"item_id+1": [1.5]})
    _, (rejection,), _ = validate_catalogue(replace(raw, columns={"item_id": Column(source=("a", "b"))}), SLICE)
    assert rejection.expected == "text or a whole number in 'b' (item_id)"
    _, (rejection,), _ = validate_catalogue(raw_rows(CATALOGUE, item_id=[1.5]), SLICE)
    assert rejection.expected == "text or a whole number in item_id"
