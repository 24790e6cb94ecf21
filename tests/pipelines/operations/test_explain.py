"""Why an item was computed or reused: every reason on two days made by hand; unknown and hostile ids; damage."""

import json
import shutil
from pathlib import Path

import pytest
from inspected_days import HOSTILE
from verified_store import current

from model.text.vocabulary import TokenCounts, Vocabulary
from pipelines.operations.explain.account import close_ids, explain
from pipelines.operations.explain.item_in_run import ItemInRun, PictureFacts, published_ids, read_item
from pipelines.operations.explain.item_reasons import picture_changes, token_texts, tokens_of, verdict_of
from pipelines.operations.explain.job import format_explanation, main
from schemas.files import read_json
from schemas.records.tfrecords import ItemFeatures


def told(folder: Path, item_id: str) -> dict:
    return explain(str(folder), current(folder), item_id)


@pytest.mark.parametrize(
    ("item_id", "outcome", "reason"),
    [
        ("item-000", "reused", "its feature record and the model are yesterday's"),
        ("item-001", "computed", "text changed: title"),
        ("item-002", "computed", "picture content: '2-0.jpg'"),
        ("item-004", "reused", "its feature record and the model are yesterday's"),
        ("item-005", "computed", "picture broken: '5-1.jpg'"),
        ("item-007", "absent", "the run has no such item"),
        ("item-040", "computed", "new: it had no vector yesterday"),
        ("item-041", "absent", "no_content: got something else"),
        (HOSTILE, "reused", "its feature record and the model are yesterday's"),
    ],
)
def test_every_item_is_told_why(made_store, item_id, outcome, reason):
    found = told(made_store, item_id)
    assert (found["outcome"], found["reasons"]) == (outcome, [reason])
    assert found["problems"] == []


@pytest.mark.medium
def test_what_is_told_is_what_the_run_did(made_store):
    """Reasons come from rows, pictures and records; what was done stands in changes/ and in the counts."""
    run = current(made_store)
    ids = [f"item-{n:03d}" for n in range(42)] + [HOSTILE]
    found = [told(made_store, name) for name in ids]
    counts = read_json(run / "manifest.json")["counts"]
    assert sum(f["outcome"] == "reused" for f in found) == counts["rows_reused"]
    assert sum(f["outcome"] == "computed" for f in found) == counts["rows_computed"]
    for f in found:
        if f["outcome"] == "reused":
            assert (f["change"], f["vector"]["same_bytes"]) == (None, True)
        if f["change"] == "new":
            assert f["reasons"] == ["new: it had no vector yesterday"]
        assert (f["change"] == "deleted") == (f["item_id"] == "item-007")


def test_row_pictures_tokens_vector_and_neighbours(made_store):
    found = told(made_store, "item-001")
    (title,) = [entry for entry in found["row"] if entry["field"] == "title"]
    assert title["differs"]
    assert title["yesterday"].startswith("blue")
    (tokens,) = [entry for entry in found["tokens"] if entry["field"] == "title"]
    assert {"entirely", "other", "zzyzx", "words"} == set(tokens["unknown_words"])
    assert tokens["unknown"] > 10
    assert found["vector"]["norm"] == pytest.approx(1, abs=1e-5)
    assert found["vector"]["cosine"] < 0.9999
    assert not found["vector"]["same_bytes"]
    assert len(found["neighbours"]["today"]) == len(found["neighbours"]["yesterday"]) == 10
    assert "item-001" not in [entry["item_id"] for entry in found["neighbours"]["today"]]
    assert 0 <= found["neighbours"]["overlap"] <= 10
    assert found["record"]["pictures"] == 1


def test_pictures_of_both_days(made_store):
    touched = told(made_store, "item-004")["pictures"]
    assert [(p["uri"], p["change"]) for p in touched] == [("4-0.jpg", "touched")]
    assert len(touched[0]["sha256"]) == 64
    broken = told(made_store, "item-005")["pictures"]
    assert [(p["uri"], p["reason"], p["change"]) for p in broken] == [
        ("5-0.jpg", None, None),
        ("5-1.jpg", "missing", "broken"),
    ]


def test_quarantine_of_rows_and_pictures(made_store):
    assert [row["reason"] for row in told(made_store, "item-041")["quarantine"]] == ["missing", "no_content"]
    duplicate = told(made_store, "item-006")
    assert [row["reason"] for row in duplicate["quarantine"]] == ["duplicate_id"]
    assert duplicate["outcome"] == "reused"


