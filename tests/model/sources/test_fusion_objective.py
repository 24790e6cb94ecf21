"""The objective of a search for weights against loops; that it sees nothing of the table; that it finds what is there.

A shop of 60 items of three kinds: sessions click two of a kind and buy a third; of kind 0 what is bought comes back.
`kinds` tells the kind and `noise` nothing.
"""

import dataclasses

import numpy as np
import pytest
from session_logs import log_of, us_of_day
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.measures.attribute_probe import ProbeConfig
from model.measures.cart_returns import ReturnConfig
from model.measures.one_embedding import (
    ATTRIBUTES,
    CART_RETURNS,
    CLICKED_BOUGHT,
    OneEmbeddingTasks,
    TasksConfig,
    table_tasks,
    validation_tasks,
)
from model.sources.fusion import FusionConfig, fuse, settle_fusion
from model.sources.fusion_objective import objective
from model.sources.unit_rows import unit_or_zero
from model.sources.weight_search import Objective, WeightSearchConfig, search_weights
from schemas.errors import ThresholdError, UsageError

pytestmark = pytest.mark.medium

NUM = 240
ITEMS = [f"i{row:03d}" for row in range(NUM)]
FAMILIES = [f"family-{row // 2}" for row in range(NUM)]
KIND = np.arange(NUM) // 2 % 3
LABELS = {"colour": [("red", "green", "blue")[kind] for kind in KIND], "rare": [None] * NUM}
SPLIT, END, LAST = 40, 80, 120
CONFIG = TasksConfig(
    probe=ProbeConfig(strengths=(10.0,)), returns=ReturnConfig(window_days=5, min_returns=3, strength=0.1)
)
FUSION = FusionConfig(weights={"kinds": 1.0, "noise": 1.0}, half_evidence={"kinds": 3.0})


def events(days: int = LAST) -> list[tuple[float, str | None, str, str]]:
    generator = np.random.default_rng(0)
    rows: list[tuple[float, str | None, str, str]] = []
    for number in range(days * 4):
        day, kind, session = number / 4, number % 3, f"s{number:04d}"
        one, two, three = generator.permutation(np.flatnonzero(kind == KIND))[:3]
        rows += [(day, session, ITEMS[item], "click") for item in (one, two)]
        rows += [(day + 0.01, session, ITEMS[item], "checkout") for item in (two, three)]
        if kind == 0 and generator.random() < 0.7:
            rows.append((day + 3, session, ITEMS[three], "return"))
    return rows


def sources() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    kinds = np.eye(3)[KIND] + 0.4 * generator.normal(size=(NUM, 3))
    kinds[::7] = 0
    return {"kinds": kinds.astype(np.float32), "noise": generator.normal(size=(NUM, 3)).astype(np.float32)}


def evidence() -> dict[str, np.ndarray]:
    return {"kinds": np.arange(NUM) % 9}


def asked(log: list | None = None, labels: dict | None = None) -> OneEmbeddingTasks:
    rows = log_of(*(events() if log is None else log))
    return validation_tasks(rows, ITEMS, labels or LABELS, FAMILIES, us_of_day(SPLIT), us_of_day(END), CONFIG)


def fused_by_loops(weights: dict[str, float]) -> np.ndarray:
    rows = []
    for item in range(NUM):
        total = np.zeros(3)
        for name, vectors in sources().items():
            vector, share = vectors[item].astype(np.float64), 1.0
            if name == "kinds":
                share = evidence()["kinds"][item] / (evidence()["kinds"][item] + 3.0)
            if np.linalg.norm(vector):
                total += weights[name] * share * vector / np.linalg.norm(vector)
        rows.append(total / np.linalg.norm(total) if np.linalg.norm(total) else total)
    return np.array(rows)


def scores_by_loops(tasks: OneEmbeddingTasks, vectors: np.ndarray) -> dict[str, float]:
    question = tasks.questions["colour"]
    model = LogisticRegression(C=10.0, max_iter=200).fit(vectors[question.train], question.label_N[question.train])
    said = model.predict(vectors[question.test])
    pairs, carts = tasks.pairs, tasks.carts
    near = [float(vectors[a] @ vectors[b]) for a, b in zip(pairs.clicked_P, pairs.bought_P, strict=True)]
    far = [float(vectors[a] @ vectors[b]) for a, b in zip(pairs.random_P, pairs.bought_P, strict=True)]
    won = sum((one > other) + (one == other) / 2 for one in near for other in far)
    rows = []
    for item, cart in zip(carts.item_R, carts.cart_R, strict=True):
        others = [vectors[other] for other in cart if other != item]
        mean = np.mean(others, axis=0) if others else np.zeros(3)
        norms = np.linalg.norm(vectors[item]) * np.linalg.norm(mean)
        cosine = vectors[item] @ mean / norms if norms else 0.0
        rows.append([*vectors[item], *mean, cosine, np.log(len(cart))])
    test = carts.is_test_R
    returns = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    returns.fit(np.array(rows)[~test], carts.is_returned_R[~test])
    score = returns.predict_proba(np.array(rows)[test])[:, 1]
    return {
        ATTRIBUTES: f1_score(question.label_N[question.test], said, average="macro"),
        CLICKED_BOUGHT: won / (len(near) * len(far)),
        CART_RETURNS: roc_auc_score(carts.is_returned_R[test], score),
    }


