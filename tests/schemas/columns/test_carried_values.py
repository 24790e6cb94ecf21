"""Times and users that the first row of an order has for all of them (`within` of a log's columns)."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.columns.mapping import table_columns
from schemas.errors import UsageError
from schemas.reading import rows as reading
from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import ENGAGEMENTS
from schemas.validation.log import validate_engagements

COLUMNS = {
    "timestamp": {"source": "Created at", "within": "Name"},
    "user_id": {"source": "Email", "within": "Name"},
    "item_id": "Lineitem sku",
    "action": {"constant": "checkout"},
    "surface": {"constant": "home"},
}
HEAD = "Name,Email,Created at,Lineitem sku"
ORDERS = [
    *("#1,a@x.y,2026-06-20 10:00:00,S-1", "#1,,,S-2", "#1, ,NULL,S-3"),
    *("#2,b@x.y,2026-06-20 11:00:00,S-1", "#3,c@x.y,2026-06-20 12:00:00,S-4", "#3,,,S-5"),
]
EXPECTED = [
    *(("a@x.y", 10, "S-1"), ("a@x.y", 10, "S-2"), ("a@x.y", 10, "S-3")),
    *(("b@x.y", 11, "S-1"), ("c@x.y", 12, "S-4"), ("c@x.y", 12, "S-5")),
]


def read(path: Path, columns: dict[str, Any] = COLUMNS) -> tuple[list[tuple[str, int, str]], int]:
    """((user, hour, item) of each row; how many rows are rejected)."""
    mapping = table_columns({"engagements": columns}, "engagements")
    check_columns([str(path)], mapping, ENGAGEMENTS)
    found, num_rejected = [], 0
    for part in plan_slices([str(path)]):
        for raw in read_slice(part, mapping, ENGAGEMENTS):
            assert set(raw.table.column_names) <= set(ENGAGEMENTS.names)
            good, rejections, _ = validate_engagements(raw, part)
            num_rejected += len(rejections)
            found += [(row["user_id"], row["timestamp"].hour, row["item_id"]) for row in good.to_pylist()]
    return found, num_rejected


def test_rows_of_an_order_have_what_its_first_row_has(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("\n".join([HEAD, *ORDERS]) + "\n")
    assert read(tmp_path / "log.csv") == (EXPECTED, 0)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_an_order_may_go_on_in_the_next_batch(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BATCH_ROWS", size)
    (tmp_path / "log.csv").write_text("\n".join([HEAD, *ORDERS]) + "\n")
    assert read(tmp_path / "log.csv") == (EXPECTED, 0)


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_in_other_containers(tmp_path: Path, kind: str) -> None:
    names = HEAD.split(",")
    given_rows = [
        {
            name: cell if cell.strip() not in ("", "NULL") else None
            for name, cell in zip(names, row.split(","), strict=True)
        }
        for row in ORDERS
    ]
    table = pa.Table.from_pylist(given_rows)
    path = tmp_path / f"log.{kind}"
    if kind == "parquet":
        times = pa.array(table["Created at"].to_pylist()).cast(pa.timestamp("us"))
        pq.write_table(table.set_column(2, "Created at", times), path)
    else:
        path.write_text("".join(pa.Table.to_pandas(table).to_json(orient="records", lines=True)))
    assert read(path) == (EXPECTED, 0)


def test_an_order_without_any_gets_none_of_another(tmp_path: Path) -> None:
    lines = [
        HEAD,
        "#1,a@x.y,2026-06-20 10:00:00,S-1",
        "#2,,,S-2",
        "#1,,,S-3",
        ",,,S-4",
        ",b@x.y,2026-06-20 10:00:00,S-5",
    ]
    (tmp_path / "log.csv").write_text("\n".join([*lines, ",,,S-6"]) + "\n")
    assert read(tmp_path / "log.csv") == ([("a@x.y", 10, "S-1"), ("b@x.y", 10, "S-5")], 4)


cells = st.sampled_from(["", "a", "b"])


@pytest.mark.medium
@given(st.lists(st.tuples(st.sampled_from(["", "#1", "#2"]), cells), min_size=1, max_size=12), st.integers(1, 4))
def test_as_a_loop_over_the_rows_has_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], size: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.csv"
    path.write_text(f"{HEAD}\n" + "".join(f"{order},{user},2026-06-20 10:00:00,S\n" for order, user in rows))
    expected, above, last = [], None, ""
    for order, user in rows:
        last = user or (last if order and order == above else "")
        expected.append(last or None)
        above = order
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "MAX_BATCH_ROWS", size)
        columns = {**COLUMNS, "timestamp": "Created at"}
        assert [user for user, _, _ in read(path, columns)[0]] == expected


@pytest.mark.parametrize("name", ["item_id", "action", "query"])
def test_other_columns_have_no_within(name: str) -> None:
    with pytest.raises(
        UsageError, match=f"beside named_by alone, or of timestamp, user_id, session_id, as within of {name}"
    ):
        table_columns({"engagements": {name: {"source": "x", "within": "Name"}}}, "engagements")


def test_a_column_of_orders_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("Email,Created at,Lineitem sku\na@x.y,2026-06-20 10:00:00,S-1\n")
    with pytest.raises(UsageError, match=r"expected a column 'Name' for timestamp.*within"):
        read(tmp_path / "log.csv")