def test_an_id_that_is_gone_or_unknown(made_store, capsys):
    gone = told(made_store, "item-007")
    assert (gone["known"], gone["was_there_yesterday"], gone["change"]) == (False, True, "deleted")
    assert gone["close_ids"] == []
    assert main(["item-007", "--store", str(made_store)]) == 0
    out = capsys.readouterr().out
    assert "it was there yesterday" in out
    title = next(entry["yesterday"] for entry in gone["row"] if entry["field"] == "title")
    assert "\nrow of yesterday\n" in out
    assert repr(title) in out
    assert "None" not in out
    assert "ids like it" not in out
    assert "neighbours" not in out
    assert main(["item-00x", "--store", str(made_store)]) == 2
    out = capsys.readouterr().out
    assert "it was not there yesterday either" in out
    assert "bucket     " in out
    assert "'item-00" in out


def test_an_absent_item_may_be_one_that_was_left_out(made_store):
    gone = told(made_store, "item-007")
    assert gone["rows_left_out"] == 0
    assert "leave_out" not in format_explanation(gone)
    some = {**gone, "rows_left_out": 1_200}
    assert "it was there yesterday; leave_out left out 1,200 rows" in format_explanation(some)
    unknown = {**told(made_store, "item-00x"), "rows_left_out": 1_200}
    assert "not quarantined; leave_out left out 1,200 rows; ids like it" in format_explanation(unknown)
    assert "leave_out" not in format_explanation({**told(made_store, "item-000"), "rows_left_out": 1_200})


def test_a_rejected_row_is_told_where_the_catalogue_has_it(made_store):
    found = told(made_store, "item-006") | {"known": False, "was_there_yesterday": False}
    assert "rejected   no such item in this run: its row is in the quarantine, 'catalog.parquet:7'" in (
        format_explanation(found).splitlines()
    )


def test_the_size_of_a_missing_picture_is_not_a_number(made_store):
    found = told(made_store, "item-005")
    found["pictures"][1]["bytes"] = -1
    assert "  '5-1.jpg', -, missing: got none   * broken" in format_explanation(found).splitlines()


def test_an_unfinished_run_is_told_as_far_as_it_came(own_store):
    run = current(own_store)
    for name in ("COMPLETED", "manifest.json", "manifests/features.json", "manifests/embeddings.json"):
        (run / name).unlink()
    for name in ("manifests/index.json",):
        (run / name).unlink()
    for name in ("features", "fingerprints", "embeddings", "index", "changes"):
        shutil.rmtree(run / name)
    found = explain(str(own_store), run, "item-001")
    assert len(found["problems"]) == 1
    assert "features, embeddings, index cannot be told" in found["problems"][0]
    lines = format_explanation(found).splitlines()
    assert not lines[1].endswith(("; ", ";"))
    assert any("entirely other" in line for line in lines)
    shutil.rmtree(run / "manifests")
    found = explain(str(own_store), run, "item-001")
    assert len(found["problems"]) == 1
    assert "bucket     not known" in format_explanation(found).splitlines()


