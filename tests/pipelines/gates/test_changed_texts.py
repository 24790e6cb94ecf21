"""The gate on the catalogue's texts: columns exchanged, descriptions at other items, letters of another encoding."""

import random

import pyarrow as pa
import pytest
from gate_runs import DEFAULTS, edit, judge, write_stage

from pipelines.gates import changed_texts
from pipelines.gates.changed_texts import TextChanges, check_changed_texts, compare_texts, spoilt_letters
from pipelines.gates.fields import field_count
from pipelines.gates.judge import GateThresholds, require_passed
from schemas.errors import ThresholdError
from schemas.tables import ITEMS, TEXT_FIELDS

pytestmark = pytest.mark.medium

BRANDS = ["Café Olé", "Müller & Söhne", "Kinto", "L’Occitane", "Nordlys"]
COLOURS = ["red", "blue", "green"]
NUMBER = 60


def catalogue(number: int = NUMBER, first: int = 0) -> list[dict]:
    return [
        {
            "item_id": f"item-{n:03d}",
            "title": f"chair {n}",
            "description": f"It stands on {n} legs.",
            "brand": BRANDS[n % 5],
            "colors": COLOURS[n % 3],
        }
        for n in range(first, first + number)
    ]


def table(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist([{"images": [], **row} for row in rows], schema=ITEMS)


def renamed(rows: list[dict], names: dict[str, str]) -> list[dict]:
    return [{names.get(name, name): value for name, value in row.items()} for row in rows]


def swapped(a: str, b: str) -> list[dict]:
    return renamed(catalogue(), {a: b, b: a})


def shuffled(*names: str) -> list[dict]:
    others = catalogue()
    random.Random(1).shuffle(others)
    return [row | {name: other[name] for name in names} for row, other in zip(catalogue(), others, strict=True)]


def spelt(letters) -> list[dict]:
    return [row | {"brand": letters(row["brand"])} for row in catalogue()]


def rewritten(name: str, number: int) -> list[dict]:
    return [row | ({name: f"new {n}"} if n < number else {}) for n, row in enumerate(catalogue())]


@pytest.fixture
def judged(days):
    """What the gate says of a catalogue after yesterday's, in two buckets, and of thresholds."""
    today, yesterday = days

    def judged(rows: list[dict], thresholds: GateThresholds = DEFAULTS, before: list[dict] | None = None, **accepted):
        for run, entries in ((yesterday, before or catalogue()), (today, rows)):
            parts = [[row for row in entries if int(row["item_id"][-1]) % 2 == odd] for odd in (0, 1)]
            tables = {f"items/bucket-0000{n}-of-00002.parquet": table(part) for n, part in enumerate(parts)}
            filled = {field_count(name): sum(bool(row.get(name)) for row in entries) for name in TEXT_FIELDS}
            counts = {"rows_read": len(entries), "rows_written": len(entries), "rows_quarantined": 0}
            write_stage(run, "items", counts | filled, tables)
        return judge(today, yesterday, thresholds, **accepted)["changed_texts"]

    return judged


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (swapped("title", "description"), "title and description have each other's cells of yesterday"),
        (swapped("brand", "colors"), "brand and colors have each other's cells of yesterday"),
        (
            renamed(catalogue(), {"title": "description", "description": "brand", "brand": "title"}),
            "of yesterday's cells title has those of brand, description has those of title, brand has those of desc",
        ),
        (shuffled("description"), "description has yesterday's cells of other items"),
        (shuffled("title", "description", "brand"), "title, description, brand have yesterday's cells of other items"),
        (
            rewritten("description", 31),
            "description has changed in 31 of 60 items that have it on both days (0.516",
        ),
    ],
)
def test_texts_that_moved_or_were_rewritten_fail_with_what_became_of_them(judged, rows, told):
    result = judged(rows)
    assert (result.status, result.threshold) == ("failed", 0.5)
    assert told in result.message
    assert "expected at most 0.5 of each field" in result.message
    assert judged(rows, GateThresholds(max_changed_texts=1.0)).status == "passed"
    assert judged(rows, changed_texts="all texts are new").status == "accepted"


