"""The tokeniser against golden Unicode cases, worked examples and properties.

The golden file is regenerated (only together with a new TOKENIZER_VERSION and folder) by

    PYTHONPATH=. python tests/model/test_tokenizer.py
"""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.text.tokenizer import TOKENIZER_VERSION, bigrams, character_trigrams, is_cjk, normalize, words
from model.text.vocabulary import Vocabulary

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "tokenizer" / f"v{TOKENIZER_VERSION}" / "cases.json"
ANY_TEXT = st.text(st.characters(), max_size=40)  # lone surrogates and unassigned characters too


def outputs_of(text):
    normalized = normalize(text)
    found = words(normalized)
    return {
        "normalized": normalized,
        "words": found,
        "bigrams": bigrams(found),
        "trigrams": character_trigrams(normalized),
        "hashed_ids": Vocabulary.hashing().encode(text).tolist(),
    }


def golden_cases():
    return json.loads(GOLDEN.read_text(encoding="ascii"))


@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: case["name"])
def test_golden(case):
    assert outputs_of(case["text"]) == {name: case[name] for name in case if name not in ("name", "text")}


def test_golden_covers_the_hard_scripts():
    names = {case["name"] for case in golden_cases()}
    assert {"cjk", "combining marks", "ligatures", "emoji zwj", "turkish i", "right to left", "lone surrogate"} <= names
    assert {"html description", "escaped twice", "bare less than and ampersand", "vulgar fractions"} <= names


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("Solid WOOD", "solid wood"),
        ("Straße", "strasse"),
        ("ﬁne ﬃ", "fine ffi"),
        ("Cafe\u0301", "caf\u00e9"),
        ("ＡＢＣ１２", "abc12"),
        ("½ kg", "1/2 kg"),
        ("3½ in, 3&frac12; in", "3 1/2 in, 3 1/2 in"),
        ("3\u00ad½ ½½ x½", "3 1/2 1/2 1/2 x1/2"),
        ("2\u00b9\u2044\u2082 3\u20444 10\u00b2/5 m\u00b2", "2 1/2 3/4 102/5 m2"),
        ("CAF&EACUTE; <B>W</B>ord", "café word"),
        ("\uff1cb\uff1ex <b\u226f", "x <b\u226f"),
        ("İI", "i\u0307i"),
        ("ı", "ı"),
        ("so\u00adft\u200b \ufeffx\u200f", "soft x"),
        ("a\x00b\tc\x1bd", "a b c d"),
        ("\ud800x\udc00", "\ufffdx\ufffd"),
        ("\u0345\u0301", normalize("\u0301\u0345")),
        ("", ""),
    ],
)
def test_normalize_worked_examples(text, normalized):
    assert normalize(text) == normalized


def test_a_fraction_has_the_tokens_that_people_type():
    assert outputs_of("3½ inch") == outputs_of("3 1/2 inch")
    assert outputs_of("3½ inch")["words"] == ["3", "1", "2", "inch"]


def test_words_split_and_drop_punctuation_and_isolate_ideographs():
    assert words("don't 2-in-1, a_b c#d $5+1") == ["don", "t", "2", "in", "1", "a", "b", "c", "d", "5", "1"]
    assert words("ikea木椅子 2つ") == ["ikea", "木", "椅", "子", "2つ"]
    assert words("«größe»… ¿qué?") == ["größe", "qué"]
    assert words("\u2764 50€ x") == ["\u2764", "50€", "x"]  # symbols are not punctuation
    assert words(" ... ") == []


def test_bigrams_join_with_hash():
    assert bigrams(["wood", "chair", "set"]) == ["wood#chair", "chair#set"]
    assert bigrams(["wood"]) == []


def test_trigrams_frame_the_whole_string_and_keep_punctuation():
    assert character_trigrams("a  b-c") == ["#a#", "a#b", "#b-", "b-c", "-c#"]
    assert character_trigrams("a") == ["#a#"]
    assert character_trigrams("\n ab\u3000") == ["#ab", "ab#"]
    assert character_trigrams(" \t") == []


@given(ANY_TEXT)
@example("\u0345\u0301ΐ")
@example("ᾳ\u0301\u034f\u0327")
@example("\u1100\u115f\u1161")
def test_normalize_is_idempotent_and_encodable(text):
    normalized = normalize(text)
    assert normalize(normalized) == normalized
    assert unicodedata.is_normalized("NFKC", normalized)
    normalized.encode("utf-8")


@given(ANY_TEXT | st.text("<b>/&amp;\u0338\u226e\u226f\u00ad\uff1c \u00bd3\u2044\u00b2", max_size=20))
@example("<b\u226f")
def test_canonically_equal_texts_have_equal_tokens(text):
    assert outputs_of(unicodedata.normalize("NFD", text)) == outputs_of(text)


@given(ANY_TEXT)
def test_tokens_have_their_shapes(text):
    found = outputs_of(text)
    for word in found["words"]:
        assert word
        assert not any(c.isspace() or unicodedata.category(c)[0] == "P" for c in word)
        assert len(word) == 1 or not any(map(is_cjk, word))
    assert len(found["bigrams"]) == max(len(found["words"]) - 1, 0)
    joined = "#".join(found["normalized"].split())
    assert len(found["trigrams"]) == len(joined)
    assert all(len(trigram) == 3 for trigram in found["trigrams"])


@pytest.mark.medium
def test_every_character_survives_alone():
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) == "Cn":
            continue
        normalized = normalize(character)
        assert normalize(normalized) == normalized, hex(code)
        words(normalized)


def regenerate():
    cases = [{"name": case["name"], "text": case["text"], **outputs_of(case["text"])} for case in golden_cases()]
    GOLDEN.write_text(json.dumps(cases, indent=1, ensure_ascii=True) + "\n", encoding="ascii")


if __name__ == "__main__":
    regenerate()
