"""Id ranges, encoding against a plain second implementation, files and their corruption."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.text.tokenizer import bigrams, character_trigrams, normalize, words
from model.text.vocabulary import (
    KINDS,
    MAX_TOKENS_PER_FIELD,
    PAPER_TABLE_SIZE,
    TOKENS,
    TokenCounts,
    Vocabulary,
    most_frequent,
    sum_counts,
)
from schemas.errors import CorruptFileError
from schemas.hashing import stable_hash
from schemas.tables import TEXT_FIELDS

CORPUS = [
    "Solid wood chair",
    "solid wood table, oak",
    "Oak chair 木椅 - café",
    "chair",
    "#1 chair",
    "Straße  (red)",
    None,
]


def count(texts):
    counts = TokenCounts()
    for text in texts:
        counts.add_text(text)
    return counts


def vocabulary_of(texts, words=1000, bigrams=1000, trigrams=1000, min_count=1):
    sizes = {"word": words, "bigram": bigrams, "trigram": trigrams}
    return Vocabulary.from_counts(count(texts).table(), sizes, min_count)


def plain_encode(tokens, text):
    """Second implementation: no memory of pieces, ids from the definition of the ranges."""
    normalized = normalize(text)
    found = words(normalized)
    ids, base = [], 0
    for kind, wanted in zip(KINDS, (found, bigrams(found), character_trigrams(normalized)), strict=True):
        known = [row["token"] for row in tokens.to_pylist() if row["kind"] == kind]
        ids += [base + 1 + known.index(token) for token in wanted if token in known]
        base += len(known) + 1
    return ids


@pytest.fixture
def vocabulary():
    return vocabulary_of(CORPUS)


def test_paper_table_size():
    assert PAPER_TABLE_SIZE == 1_264_003


def test_ranges_are_disjoint_and_their_first_id_is_unused():
    vocabulary = vocabulary_of(["b a a c"], words=2, bigrams=2, trigrams=1)
    assert vocabulary.tokens["token"].to_pylist()[:4] == ["a", "b", "a#a", "a#c"]
    assert (vocabulary.sizes, vocabulary.size) == ({"word": 2, "bigram": 2, "trigram": 1}, 8)
    # ids: 0 unused, a 1, b 2, 3 unused, a#a 4, a#c 5, 6 unused, the one trigram 7; "#a#" occurs twice
    assert vocabulary.encode("a b").tolist() == [1, 2, 7]
    assert vocabulary.encode("A, a!").tolist() == [1, 1, 4]
    assert vocabulary.encode("b a a c").tolist() == [2, 1, 1, 4, 5, 7, 7]


def test_frequency_ranks_and_ties_go_to_the_smaller_token():
    tokens = vocabulary_of(["z z z b a c c é"], words=4).tokens.to_pylist()
    assert [(row["token"], row["count"]) for row in tokens if row["kind"] == "word"] == [
        ("z", 3),
        ("c", 2),
        ("a", 1),
        ("b", 1),
    ]


def test_min_count_drops_rare_tokens():
    assert vocabulary_of(["a a b"], min_count=2).sizes == {"word": 1, "bigram": 0, "trigram": 1}


def test_counts_are_occurrences():
    counts = count(["chair chair", "Chair", "", None])
    assert counts.by_kind["word"] == {"chair": 3}
    assert counts.by_kind["bigram"] == {"chair#chair": 1}
    assert counts.by_kind["trigram"] == {"#ch": 3, "cha": 3, "hai": 3, "air": 3, "ir#": 3, "r#c": 1}


def test_unknown_tokens_are_dropped_and_duplicates_kept(vocabulary):
    assert vocabulary.encode("qqq").tolist() == []
    assert vocabulary.encode("").tolist() == []
    once, twice = vocabulary.encode("chair"), vocabulary.encode("chair zzz chair")
    assert Counter(twice.tolist()) == Counter(dict.fromkeys(once.tolist(), 2))
    assert vocabulary.encode("chair").dtype == np.int32


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*(t for t in CORPUS if t), " ", "-", "\u200b", "椅", "CHAIR", "x\ud800", "e\u0301"])))
def test_encode_equals_plain_encode(parts):
    vocabulary = vocabulary_of(CORPUS)
    for text in ("".join(parts), " ".join(parts)):
        expected = plain_encode(vocabulary.tokens, text)
        assert vocabulary.encode(text).tolist() == expected
        assert vocabulary.encode(text).tolist() == expected  # the second time from memory


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.integers(2, 5000))
def test_hashing_mode_keeps_every_token_inside_the_table(text, size):
    ids = Vocabulary.hashing(size).encode(text)
    normalized = normalize(text)
    found = words(normalized)
    expected = [
        1 + stable_hash(f"{kind}/{token}") % (size - 1)
        for kind, tokens in zip(KINDS, (found, bigrams(found), character_trigrams(normalized)), strict=True)
        for token in tokens
    ]
    assert ids.tolist() == expected
    assert all(1 <= token < size for token in ids)


def test_hashing_needs_two_rows():
    with pytest.raises(ValueError, match="at least 2, got 1"):
        Vocabulary.hashing(1)


def test_encode_item_is_encode_field_by_field(vocabulary):
    row = {"title": "Oak chair", "brand": "", "colors": None, "google_product_category": "table", "item_id": "chair"}
    ids, offsets = vocabulary.encode_item(row)
    assert (ids.dtype, offsets.dtype, len(offsets)) == (np.int32, np.int32, len(TEXT_FIELDS) + 1)
    for number, name in enumerate(TEXT_FIELDS):
        expected = vocabulary.encode(row.get(name) or "").tolist()
        assert ids[offsets[number] : offsets[number + 1]].tolist() == expected
    assert offsets[1] > 0
    assert offsets[-1] == len(ids) > offsets[-2]


def test_a_field_keeps_its_first_tokens():
    vocabulary = vocabulary_of(["a b"])
    ids, offsets = vocabulary.encode_item({"title": "a b " * 5000, "brand": "b"})
    assert offsets[1] == MAX_TOKENS_PER_FIELD
    assert ids[: offsets[1]].tolist() == [1, 2] * (MAX_TOKENS_PER_FIELD // 2)
    assert ids[offsets[1] :].tolist() == vocabulary.encode("b").tolist()


@pytest.mark.parametrize("original", [vocabulary_of(CORPUS), Vocabulary.hashing(5000), vocabulary_of([])])
def test_save_and_load(original, tmp_path):
    original.save(tmp_path / "v")
    loaded = Vocabulary.load(tmp_path / "v")
    assert (loaded.id, loaded.size, loaded.mode, loaded.sizes) == (
        original.id,
        original.size,
        original.mode,
        original.sizes,
    )
    for text in CORPUS[:-1]:
        assert loaded.encode(text).tolist() == original.encode(text).tolist()
    assert {path.name for path in (tmp_path / "v").iterdir()} == {"tokens.parquet", "vocabulary.json"}
    first = (tmp_path / "v" / "tokens.parquet").read_bytes()
    loaded.save(tmp_path / "w")
    assert (tmp_path / "w" / "tokens.parquet").read_bytes() == first


def test_id_names_the_content():
    ids = {
        vocabulary_of(CORPUS).id,
        vocabulary_of(CORPUS[:-2]).id,
        vocabulary_of(CORPUS, words=3).id,
        Vocabulary.hashing(5000).id,
        Vocabulary.hashing(5001).id,
    }
    assert len(ids) == 5
    assert vocabulary_of(CORPUS).id == vocabulary_of(list(reversed(CORPUS))).id


def test_load_refuses_other_tokens(vocabulary, tmp_path):
    vocabulary.save(tmp_path)
    rows = pq.read_table(tmp_path / "tokens.parquet").to_pylist()
    rows[0], rows[1] = rows[1], rows[0]
    pq.write_table(pa.Table.from_pylist(rows, schema=TOKENS), tmp_path / "tokens.parquet")
    with pytest.raises(CorruptFileError, match=f"expected tokens of vocabulary {vocabulary.id}"):
        Vocabulary.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokens.parquet", b"PAR1 no", "expected a vocabulary in"),
        ("tokens.parquet", None, "expected a vocabulary in"),
        ("vocabulary.json", b"{", "expected JSON"),
        ("vocabulary.json", None, "expected a JSON file"),
        ("vocabulary.json", b"[]", "expected a vocabulary in"),
    ],
)
def test_load_refuses_broken_files(vocabulary, tmp_path, name, content, message):
    vocabulary.save(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CorruptFileError, match=message):
        Vocabulary.load(tmp_path)


def test_load_refuses_another_tokeniser(vocabulary, tmp_path):
    vocabulary.save(tmp_path)
    description = json.loads((tmp_path / "vocabulary.json").read_text())
    (tmp_path / "vocabulary.json").write_text(json.dumps({**description, "tokenizer_version": 99}))
    with pytest.raises(CorruptFileError, match="got version 99"):
        Vocabulary.load(tmp_path)


def test_sum_counts_and_most_frequent_do_not_depend_on_the_split():
    texts = [text for text in CORPUS if text]
    whole = count(texts).table()
    parts = sum_counts([count(texts[i::3]).table() for i in range(3)])
    sizes = {"word": 3, "bigram": 5, "trigram": 7}
    assert most_frequent(parts, sizes).equals(most_frequent(whole, sizes))
    assert most_frequent(parts, sizes).num_rows == 15
