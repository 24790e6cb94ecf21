"""The vocabulary job equals a direct computation, whatever the buckets, the batches, the flushes and the runner."""

import random
from collections import Counter
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that

from model.text.vocabulary import KINDS, TokenCounts, Vocabulary, sum_counts
from pipelines.run.units import Unit, UnitWriter, bucket_name, read_stage_manifest, write_stage_manifest
from pipelines.vocabulary import count_tokens, job
from pipelines.vocabulary.count_tokens import CountTokens, MostFrequent, count_files, partition
from schemas.errors import CorruptFileError, UsageError
from schemas.hashing import bucket_of, stable_hash
from schemas.tables import ITEMS, TEXT_FIELDS

pytestmark = pytest.mark.medium

WORDS = ["chair", "table", "oak", "red", "木椅", "café", "usb-c", "Lamp", "x", "2m", "straße", "the"]
OPTIONS = PipelineOptions(["--runner=FnApiRunner"])
SIZES = {"word": 6, "bigram": 20, "trigram": 30}


def make_rows(num_rows, seed=0):
    draw = random.Random(seed)
    rows = []
    for number in range(num_rows):
        row = {"item_id": f"item-{number:04d}", "images": [], **dict.fromkeys(TEXT_FIELDS)}
        for name in draw.sample(TEXT_FIELDS, 4):
            skewed = [WORDS[min(int(draw.expovariate(0.4)), len(WORDS) - 1)] for _ in range(draw.randrange(8))]
            row[name] = " ".join(skewed)
        rows.append(row)
    return rows


def write_items(run, rows, num_buckets):
    names = [bucket_name(bucket, num_buckets) for bucket in range(num_buckets)]
    for bucket, name in enumerate(names):
        own = [row for row in rows if bucket_of(row["item_id"], num_buckets) == bucket]
        writer = UnitWriter(str(run), Unit("items", name, "f"))
        with writer.file(f"items/{name}.parquet") as temporary:
            pq.write_table(pa.Table.from_pylist(own, schema=ITEMS), temporary)
        writer.counts["rows_written"] = len(own)
        writer.seal()
    write_stage_manifest(str(run), "items", names, num_buckets=num_buckets)
    return [str(Path(run, "items", f"{name}.parquet")) for name in names]


def direct(rows, sizes=SIZES, min_count=1):
    counts = TokenCounts()
    for row in rows:
        for name in TEXT_FIELDS:
            counts.add_text(row[name])
    return Vocabulary.from_counts(counts.table(), sizes, min_count)


def config_for(run, **changes):
    flags = {"max_words": SIZES["word"], "max_bigrams": SIZES["bigram"], "max_trigrams": SIZES["trigram"]}
    return job.VocabularyConfig(run=str(run), **{**flags, **changes})


def bytes_of(run):
    return {path.name: path.read_bytes() for path in Path(run, "vocabulary").iterdir()}


@pytest.mark.parametrize("num_buckets", [1, 3, 8])
def test_job_equals_direct_computation(tmp_path, num_buckets):
    rows = make_rows(120)
    expected = direct(rows)
    assert list(expected.sizes.values()) == list(SIZES.values()), "every kind must be cut for this to prove anything"
    write_items(tmp_path, rows, num_buckets)
    manifest = job.run(config_for(tmp_path), OPTIONS)
    loaded = Vocabulary.load(tmp_path / "vocabulary")
    assert loaded.tokens.equals(expected.tokens)
    assert manifest["vocabulary_id"] == loaded.id == expected.id
    assert manifest["counts"] == {
        "items_read": 120,
        "words_written": 6,
        "bigrams_written": 20,
        "trigrams_written": 30,
    }
    assert (manifest["size"], manifest["mode"]) == (59, "vocabulary")
    assert manifest == read_stage_manifest(str(tmp_path), "vocabulary")


def test_buckets_do_not_change_a_byte(tmp_path):
    rows = make_rows(60)
    for num_buckets in (1, 5):
        write_items(tmp_path / str(num_buckets), rows, num_buckets)
        job.run(config_for(tmp_path / str(num_buckets), min_count=2), OPTIONS)
    assert bytes_of(tmp_path / "1") == bytes_of(tmp_path / "5")
    assert Vocabulary.load(tmp_path / "1" / "vocabulary").id == direct(rows, min_count=2).id


def test_second_run_is_skipped_and_changes_are_not(tmp_path, monkeypatch, capsys):
    write_items(tmp_path, make_rows(20), 2)
    first = job.run(config_for(tmp_path), OPTIONS)
    assert "reused 0" in capsys.readouterr().out

    def must_not_run(*_):
        raise AssertionError("a finished unit is computed again")

    with monkeypatch.context() as patched:
        patched.setattr(job.MakeVocabulary, "define", must_not_run)
        assert job.run(config_for(tmp_path), OPTIONS) == first
        assert "reused 1" in capsys.readouterr().out
        with pytest.raises(AssertionError, match="again"):
            job.run(config_for(tmp_path, max_words=5), OPTIONS)
    write_items(tmp_path, make_rows(20, seed=1), 2)
    assert job.run(config_for(tmp_path), OPTIONS)["vocabulary_id"] == direct(make_rows(20, seed=1)).id
    (tmp_path / "vocabulary" / "tokens.parquet").unlink()
    job.run(config_for(tmp_path), OPTIONS)
    assert Vocabulary.load(tmp_path / "vocabulary").id == direct(make_rows(20, seed=1)).id


