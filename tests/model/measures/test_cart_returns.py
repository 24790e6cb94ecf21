"""Cart-return rows against loops over the log; classifiers that find a planted cause; nothing from after the split."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from session_logs import log_of, us_of_day
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_info, threadpool_limits

from model.measures.cart_returns import (
    SIZE_ALONE,
    CartRows,
    ReturnConfig,
    cart_features,
    cart_rows,
    return_report,
    return_scores,
)
from schemas.errors import ThresholdError, UsageError

pytestmark = pytest.mark.medium

ITEMS = [f"i{row:02d}" for row in range(40)]
SPLIT_DAY = 50
CONFIG = ReturnConfig(window_days=10, min_returns=1)


def shop_log(num_sessions: int = 600, days: int = 100):
    """A session buys two items; one whose cart's other item is of the other half is returned after 5 days, mostly."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(num_sessions):
        day, session = days * number / num_sessions, f"s{number:04d}"
        pair = generator.permutation(40)[:2]
        for item in pair:
            rows += [(day, session, ITEMS[item], "add_to_cart"), (day + 0.01, session, ITEMS[item], "checkout")]
        if (pair[0] < 20) != (pair[1] < 20) and generator.random() < 0.8:
            rows.append((day + 5, session, ITEMS[pair[0]], "return"))
    return log_of(*rows, (days, None, ITEMS[0], "click"))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 100),
            st.sampled_from(["s0", "s1", "s2", None]),
            st.sampled_from([*ITEMS[:4], "unlisted"]),
            st.sampled_from(["click", "add_to_cart", "checkout", "return"]),
        ),
        max_size=40,
    )
)
def test_rows_are_those_of_loops(rows):
    log = log_of(*rows, *FILL)
    rows = [*rows, *FILL]
    end = max(day for day, _, item, _ in rows if item in ITEMS)
    expected = set()
    for session in {session for _, session, _, _ in rows if session}:
        own = [row for row in rows if row[1] == session and row[2] in ITEMS]
        cart = {item for _, _, item, action in own if action in ("add_to_cart", "checkout")}
        for item in cart:
            times = [day for day, _, name, action in own if name == item and action == "checkout"]
            if times and min(times) + 10 <= (end if min(times) >= SPLIT_DAY else SPLIT_DAY):
                backs = [day for day, _, name, action in own if name == item and action == "return"]
                label = any(min(times) < back <= min(times) + 10 for back in backs)
                rows_of_cart = tuple(sorted(map(ITEMS.index, cart)))
                expected.add((ITEMS.index(item), rows_of_cart, label, min(times) >= SPLIT_DAY))
    found = cart_rows(log, ITEMS, us_of_day(SPLIT_DAY), CONFIG)
    columns = (found.item_R.tolist(), found.cart_R, found.is_returned_R.tolist(), found.is_test_R.tolist())
    assert set(zip(*columns, strict=True)) == expected


#: So that both parts have both labels, whatever else is there.
FILL = [
    (day, f"fill{day}", item, action)
    for day in (1, 60)
    for item, action in ((ITEMS[4], "checkout"), (ITEMS[5], "checkout"))
] + [(2, "fill1", ITEMS[4], "return"), (61, "fill60", ITEMS[4], "return"), (100, "end", ITEMS[6], "click")]


def test_a_return_after_the_window_is_none_and_an_open_window_is_no_row():
    log = log_of(
        *FILL,
        (20, "late", ITEMS[7], "checkout"), (31, "late", ITEMS[7], "return"),
        (45, "across", ITEMS[8], "checkout"), (52, "across", ITEMS[8], "return"),
        (95, "open", ITEMS[9], "checkout"),
    )  # fmt: skip
    found = cart_rows(log, ITEMS, us_of_day(SPLIT_DAY), CONFIG)
    assert not found.is_returned_R[found.item_R == 7].any()
    assert not {8, 9} & set(found.item_R.tolist())


def test_features_are_item_cart_cosine_and_size():
    rows = CartRows(
        np.array([0, 1]), ((0, 1, 2), (1,)), np.arange(2), np.zeros(2, bool), np.zeros(2, bool), np.zeros(2, bool)
    )
    vectors = np.array([[1.0, 0], [0, 1], [1, 0]])
    expected = [[1, 0, 0.5, 0.5, np.sqrt(0.5), np.log(3)], [0, 1, 0, 0, 0, 0]]
    assert cart_features(rows, vectors) == pytest.approx(np.array(expected))
    assert cart_features(rows, None) == pytest.approx(np.log([[3], [1]]))
    with pytest.raises(UsageError, match="finite vectors"):
        cart_features(rows, vectors * np.nan)


