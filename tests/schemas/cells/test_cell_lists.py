"""Lists of pictures, however they are written: the same in every container."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from read_tables import catalogue_of, write_parquet, write_rows

from schemas.cells.list_texts import largest_of_srcset
from schemas.cells.lists import list_members
from schemas.cells.text import UnreadableCellError
from schemas.coercion.fast_columns import fast_lists
from schemas.pictures.cells import Picture
from schemas.reading.rows import plan_slices, read_slice
from schemas.validation.catalogue import validate_catalogue


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_objects_that_are_printed_are_no_addresses(tmp_path: Path, form: str) -> None:
    """As Java and Athena print maps and rows; which of the values is the picture, nothing tells for sure."""
    texts = [
        "{src=https://x/a.jpg}",
        "{url=https://x/a.jpg, position=1}",
        " [ {src=https://x/a.jpg, alt=b}, {src=b.jpg}]",
        "{src=a.jpg}",
        "{x=1}.jpg",
    ]
    path = write_rows(
        tmp_path / f"c.{form}", [{"item_id": f"a{n}", "pic": text, "title": "Mug"} for n, text in enumerate(texts)]
    )
    (part,) = plan_slices([str(path)])
    (raw,) = read_slice(part, {"images": "pic"})
    good, rejections, counts = validate_catalogue(raw, part)
    assert good["images"].to_pylist() == [[], [], [], [], ["{x=1}.jpg"]]
    assert [(row.level, row.reason, row.item_id) for row in rejections] == [
        ("picture", "not_json", f"a{n}") for n in range(4)
    ]
    assert all("JSON" in row.remedy for row in rejections)
    assert "cells_unreadable:images" not in counts


@pytest.mark.parametrize(
    ("cell", "members"),
    [
        ("one.jpg", ["one.jpg"]),
        ("Mug, blue.jpg", ["Mug, blue.jpg"]),
        ("[hero] shot.jpg", ["[hero] shot.jpg"]),
        ("[https://x/a.jpg, https://x/b.jpg]", ["https://x/a.jpg", "https://x/b.jpg"]),
        ("[https://x/w_1,h_2/a,https://x/b]", ["https://x/w_1,h_2/a", "https://x/b"]),
        ("[https://x/a, NULL, https://x/b, null]", ["https://x/a", None, "https://x/b", None]),
        ("[NULL, https://x/a]", [None, "https://x/a"]),
        ("[https://x/a]", ["https://x/a"]),
        ("[a.jpg, NULL,pics/b c.jpg ]", ["a.jpg", None, "pics/b c.jpg"]),
        ("[NULL, NULL]", [None, None]),
        ("https://x/a,b.jpg\x02https://x/c.jpg", ["https://x/a,b.jpg", "https://x/c.jpg"]),
        ("a.jpg\x02b c.jpg", ["a.jpg", "b c.jpg"]),
        ("a.jpg|b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg | b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg,b.jpg", ["a.jpg", "b.jpg"]),
        ("https://x/a.jpg?w=1, https://x/b.jpg?w=2", ["https://x/a.jpg?w=1", "https://x/b.jpg?w=2"]),
        ("https://x/w_100,h_100/a.jpg", ["https://x/w_100,h_100/a.jpg"]),
        ("https://x/w_1,h_2/a.jpg,https://x/w_1,h_2/b.jpg", ["https://x/w_1,h_2/a.jpg", "https://x/w_1,h_2/b.jpg"]),
        ("https://x/w_1,h_2/a, http://x/b;c.jpg, //x/d", ["https://x/w_1,h_2/a", "http://x/b;c.jpg", "//x/d"]),
        ("https://x/a|b/c.jpg | https://x/d.jpg|", ["https://x/a|b/c.jpg", "https://x/d.jpg"]),
        ("https://x/a|b/c", ["https://x/a|b/c"]),
        ("https://x/a.jpg|b.jpg", ["https://x/a.jpg", "b.jpg"]),
        ("https://x/my mug.jpg;https://x/b,c.jpg", ["https://x/my mug.jpg", "https://x/b,c.jpg"]),
        ("https://x/a.jpg https://x/b.jpg", ["https://x/a.jpg", "https://x/b.jpg"]),
        ("//x/w_1,h_2/a,//x/b", ["//x/w_1,h_2/a", "//x/b"]),
        ("https://x/w_1/https://y/a.jpg,https://x/b", ["https://x/w_1/https://y/a.jpg", "https://x/b"]),
        ("a.PNG; b.webp", ["a.PNG", "b.webp"]),
        ('["a.jpg", null]', ["a.jpg", None]),
        ("['a, b.jpg', 'c.jpg']", ["a, b.jpg", "c.jpg"]),
        ("('a.jpg',)", ["a.jpg"]),
        ('[{"src": "a.jpg"}, {"url": "b.jpg"}]', ["a.jpg", "b.jpg"]),
        ('{"src": "a.jpg"}', ["a.jpg"]),
        ({"list": [{"element": "a.jpg"}, {"element": None}]}, ["a.jpg", None]),
        ({"array": ["a.jpg"]}, ["a.jpg"]),
        ({"list": None}, []),
        ([{"id": 5, "src": "a.jpg"}], ["a.jpg"]),
        ("['a.jpg' 'b.jpg']", ["a.jpg", "b.jpg"]),
        ("['a.jpg' 'b.jpg'\n 'c.jpg' None nan]", ["a.jpg", "b.jpg", "c.jpg", None, None]),
        ("""["it's.jpg" 'b "c" .jpg']""", ["it's.jpg", 'b "c" .jpg']),
        (r"""['it\'s nan.jpg' 'b.jpg']""", ["it's nan.jpg", "b.jpg"]),
        ("['a.jpg', nan]", ["a.jpg", None]),
        ("['a.jpg', <NA>, NaT]", ["a.jpg", None, None]),
        ('["a.jpg", NaN]', ["a.jpg", None]),
        (["a.jpg", float("nan")], ["a.jpg", None]),
        ("{'b.jpg', 'a.jpg', 'c.jpg'}", ["b.jpg", "a.jpg", "c.jpg"]),
        ("a.jpg, b.jpg,", ["a.jpg", "b.jpg"]),
        ("https://x/a,https://x/b,", ["https://x/a", "https://x/b"]),
        ("a.jpg;", ["a.jpg"]),
        ("a.jpg; ;b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg\nb.jpg\r\n", ["a.jpg", "b.jpg"]),
        ("a.jpg,\nb.jpg", ["a.jpg", "b.jpg"]),
        ("https://x/w_1,h_2/a.jpg\nhttps://x/b", ["https://x/w_1,h_2/a.jpg", "https://x/b"]),
        ("Mug, blue.jpg\nCup.jpg", ["Mug, blue.jpg", "Cup.jpg"]),
        ("two\nlines", ["two\nlines"]),
        ('"a.jpg","b, c.jpg"', ["a.jpg", "b, c.jpg"]),
        ("'a.jpg'; 'b.jpg';", ["a.jpg", "b.jpg"]),
        ('"a.jpg"', ["a.jpg"]),
        ('"quoted" name', ['"quoted" name']),
        ('"a","b"', ['"a","b"']),
        ("{a.jpg,b.jpg}", ["a.jpg", "b.jpg"]),
        (r'{"a, \"b\".jpg",NULL, https.jpg }', ['a, "b".jpg', None, "https.jpg"]),
        ("{https://x/a,https://x/b}", ["https://x/a", "https://x/b"]),
        ("{hero,shot}", ["{hero,shot}"]),
        ("{hero} shot.jpg", ["{hero} shot.jpg"]),
        ('{"edges": [{"node": {"url": "a.jpg"}}], "pageInfo": {"hasNextPage": false}}', ["a.jpg"]),
        (
            {"edges": [{"cursor": "x", "node": {"image": {"url": "a.jpg"}}}, {"node": {"src": "b.jpg"}}]},
            ["a.jpg", "b.jpg"],
        ),
        ({"edges": []}, []),
        ({"nodes": [{"originalSrc": "a.jpg"}]}, ["a.jpg"]),
        ({"v": [{"v": "a.jpg"}, {"v": None}]}, ["a.jpg", None]),
        ([{"id": 1, "image": {"src": "a.jpg"}}], ["a.jpg"]),
        ({"image": {"src": "a.jpg"}}, ["a.jpg"]),
        ("{'list': [{'element': 'a.jpg'}]}", ["a.jpg"]),
        ("[{'src': 'a.jpg', 'alt': None}]", ["a.jpg"]),
    ],
)
def test_lists_as_systems_write_them(cell: Any, members: list[str | None]) -> None:
    assert list_members(cell) == members


@pytest.mark.parametrize(
    "cell",
    [
        "[a, b]",
        '["a.jpg", "b',
        "[" * 100_000,
        "[" * 101 + "]" * 101,
        '[["a"]]',
        5,
        "|" * 20_000,
        "a.jpg," * 20_000,
        "https://x/a " * 20_000,
        {"a": 1},
        {"node": {"node": {}}},
        "{'a': 1}",
        "['a.jpg' ... 'b.jpg']",
        "['a.jpg' 'b",
        "['" + "\\'" * 30_000,
    ],
)
def test_lists_that_cannot_be_read(cell: Any) -> None:
    with pytest.raises(UnreadableCellError):
        list_members(cell)


#: What stands in addresses that people paste, also what separates addresses elsewhere.
_ADDRESSES = st.builds(
    "{}{}{}".format,
    st.sampled_from(["https://", "http://", "HTTPS://", "//"]),
    st.text("ab1_", min_size=1),
    st.from_regex(r"(?:[/,;| _=][a-z0-9.]{1,4})*", fullmatch=True),
)


@pytest.mark.medium
@given(st.lists(_ADDRESSES, min_size=2, max_size=6), st.sampled_from([",", ", ", ";", " ; ", "|", " | ", "\n", " "]))
def test_addresses_are_split_where_the_next_begins(addresses: list[str], separator: str) -> None:
    assert list_members(separator.join(addresses)) == addresses
    column = pa.array([addresses[0], separator.join(addresses), None])
    fast = fast_lists(column, None)
    assert fast is None or fast.to_pylist()[1] == addresses


LISTS_OF_ADDRESSES = [
    "https://x/w_1,h_2/a|https://x/b;c",
    "https://x/w_1,h_2/a, https://x/b;c",
    "https://x/w_1,h_2/a,https://x/b;c",
    '["https://x/w_1,h_2/a", "https://x/b;c"]',
]
LISTS = [
    "a.jpg|b.jpg",
    "['a.jpg' 'b.jpg']",
    "a.jpg\nb.jpg",
    "{a.jpg,b.jpg}",
    '"a.jpg","b.jpg"',
    '["a.jpg","b.jpg"]',
    "['a.jpg', 'b.jpg']",
    "a.jpg, b.jpg",
    "a.jpg;b.jpg",
    "a.jpg,b.jpg",
]


@pytest.mark.parametrize(
    ("lists", "members"), [(LISTS, ["a.jpg", "b.jpg"]), (LISTS_OF_ADDRESSES, ["https://x/w_1,h_2/a", "https://x/b;c"])]
)
@pytest.mark.parametrize("name", ["c.parquet", "c.jsonl", "c.csv"])
def test_lists_are_the_same_in_every_container(tmp_path: Path, name: str, lists: list[str], members: list[str]) -> None:
    path, ids = tmp_path / name, [f"i{number}" for number in range(len(lists))]
    if name == "c.parquet":
        write_parquet(path, item_id=ids, images=lists)
    elif name == "c.jsonl":
        path.write_text("\n".join(json.dumps({"item_id": i, "images": x}) for i, x in zip(ids, lists, strict=True)))
    else:
        cells = ['"' + text.replace('"', '""') + '"' for text in lists]
        path.write_text("item_id,images\n" + "\n".join(map(",".join, zip(ids, cells, strict=True))))
    assert catalogue_of(path)[0]["images"] == [members] * len(lists)


@pytest.mark.parametrize(
    ("outer", "inner"),
    [("list", "element"), ("list", "item"), ("bag", "array_element"), ("array", "v")],
)
def test_lists_wrapped_in_structs(tmp_path: Path, outer: str, inner: str) -> None:
    wrapped = [{outer: [{inner: "a.jpg"}, {inner: "b.jpg"}]}, {outer: []}, None]
    rows, _, counts = catalogue_of(
        write_parquet(tmp_path / "c.parquet", item_id=["a", "b", "c"], images=pa.array(wrapped))
    )
    assert (rows["images"], "cells_unreadable:images" in counts) == ([["a.jpg", "b.jpg"], [], []], False)


@pytest.mark.parametrize("cell", LISTS)
def test_a_column_of_one_way_alone_is_read_as_its_cells_are(tmp_path: Path, cell: str) -> None:
    rows = catalogue_of(write_parquet(tmp_path / "c.parquet", item_id=["a", "b"], images=[cell] * 2))[0]
    assert rows["images"] == [["a.jpg", "b.jpg"]] * 2


def test_wrapped_base64_has_any_number_of_lines() -> None:
    lines = "\n".join(["/9j/" + "A" * 72] * 12_000)
    (picture,) = list_members(lines)
    assert isinstance(picture, Picture)


def test_a_cell_of_separators_costs_only_itself(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "c.parquet", item_id=["a", "b"], images=["|" * 1_000_000, "a.jpg|b.jpg"])
    rows, _, counts = catalogue_of(path)
    assert (rows["images"], counts["cells_unreadable:images"]) == ([[], ["a.jpg", "b.jpg"]], 1)


def test_magentos_word_for_no_picture_is_none(tmp_path: Path) -> None:
    cells = ["no_selection", "a.jpg", "no_selection|b.jpg", " no_selection "]
    rows, _, counts = catalogue_of(write_parquet(tmp_path / "c.parquet", item_id=list("abcd"), images=cells))
    assert rows["images"] == [[], ["a.jpg"], ["b.jpg"], []]
    assert counts["pictures_empty"] == 3


@pytest.mark.parametrize(
    ("text", "largest"),
    [
        ("https://x/a.jpg 1x, https://x/b.jpg 480w", "https://x/b.jpg"),
        ("https://x/a.jpg, https://x/b.jpg 2x", "https://x/b.jpg"),
        ("https://x/w_9,h_9/a 960w,https://x/b 480w", "https://x/w_9,h_9/a"),
        ("a.jpg 1.5x, b.jpg 2x,\n c.jpg 1x", "b.jpg"),
        ("//x/a?v=1 320w 200h, //x/b 640w 400h,", "//x/b"),
        ("https://x/a.jpg 480w", "https://x/a.jpg"),
        ("a.jpg 2x", "a.jpg"),
    ],
)
def test_of_a_srcset_the_largest_is_taken(tmp_path: Path, text: str, largest: str) -> None:
    assert list_members(text) == [largest]
    path = tmp_path / "c.csv"
    path.write_text(f'item_id,images\nA,"{text}"\nB,c.jpg\n')
    assert catalogue_of(path)[0]["images"] == [[largest], ["c.jpg"]]


@pytest.mark.parametrize(
    "text", ["Mug 2x, blue 3x", "mug 4x", "https://x/a.jpg, https://x/b.jpg", "https://x/a b 2x.jpg"]
)
def test_other_texts_are_no_srcset(text: str) -> None:
    assert largest_of_srcset(text) is None