@pytest.mark.parametrize(
    "letters",
    [
        lambda text: text.encode().decode("cp1252", "replace"),
        lambda text: text.encode().decode("latin-1"),
        lambda text: text.encode("ascii", "replace").decode(),
        lambda text: text.encode("ascii", "replace").decode().replace("?", "\ufffd"),
    ],
)
def test_letters_of_another_encoding_fail_however_few_items_have_some(judged, letters):
    result = judged(spelt(letters))
    assert (result.status, result.value) == ("failed", 1.0)
    assert "36 of 36 cells of brand with letters beyond ASCII are yesterday's in a wrong encoding: 'Café Olé' is " in (
        result.message
    )
    assert "has changed in" not in result.message
    assert judged(catalogue(), before=spelt(letters)).status == "passed"  # the day after, when it is mended


def test_one_letter_that_is_mended_is_no_other_encoding():
    assert spoilt_letters("Café", "Cafe") is False
    assert spoilt_letters("Café", "CafÃ©") is True
    assert spoilt_letters("à la", "Ã la") is True  # what cp1252 has of à ends in a blank of a kind
    assert spoilt_letters("cafe", "cafe!") is False


@pytest.mark.parametrize(
    "rows",
    [
        catalogue(),
        rewritten("description", 30),
        catalogue(50) + [row | {"title": "other"} for row in catalogue(70, first=900)],  # new items
        [row | {"materials": "oak"} for row in catalogue()],  # a new column
        [{**row, "brand": None} for row in catalogue()],  # one that is gone: coverage_fields
    ],
)
def test_a_day_of_little_change_passes(judged, rows):
    assert judged(rows).status == "passed"


def test_few_items_may_change_altogether(judged):
    few = catalogue(19)
    result = judged(renamed(few, {"title": "description", "description": "title"}), before=few)
    assert result.status == "passed"
    assert "(fewer than 20 items are let pass)" in result.message
    assert (
        judged(
            renamed(few, {"title": "description", "description": "title"}),
            GateThresholds(min_quarantined=5),
            before=few,
        ).status
        == "failed"
    )


def test_files_of_equal_sha256_are_not_read(judged, days, monkeypatch):
    read, read_file = [], changed_texts._read
    monkeypatch.setattr(changed_texts, "_read", lambda *file: read.append(file[1]) or read_file(*file))
    result = judged(catalogue())
    assert (result.status, result.value, read) == ("passed", 0.0, [])
    odd = [row | ({"title": f"new {n}"} if n % 2 else {}) for n, row in enumerate(catalogue())]
    result = judged(odd)
    assert (result.status, result.value, len(read)) == ("passed", 0.5, 2)  # that of one bucket, of both days


def test_a_first_day_and_other_buckets_are_not_compared(judged, days):
    judged(catalogue())
    today, yesterday = days
    assert judge(today, None)["changed_texts"].status == "skipped"
    write_stage(yesterday, "items", {"rows_written": 60}, {"items/bucket-00000-of-00001.parquet": table(catalogue())})
    assert judge(today, yesterday)["changed_texts"].message == "not compared: the days have other buckets of items"


def test_a_damaged_file_of_yesterday_fails_until_accepted(judged, days):
    judged(rewritten("title", 3))
    today, yesterday = days
    path = yesterday / "items" / "bucket-00000-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    result = judge(today, yesterday)["changed_texts"]
    assert (result.status, result.remedy.startswith("restore the file")) == ("failed", True)


def test_the_message_of_a_failure_says_how_to_accept_it(judged, days):
    result = judged(swapped("title", "description"))
    with pytest.raises(ThresholdError, match=r"--accept changed_texts --because"):
        require_passed([result], days[0])


def test_changes_of_buckets_add_up():
    whole = TextChanges()
    compare_texts(table(swapped("title", "brand")), table(catalogue()), whole)
    parts = TextChanges()
    for start in range(0, NUMBER, 20):
        rows = slice(start, start + 20)
        compare_texts(table(swapped("title", "brand")[rows]), table(catalogue()[rows]), parts)
    assert (parts.filled, parts.changed, parts.moved) == (whole.filled, whole.changed, whole.moved)
    assert whole.moved["title", "brand"] == NUMBER
    assert check_changed_texts(parts, DEFAULTS) == check_changed_texts(whole, DEFAULTS)


def test_a_run_of_another_version_that_counted_no_fields_is_compared_by_what_is_read(judged, days):
    judged(rewritten("title", 40))
    today, yesterday = days
    edit(today, "items", {field_count(name): None for name in TEXT_FIELDS})
    assert judge(today, yesterday)["changed_texts"].status == "failed"