def test_features_of_many_carts_are_those_of_each_row_alone():
    rows = cart_rows(shop_log(), ITEMS, us_of_day(SPLIT_DAY), CONFIG)
    vectors = np.random.default_rng(2).normal(size=(40, 3)).astype(np.float32)
    features = cart_features(rows, vectors)
    assert len(rows) > 500
    for number, (item, cart) in enumerate(zip(rows.item_R.tolist(), rows.cart_R, strict=True)):
        others = [row for row in cart if row != item]
        mean = vectors[others].astype(np.float64).mean(axis=0) if others else np.zeros(3)
        assert features[number, 3:6] == pytest.approx(mean, abs=1e-12)


@pytest.fixture(scope="module")
def planted() -> tuple[CartRows, dict[str, np.ndarray]]:
    rows = cart_rows(shop_log(), ITEMS, us_of_day(SPLIT_DAY), CONFIG)
    halves = np.where(np.arange(40)[:, None] < 20, [[1.0, 0.0]], [[0.0, 1.0]])
    noise = np.random.default_rng(1).normal(size=(40, 2))
    return rows, {"halves": halves, "noise": noise / np.linalg.norm(noise, axis=1, keepdims=True)}


def test_classifiers_find_a_planted_cause_and_nothing_in_noise(planted):
    rows, vectors = planted
    found = return_report(rows, vectors, CONFIG, reference=SIZE_ALONE)
    assert found["test_rows"] == rows.is_test_R.sum()
    assert found["test_returned"] == rows.is_returned_R[rows.is_test_R].sum() > 50
    for classifier in ("logistic", "boosted"):
        figures = found[classifier]["all"]
        assert figures["halves"]["auc"] > 0.7
        assert figures["halves"]["more"]["auc_low"] > 0.1
        assert abs(figures["noise"]["auc"] - 0.5) < 0.12
        assert figures[SIZE_ALONE]["auc"] == 0.5
        assert found[classifier]["warm"] is None, "nothing was clicked before the split"


def test_a_part_of_few_returns_has_no_figure(planted):
    rows, vectors = planted
    of_test = np.flatnonzero(rows.is_test_R & rows.is_returned_R)
    few = dataclasses.replace(
        rows, is_cold_R=np.isin(np.arange(len(rows)), [*of_test[:5], *range(len(rows) - 40, len(rows))])
    )
    cold = few.is_returned_R[few.is_test_R & few.is_cold_R].sum()
    for least, is_there in ((cold, True), (cold + 1, False)):
        found = return_report(few, vectors, dataclasses.replace(CONFIG, min_returns=int(least)))
        assert (found["logistic"]["cold"] is not None) == is_there
        assert found["logistic"]["warm"] is not None


def test_scores_are_equal_on_every_run_and_no_test_label_is_read(planted):
    rows, vectors = planted
    features = cart_features(rows, vectors["noise"])
    flipped = dataclasses.replace(rows, is_returned_R=np.where(rows.is_test_R, ~rows.is_returned_R, rows.is_returned_R))
    for classifier in ("logistic", "boosted"):
        scores = return_scores(rows, features, classifier, CONFIG)
        assert (return_scores(rows, features, classifier, CONFIG) == scores).all()
        assert (return_scores(flipped, features, classifier, CONFIG) == scores).all()


def test_trees_take_as_many_threads_as_torch_does_and_their_scores_depend_on_none(planted, monkeypatch):
    rows, vectors = planted
    features, num_threads = cart_features(rows, vectors["noise"]), set()
    fit = HistGradientBoostingClassifier.fit

    def watched(model, *given):
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "openmp"]
        num_threads.update(pool["num_threads"] for pool in pools)
        return fit(model, *given)

    monkeypatch.setattr(HistGradientBoostingClassifier, "fit", watched)
    before, scores = torch.get_num_threads(), []
    for number in (1, 2):
        with threadpool_limits(3, "openmp"):
            torch.set_num_threads(number)
            scores.append(return_scores(rows, features, "boosted", CONFIG))
        torch.set_num_threads(before)
        assert num_threads == {number}
        num_threads.clear()
    assert (scores[0] == scores[1]).all()


def test_one_class_and_wrong_calls_say_what_was_expected(planted):
    rows, _ = planted
    kept = log_of(*((day, f"s{day}", ITEMS[day % 40], "checkout") for day in range(100)))
    with pytest.raises(ThresholdError, match="training part, got 0 and 4"):
        cart_rows(kept, ITEMS, us_of_day(SPLIT_DAY), CONFIG)
    with pytest.raises(ThresholdError, match="got 0 and 0"):
        cart_rows(kept, ["other"], us_of_day(SPLIT_DAY), CONFIG)
    with pytest.raises(UsageError, match="logistic, boosted"):
        return_scores(rows, cart_features(rows, None), "forest", CONFIG)
    for wrong in ({"window_days": 0}, {"trees": 0}, {"leaves": 1}):
        with pytest.raises(UsageError, match="expected"):
            ReturnConfig(**wrong)