@pytest.mark.parametrize("weights", [{"kinds": 0.5, "noise": 0.5}, {"kinds": 0.9, "noise": 0.1}])
def test_the_scores_of_weights_are_those_of_loops(weights):
    tasks = asked()
    found = objective(sources(), evidence(), tasks, FUSION)(weights)
    expected = scores_by_loops(tasks, fused_by_loops(weights))
    assert found == pytest.approx(expected, abs=2e-3)
    assert found == objective(sources(), evidence(), tasks, FUSION)(weights)
    if weights["kinds"] > 0.8:
        assert all(expected[task] > floor + 0.05 for task, floor in tasks.floors().items())


def test_the_search_finds_the_source_that_tells():
    tasks = asked()
    assert tasks.names == [ATTRIBUTES, CLICKED_BOUGHT, CART_RETURNS]
    assert set(tasks.left_out) == {"rare"}
    scored = objective(sources(), evidence(), tasks, FUSION)
    found = search_weights(
        sorted(sources()), scored, tasks.floors(), WeightSearchConfig(levels=(0, 1, 4), max_rounds=1)
    )
    assert found.weights["kinds"] > 2 * found.weights["noise"]
    assert found.tasks == sorted(tasks.names)


def test_validation_sees_nothing_of_the_table():
    rows = events()
    table = table_tasks(log_of(*rows), ITEMS, LABELS, FAMILIES, us_of_day(END), CONFIG)
    whole = asked(rows)
    hidden = {FAMILIES[row] for row in table.questions["colour"].test}
    question = whole.questions["colour"]
    assert not hidden & {FAMILIES[row] for row in np.concatenate([question.train, question.test])}
    later = [row for row in rows if row[0] >= END]
    assert len(later) > 100
    other = [row if row[0] < END else (row[0], row[1], ITEMS[0], row[3]) for row in rows]
    labels = [None if name in hidden else label for name, label in zip(FAMILIES, LABELS["colour"], strict=True)]
    changed = asked(other, {**LABELS, "colour": labels})
    weights = {"kinds": 0.5, "noise": 0.5}
    given = sources(), evidence()
    assert objective(*given, changed, FUSION)(weights) == objective(*given, whole, FUSION)(weights)
    assert table.pairs is not None
    assert len(table.pairs) > 100


def test_an_attribute_is_not_asked_of_a_source_that_has_seen_it():
    tasks = asked()
    weights = {"kinds": 0.5, "noise": 0.5}
    seen = objective(sources(), evidence(), tasks, FUSION, {"kinds": {"colour"}})(weights)
    unseen = objective(sources(), evidence(), tasks, FUSION)(weights)
    noise = tasks.scores(lambda _: unit_or_zero(sources()["noise"]))
    assert seen[ATTRIBUTES] == noise[ATTRIBUTES] < unseen[ATTRIBUTES] - 0.1
    assert {name: seen[name] for name in (CLICKED_BOUGHT, CART_RETURNS)} == {
        name: unseen[name] for name in (CLICKED_BOUGHT, CART_RETURNS)
    }
    alone = objective(sources(), evidence(), tasks, FUSION, {"kinds": {"colour"}})({"kinds": 1.0, "noise": 0.0})
    assert alone[ATTRIBUTES] == tasks.floors()[ATTRIBUTES]


def asked_of_some() -> OneEmbeddingTasks:
    """The tasks of some items only."""
    bounds = {"max_items": 60, "max_pairs": 20, "max_bought": 60, "max_session_items": 90}
    config = TasksConfig(probe=CONFIG.probe, returns=CONFIG.returns, **bounds)
    labels = {"colour": LABELS["colour"], "late": [*[None] * 120, *LABELS["colour"][120:]]}
    return validation_tasks(log_of(*events()), ITEMS, labels, FAMILIES, us_of_day(SPLIT), us_of_day(END), config)


def rows_asked(tasks: OneEmbeddingTasks) -> np.ndarray:
    return np.unique(np.concatenate([tasks.asked(attribute) for attribute in ("", *tasks.questions)]))


def three_sources() -> dict[str, np.ndarray]:
    """`wide` is cut to the directions of most variance, which are those of all its vectors."""
    wide = np.random.default_rng(2).normal(size=(NUM, 7)) * np.linspace(1, 3, NUM)[:, None]
    wide[:, :3] += 2 * np.eye(3)[KIND]
    return {**sources(), "wide": wide.astype(np.float32)}