@pytest.mark.parametrize(
    "item_id", ["", "../../CURRENT", "/etc/passwd", "x" * 100_000, "a\0b", "\x1b]0;x\x07", "\ud800", "item-000\n"]
)
def test_hostile_ids_are_quoted_and_read_nothing_else(made_store, item_id, capsys):
    assert main([item_id, "--store", str(made_store)]) == 2
    out = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in out)
    assert len(out) < 2_000
    assert main([item_id, "--store", str(made_store), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["known"] is False


def test_the_first_day_has_no_yesterday(made_store):
    (run,) = (made_store / "runs" / "2026-06-29").iterdir()
    found = explain(str(made_store), run, "item-001")
    assert found["previous"] is None
    assert found["reasons"] == ["there is no run before to take it over from"]
    assert found["neighbours"]["overlap"] is None
    assert "with no run before" in format_explanation(found)


def test_yesterday_of_a_run_without_started_file(own_store):
    (current(own_store) / "started.json").unlink()
    assert told(own_store, "item-001")["reasons"] == ["text changed: title"]


def test_a_run_without_fingerprints_is_told_from_what_is_there(own_store):
    for path in own_store.glob("runs/*/*/fingerprints/*"):
        path.unlink()
    found = told(own_store, "item-002")
    assert found["reasons"] == ["picture content: '2-0.jpg'"]
    assert told(own_store, "item-005")["reasons"] == ["picture broken: '5-1.jpg'"]
    same = told(own_store, "item-004")
    assert (same["outcome"], "no fingerprints" in same["reasons"][0]) == ("computed", True)


def test_an_explanation_for_a_person(made_store, capsys):
    assert main([HOSTILE, "--store", str(made_store)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    for word in ("item ", "bucket ", "vector ", "row", "tokens", "neighbours"):
        assert f"\n{word}" in f"\n{out}"
    assert main(["item-005", "--store", str(made_store)]) == 0
    out = capsys.readouterr().out
    assert "* broken" in out
    assert "quarantine\n  today" in out
    assert "computed: picture broken" in out


def test_wrong_calls(tmp_path, made_store, capsys):
    assert main(["x", "--store", str(tmp_path / "none")]) == 2
    assert main(["x", "--store", str(tmp_path)]) == 2
    assert main(["--store", str(made_store)]) == 2
    assert "expected ITEM" in capsys.readouterr().err


def picture(uri: str, sha256: str | None = "a", modified_ns: int | None = 1, reason: str | None = None) -> PictureFacts:
    return PictureFacts(uri=uri, bytes=1, modified_ns=modified_ns, sha256=sha256, reason=reason)


@pytest.mark.parametrize(
    ("today", "yesterday", "expected"),
    [
        ([], [], {}),
        ([picture("u")], [picture("u")], {}),
        ([picture("u")], [], {"u": "new"}),
        ([], [picture("u")], {"u": "gone"}),
        ([picture("u", "b")], [picture("u")], {"u": "content"}),
        ([picture("u", modified_ns=2)], [picture("u")], {"u": "touched"}),
        ([picture("u", modified_ns=None)], [picture("u")], {}),
        ([picture("u", None, reason="missing")], [picture("u")], {"u": "broken"}),
        ([picture("u")], [picture("u", None, reason="missing")], {"u": "mended"}),
        ([picture("v"), picture("u")], [picture("u"), picture("v")], {}),
    ],
)
def test_changes_of_pictures(today, yesterday, expected):
    assert picture_changes(today, yesterday) == expected


def test_a_new_model_is_a_reason_and_reused_is_not_claimed(made_store):
    run = current(made_store)
    (before,) = (made_store / "runs" / "2026-06-29").iterdir()
    today, yesterday = read_item(run, "item-000"), read_item(before, "item-000")
    assert verdict_of(today, yesterday).outcome == "reused"
    yesterday.ids["model_id"] = "itemsage-ffffffffffff"
    verdict = verdict_of(today, yesterday)
    assert verdict.outcome == "computed"
    assert verdict.reasons[0].startswith("new model: 'itemsage-ffffffffffff' became")
    assert verdict_of(ItemInRun(run, "x"), None).outcome == "absent"


def test_tokens_of_a_vocabulary_are_its_texts():
    counts = TokenCounts()
    for text in ("red wool scarf", "blue silk", "red lamp"):
        counts.add_text(text)
    vocabulary = Vocabulary.from_counts(counts.table(), {"word": 3, "bigram": 4, "trigram": 5})
    ids = vocabulary.encode("red wool blue silk")
    assert "red" in token_texts(vocabulary, ids)
    for token_id in range(1, vocabulary.size):
        texts = token_texts(vocabulary, [token_id])
        assert len(texts) == (0 if token_id in (4, 9) else 1)  # the unused first ids of bigrams and trigrams
        if texts and token_id <= 3:
            assert token_id in vocabulary.encode(texts[0]).tolist()
    row = {"title": "red zebra"}
    token_ids, offsets = vocabulary.encode_item(row)
    record = ItemFeatures(item_id="a", token_ids=token_ids, token_offsets=offsets, pictures=None)
    (tokens,) = tokens_of(row, record, vocabulary)
    assert tokens.unknown_words == ["zebra"]
    assert tokens.known == len(token_ids)
    (hashed,) = tokens_of(row, record, Vocabulary.hashing(100))
    assert hashed.first == ["red", "zebra"]


def test_close_ids_are_bounded():
    ids = sorted(f"sku-{n:07d}" for n in range(50_000))
    assert "sku-0012345" in close_ids("sku-0012345 ", ids)
    assert close_ids("y" * 513, ids) == []
    assert close_ids("sku-1", []) == []


@pytest.mark.slow
def test_a_real_day_is_explained(real_store):
    run = current(real_store)
    counts = read_json(run / "manifest.json")["counts"]
    found = [told(real_store, name) for name in published_ids(run)]
    assert counts["rows_new"] >= 1
    assert sum(f["reasons"] == ["new: it had no vector yesterday"] for f in found) == counts["rows_new"]
    assert sum(f["outcome"] == "reused" for f in found) == counts["rows_reused"]
    assert [f["change"] for f in found if f["reasons"][0].startswith("picture content")] == ["changed"]
    assert all(f["problems"] == [] for f in found)