def test_hashing_mode_reads_no_items(tmp_path):
    manifest = job.run(config_for(tmp_path, mode="hashing", hashing_size=4096), OPTIONS)
    loaded = Vocabulary.load(tmp_path / "vocabulary")
    assert (loaded.mode, loaded.size, manifest["size"]) == ("hashing", 4096, 4096)
    assert manifest["vocabulary_id"] == loaded.id == Vocabulary.hashing(4096).id


def test_catalogue_without_text_has_an_empty_vocabulary(tmp_path):
    rows = [{"item_id": "a", "images": ["a.jpg"], **dict.fromkeys(TEXT_FIELDS)}]
    write_items(tmp_path, rows, 1)
    assert job.run(config_for(tmp_path), OPTIONS)["size"] == 3


@pytest.mark.parametrize("max_tokens_in_memory", [1, 40, 10**6])
def test_flushed_counts_add_up(tmp_path, max_tokens_in_memory, monkeypatch):
    monkeypatch.setattr(count_tokens, "_ROWS_A_BATCH", 7)
    rows = make_rows(50)
    paths = write_items(tmp_path, rows, 2)
    partial = list(count_files(paths, max_tokens_in_memory))
    assert (len(partial) > 2) == (max_tokens_in_memory < 10**6)
    assert sum(num_items for _, num_items in partial) == 50
    summed = sum_counts(table for table, _ in partial)
    assert Vocabulary.from_counts(summed).id == direct(rows, dict.fromkeys(KINDS, 10**6)).id


def test_partition_is_complete_and_by_token():
    counts = TokenCounts()
    counts.add_text(" ".join(f"word{number}" for number in range(200)))
    parts = dict(partition(counts.table(), 8))
    assert set(parts) == set(range(8))
    assert sum(part.num_rows for part in parts.values()) == len(counts)
    for number, part in parts.items():
        assert {stable_hash(token) % 8 for token in part["token"].to_pylist()} == {number}


def test_most_frequent_combines_in_any_order_and_association(monkeypatch):
    monkeypatch.setattr(count_tokens, "_MAX_ROWS_UNCUT", 10)
    counts = TokenCounts()
    for row in make_rows(40):
        counts.add_text(row["title"])
    expected = Vocabulary.from_counts(counts.table(), SIZES).tokens
    parts = [count_tokens._to_bytes(part) for _, part in partition(counts.table(), 8)]
    combine = MostFrequent(SIZES)
    for seed in range(5):
        random.Random(seed).shuffle(parts)
        accumulators = []
        for start in range(0, len(parts), 1 + seed):
            accumulator = combine.create_accumulator()
            for part in parts[start : start + 1 + seed]:
                accumulator = combine.add_input(accumulator, part)
            accumulators.append(accumulator)
        assert combine.extract_output(combine.merge_accumulators(accumulators)).equals(expected)


def test_transform_yields_one_table_and_the_number_of_items(tmp_path):
    rows = make_rows(30)
    paths = write_items(tmp_path, rows, 3)
    expected = direct(rows).tokens

    def check(found):
        assert len(found) == 1
        tokens, num_items = found[0]
        assert tokens.equals(expected)
        assert num_items == 30

    with beam.Pipeline(options=OPTIONS) as pipeline:
        assert_that(pipeline | beam.Create([(path,) for path in paths]) | CountTokens(SIZES, min_count=1), check)


def test_groups_are_few_and_complete():
    paths = [f"p{number:03d}" for number in range(257)]
    groups = job.group_paths(paths)
    assert [path for group in groups for path in group] == paths
    assert len(groups) <= job.MAX_GROUPS
    assert Counter(map(len, groups)).most_common(1)[0][0] == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_words": -1}, "expected --max-words >= 0, got -1"),
        ({"min_count": 0}, "expected --min-count >= 1, got 0"),
        ({"mode": "hashing", "hashing_size": 1}, "expected --hashing-size >= 2, got 1"),
        ({"mode": "both"}, "expected --mode vocabulary or hashing, got 'both'"),
    ],
)
def test_values_out_of_range(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        job.run(config_for(tmp_path, **changes), OPTIONS)


def test_without_items_it_names_the_stage(tmp_path):
    with pytest.raises(CorruptFileError, match="expected the finished stage 'items'"):
        job.run(config_for(tmp_path), OPTIONS)


def test_command_line(tmp_path, capsys):
    write_items(tmp_path, make_rows(20), 2)
    assert job.main(["--run", str(tmp_path), "--max-words", "6", "--max-bigrams=20", "--max-trigrams=30"]) == 0
    assert Vocabulary.load(tmp_path / "vocabulary").id == direct(make_rows(20)).id
    assert "items read 20" in capsys.readouterr().out
    assert job.main(["--run", str(tmp_path), "--min-count", "0"]) == 2
    assert "expected --min-count >= 1" in capsys.readouterr().err