def objective_of_all(tasks: OneEmbeddingTasks, config: FusionConfig, seen: dict[str, set[str]]) -> Objective:
    """The twin: every trial settles on all items and fuses all."""

    def scores(weights):
        def vectors_for(attribute):
            own = {name: value for name, value in weights.items() if value > 0 and attribute not in seen.get(name, ())}
            if not own:
                return None
            half = {name: value for name, value in config.half_evidence.items() if name in own}
            whole = dataclasses.replace(config, weights=own, half_evidence=half)
            return fuse(settle_fusion(whole, three_sources()), three_sources(), evidence())

        return tasks.scores(vectors_for)

    return scores


@pytest.mark.parametrize("seen", [{}, {"kinds": {"colour"}, "wide": {"colour", "late"}}])
@pytest.mark.parametrize("how", ["sum", "concatenation"])
def test_weights_found_on_the_items_asked_are_those_of_fusing_all(how, seen):
    tasks = asked_of_some()
    assert set(tasks.questions) == {"colour", "late"}
    assert 60 < len(rows_asked(tasks)) < NUM - 60
    dim = {"dim": 3} if how == "sum" else {}
    weights = dict.fromkeys(three_sources(), 1.0)
    config = FusionConfig(weights=weights, half_evidence={"kinds": 3.0}, how=how, projection="principal", **dim)
    search = WeightSearchConfig(levels=(0, 0.5, 2), max_rounds=2)
    few, every = (
        search_weights(sorted(weights), scored, tasks.floors(), search)
        for scored in (
            objective(three_sources(), evidence(), tasks, config, seen),
            objective_of_all(tasks, config, seen),
        )
    )
    assert few.weights == every.weights
    assert few.curve == every.curve
    assert len({tuple(trial["scores"].values()) for trial in few.curve}) > 5


def test_what_is_asked_of_no_item_is_not_fused():
    tasks = asked_of_some()
    is_asked = np.zeros(NUM, bool)
    is_asked[rows_asked(tasks)] = True
    unreadable = {name: np.where(is_asked[:, None], rows, np.nan) for name, rows in sources().items()}
    weights = {"kinds": 0.5, "noise": 0.5}
    found = objective(unreadable, evidence(), tasks, FUSION)(weights)
    assert found == objective(sources(), evidence(), tasks, FUSION)(weights)
    unreadable["kinds"][np.flatnonzero(is_asked)[0]] = np.nan
    with pytest.raises(UsageError, match="finite vectors"):
        objective(unreadable, evidence(), tasks, FUSION)(weights)


def test_carts_and_pairs_are_bounded():
    whole, tasks = asked(), asked_of_some()
    assert len(tasks.pairs) <= 20 < len(whole.pairs)
    assert len(tasks.carts) <= 60 < len(whole.carts)
    assert max(len(tasks.pairs.items), len(tasks.carts.items)) <= 90 < len(whole.carts.items)
    sizes = {session: int((whole.carts.session_R == session).sum()) for session in whole.carts.session_R.tolist()}
    for session in tasks.carts.session_R.tolist():
        assert (tasks.carts.session_R == session).sum() == sizes[session]
    bound = TasksConfig(probe=CONFIG.probe, returns=CONFIG.returns, max_bought=1)
    log = log_of(*events())
    told = validation_tasks(log, ITEMS, LABELS, FAMILIES, us_of_day(SPLIT), us_of_day(END), bound).left_out
    assert "returned and as many kept items" in told[CART_RETURNS]


def test_attributes_and_items_are_bounded():
    labels = {"colour": LABELS["colour"], "few": [*LABELS["colour"][:-10], *[None] * 10]}
    config = TasksConfig(probe=CONFIG.probe, returns=CONFIG.returns, max_attributes=1, max_items=100)
    rows = log_of(*events())
    tasks = validation_tasks(rows, ITEMS, labels, FAMILIES, us_of_day(SPLIT), us_of_day(END), config)
    assert list(tasks.questions) == ["colour"]
    assert (tasks.questions["colour"].label_N >= 0).sum() <= 100


def test_bad_input_says_what_was_expected():
    with pytest.raises(UsageError, match="from 5 to before 5"):
        validation_tasks(log_of(*events()), ITEMS, LABELS, FAMILIES, 5, 5, CONFIG)
    with pytest.raises(UsageError, match=r"240 items, got \{'kinds': 3\}"):
        objective({"kinds": np.ones((3, 3), np.float32)}, {}, asked(), FUSION)
    with pytest.raises(ThresholdError, match="a task that catalogue and log can ask, got none"):
        asked([(1.0, "s", ITEMS[0], "click")], {"colour": [None] * NUM})
    with pytest.raises(UsageError, match="max_bought and max_session_items >= 1"):
        TasksConfig(max_items=0)
