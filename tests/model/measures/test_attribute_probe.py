"""The attribute task: macro-F1 against scikit-learn, a probe that finds what is there, a split without leak."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from model.measures.attribute_probe import (
    AttributeQuestion,
    ProbeConfig,
    answers,
    ask,
    macro_f1_figure,
    majority_answers,
    report,
    text_features,
)
from schemas.errors import ThresholdError, UsageError

pytestmark = pytest.mark.medium

CONFIG = ProbeConfig(strengths=(1.0, 100.0))
NUM = 300
COLOURS = ("red", "green", "blue")


def question(**changes) -> AttributeQuestion:
    labels = [None if row % 11 == 0 else COLOURS[row % 7 % 3] for row in range(NUM)]
    families = [f"family-{row // 2}" for row in range(NUM)]
    return ask("colour", labels, families, np.arange(NUM) % 5 == 0, dataclasses.replace(CONFIG, **changes))


def vectors(noise: float) -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.eye(3)[np.arange(NUM) % 7 % 3] + noise * generator.normal(size=(NUM, 3))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=20))
def test_macro_f1_is_that_of_scikit_learn_over_the_values_that_are_there(items):
    labels, said, clusters = (np.array(column) for column in zip(*items, strict=True))
    figure = macro_f1_figure(labels, said, clusters)
    for counts in ([1] * (clusters.max() + 1), [2, 1, 0][: clusters.max() + 1]):
        drawn = np.repeat(np.arange(len(labels)), np.array(counts)[clusters])
        found = figure(np.array([counts]))[0]
        if len(drawn):
            there = np.unique(labels[drawn])
            expected = f1_score(labels[drawn], said[drawn], labels=there, average="macro", zero_division=0)
            assert found == pytest.approx(expected)
        else:
            assert np.isnan(found)


def test_the_probe_finds_what_is_there_and_nothing_else():
    asked = question()
    labels = asked.label_N[asked.test]
    right = answers(asked, vectors(0.1), CONFIG)
    noise = answers(asked, np.random.default_rng(1).normal(size=(NUM, 3)), CONFIG)
    assert (right == labels).mean() > 0.95
    assert (noise == labels).mean() < 0.55
    assert (answers(asked, vectors(0.1), CONFIG) == right).all()


def test_families_are_whole_on_one_side_and_items_without_value_are_not_asked():
    asked = question()
    sides = [{asked.family_N[row] for row in rows} for rows in (asked.train, asked.test)]
    assert not sides[0] & sides[1]
    assert (asked.label_N[np.concatenate([asked.train, asked.test])] >= 0).all()
    assert len(asked.train) + len(asked.test) == (asked.label_N >= 0).sum() == NUM - len(range(0, NUM, 11))
    assert 0.15 < len(asked.test) / NUM < 0.45
    assert question(seed=1).test.tolist() != asked.test.tolist()


def test_the_report_compares_with_majority_and_text_and_keeps_cold_items_apart():
    asked = question()
    texts = [f"a {COLOURS[row % 7 % 3]} thing" if row % 2 else "a thing" for row in range(NUM)]
    said = {
        "vectors": answers(asked, vectors(0.3), CONFIG),
        "majority": majority_answers(asked),
        "text": answers(asked, text_features(texts, asked), CONFIG),
    }
    found = report(asked, said, reference="text")
    assert found["test_items"] == len(asked.test)
    assert found["cold_items"] == asked.is_cold_T.sum() > 0
    figures = found["all"]
    assert figures["majority"]["macro_f1"] < figures["text"]["macro_f1"] < figures["vectors"]["macro_f1"]
    assert figures["vectors"]["macro_f1_low"] < figures["vectors"]["macro_f1"] < figures["vectors"]["macro_f1_high"]
    assert figures["vectors"]["more"]["macro_f1_low"] > 0
    assert figures["text"]["more"] == {"macro_f1": 0.0, "macro_f1_low": 0.0, "macro_f1_high": 0.0}
    cold = asked.is_cold_T
    labels = asked.label_N[asked.test]
    expected = f1_score(labels[cold], said["vectors"][cold], average="macro")
    assert found["cold"]["vectors"]["macro_f1"] == pytest.approx(expected)
    warm_only = dataclasses.replace(asked, is_cold_T=np.zeros(len(asked.test), bool))
    assert report(warm_only, said)["cold"] is None


def test_majority_is_the_most_frequent_value_of_training():
    asked = question()
    counts = np.bincount(asked.label_N[asked.train])
    assert set(majority_answers(asked).tolist()) == {int(counts.argmax())}


def test_rare_values_are_not_asked_for_and_training_can_be_limited():
    labels = ["red" if row % 2 else "green" for row in range(NUM)]
    labels[:3] = ["gold"] * 3
    own = [str(row) for row in range(NUM)]
    cold = np.arange(NUM) < 100
    asked = ask("colour", labels, own, cold, CONFIG, may_train_N=~cold)
    assert asked.values == ("green", "red")
    assert (asked.train >= 100).all()
    assert asked.is_cold_T.any()


def test_bad_input_says_what_was_expected():
    with pytest.raises(ThresholdError, match="got 1 values"):
        ask("colour", ["red"] * NUM, [str(row) for row in range(NUM)], np.zeros(NUM, bool), CONFIG)
    with pytest.raises(ThresholdError, match="got 0 values and 0 test items"):
        ask("colour", [], [], np.zeros(0, bool), CONFIG)
    with pytest.raises(UsageError, match="as many families"):
        ask("colour", ["red"], [], np.zeros(1, bool), CONFIG)
    with pytest.raises(UsageError, match="a row of each of 300"):
        answers(question(), np.ones((3, 3)), CONFIG)
    with pytest.raises(UsageError, match="finite vectors"):
        answers(question(), np.full((NUM, 3), np.nan), CONFIG)
    with pytest.raises(ThresholdError, match="texts with words"):
        text_features([""] * NUM, question())
    for wrong in ({"test_share": 0}, {"strengths": ()}, {"min_items": 0}):
        with pytest.raises(UsageError, match="expected"):
            ProbeConfig(**wrong)
