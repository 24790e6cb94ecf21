"""Hostile catalogues and engagements: every row leaves as a good one or as a rejection, and what is good is good."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fuzz_run import Outcome, fuzz
from fuzz_tables import Made, make_files

from pipelines.log.training_rows import query_rows
from schemas.errors import CorruptFileError, UsageError
from schemas.quarantine import MAX_QUOTED_CHARACTERS, Rejection, rejections_to_table
from schemas.reading.input_files import check_columns, count_rows, input_identity, relative_names
from schemas.reading.rows import plan_slices, read_slice
from schemas.sample_shop.assortment import make_assortment
from schemas.sample_shop.catalogue import make_catalogue, make_query_pictures
from schemas.sample_shop.engagements import make_engagements
from schemas.tables import (
    ACTIONS,
    CATALOGUE,
    ENGAGEMENTS,
    ITEMS,
    JUDGEMENTS,
    MAX_PICTURES,
    QUERY_SURFACES,
    SURFACES,
    TEXT_FIELDS,
)
from schemas.validation.catalogue import VALIDATED_CATALOGUE, validate_catalogue
from schemas.validation.duplicates import resolve_duplicates
from schemas.validation.log import validate_engagements, validate_judgements
from schemas.validation.rules import REMEDIES, Limits

pytestmark = pytest.mark.slow

LIMITS = Limits()
VALIDATORS = {
    "catalogue": (CATALOGUE, VALIDATED_CATALOGUE, validate_catalogue),
    "engagements": (ENGAGEMENTS, ENGAGEMENTS, validate_engagements),
    "judgements": (JUDGEMENTS, JUDGEMENTS, validate_judgements),
}


@pytest.fixture(scope="module")
def good_rows() -> dict[str, list[dict[str, Any]]]:
    """Rows of the sample shop, as JSON spells them."""
    assortment = make_assortment(30, 0)
    catalogue = make_catalogue(assortment, 0)
    rows = [catalogue.row(number, product.item_id) for number, product in enumerate(assortment.products)]
    pictures, anchors = make_query_pictures(assortment, 0)
    uris = [picture.uri for picture in pictures]
    engagements = make_engagements(assortment, uris, anchors, 0, datetime(2026, 6, 30, tzinfo=UTC).date())
    events = engagements.slice(0, 200).to_pylist()
    for event in events:
        event["timestamp"] = event["timestamp"].isoformat()
    judgements = [
        {"surface": "search", "query": row["title"] or "x", "item_id": row["item_id"], "grade": 1.0} for row in rows
    ]
    return {"catalogue": rows, "engagements": events, "judgements": judgements}


def read_all(table: str, made: Made) -> tuple[pa.Table, list[Rejection], Counter[str]]:
    """What the stages do with input files, up to the bucketing; the counts of each batch must add up."""
    schema, validated, validate = VALIDATORS[table]
    check_columns(made.files, {}, schema)
    assert count_rows(made.files) >= 0
    assert len(input_identity(made.files)) == len(made.files)
    good, rejections, totals = [], [], Counter()
    for file_slice in plan_slices(made.files):
        seen: list[int] = []
        for raw in read_slice(file_slice, {}, schema):
            rows, rejected, counts = validate(raw, file_slice)
            assert rows.schema == validated
            rows.validate(full=True)
            assert counts["rows_read"] == rows.num_rows + num_rows(rejected) == len(raw.row_numbers) + len(raw.broken)
            seen += sorted([*raw.row_numbers.tolist(), *(number for number, _ in raw.broken)])
            good.append(rows)
            rejections += rejected
            totals += counts
        assert seen == sorted(set(seen)), "a row number twice"
    return pa.concat_tables([validated.empty_table(), *good]), rejections, totals


def num_rows(rejections: Sequence[Rejection]) -> int:
    """Rejections of rows: a row with a rejected cell stays."""
    return sum(rejection.level == "row" for rejection in rejections)


def check_rejections(rejections: Sequence[Rejection]) -> None:
    for rejection in rejections:
        assert rejection.reason in REMEDIES or rejection.reason == "duplicate_id"
        for text in (rejection.got, rejection.where, rejection.expected, rejection.remedy):
            assert text.isprintable(), repr(text)
            assert len(text) <= 2 * MAX_QUOTED_CHARACTERS + 200
    table = rejections_to_table(rejections)
    table.validate(full=True)
    assert table.num_rows == len(rejections)


def refused(error: Exception) -> Outcome:
    """A whole input refused: what a person reads of it must be fit to print."""
    text = str(error)
    assert text.isprintable(), repr(text)
    assert len(text) < 5_000, f"{len(text)} characters"
    return Outcome(type(error).__name__)


def reasons(rejections: Sequence[Rejection]) -> Counter[str]:
    return Counter(rejection.reason for rejection in rejections)


def check_texts(table: pa.Table, names: Sequence[str], max_characters: int) -> None:
    for name in names:
        values = [value for value in table[name].to_pylist() if value is not None]
        assert all(0 < len(value) <= max_characters for value in values), name


def check_catalogue(rng: random.Random, folder: Path, good_rows: list[dict[str, Any]]) -> Outcome:
    made = make_files(rng, folder, CATALOGUE, good_rows)
    try:
        good, rejections, counts = read_all("catalogue", made)
    except (UsageError, CorruptFileError) as error:
        return refused(error)
    items, duplicates, num_collapsed = resolve_duplicates(good, relative_names(made.files))
    num_read = counts["rows_read"]
    assert made.num_rows in (None, num_read), f"{made.num_rows} rows given, {num_read} read"
    assert num_read == items.num_rows + num_collapsed + len(duplicates) + num_rows(rejections)
    check_rejections([*rejections, *duplicates])
    ids = items["item_id"].to_pylist()
    assert ids == sorted(set(ids), key=lambda item_id: item_id.encode())
    assert all(item_id.strip() and len(item_id.encode()) <= LIMITS.max_id_bytes for item_id in ids)
    assert made.good_ids <= set(ids), "a good row is lost"
    check_texts(items, TEXT_FIELDS, LIMITS.max_text_characters)
    for uris in items["images"].to_pylist():
        assert len(uris) <= MAX_PICTURES
        assert all(uri and uri.strip() for uri in uris)
    pa.Table.from_arrays([items[name].combine_chunks() for name in ITEMS.names], schema=ITEMS).validate(full=True)
    rows = {"rows": num_read, "published": items.num_rows, "collapsed": num_collapsed}
    return Outcome(counts=Counter(rows) + reasons([*rejections, *duplicates]))


def check_engagements(rng: random.Random, folder: Path, good_rows: dict[str, list[dict[str, Any]]]) -> Outcome:
    table = rng.choice(("engagements", "engagements", "engagements", "judgements"))
    made = make_files(rng, folder, VALIDATORS[table][0], good_rows[table])
    try:
        good, rejections, counts = read_all(table, made)
    except (UsageError, CorruptFileError) as error:
        return refused(error)
    assert made.num_rows in (None, counts["rows_read"])
    assert counts["rows_read"] == good.num_rows + len(rejections)
    check_rejections(rejections)
    assert made.good_ids <= set(good["item_id"].to_pylist()), "a good row is lost"
    assert all(item_id.strip() for item_id in good["item_id"].to_pylist())
    check_texts(good, ["query"], LIMITS.max_query_characters)
    if table == "judgements":
        assert np.isfinite(good["grade"].to_numpy()).all()
        assert set(good["surface"].to_pylist()) <= set(QUERY_SURFACES)
    else:
        check_events(good, rng)
    return Outcome(counts=Counter({"rows": counts["rows_read"], "valid": good.num_rows}) + reasons(rejections))


def check_events(good: pa.Table, rng: random.Random) -> None:
    for row in good.to_pylist():
        assert row["surface"] in SURFACES
        assert row["action"] in ACTIONS
        assert (row["query"] is not None) == (row["surface"] in QUERY_SURFACES)
        assert row["timestamp"].year >= 1
    end_us = rng.choice((None, 0, 1_782_000_000_000_000, -(2**62), 2**62))
    kept, counts = query_rows(good, end_us)
    assert kept.num_rows + sum(counts.values()) == good.num_rows


def test_catalogue(tmp_path: Path, good_rows: dict[str, list[dict[str, Any]]]) -> None:
    tally = fuzz("catalogue", lambda rng, folder: check_catalogue(rng, folder, good_rows["catalogue"]), tmp_path)
    assert tally.inputs == sum(tally.verdicts.values())


def test_engagements(tmp_path: Path, good_rows: dict[str, list[dict[str, Any]]]) -> None:
    tally = fuzz("engagements", lambda rng, folder: check_engagements(rng, folder, good_rows), tmp_path)
    assert tally.inputs == sum(tally.verdicts.values())
