"""Fusion against loops over items and sources; weights of evidence; saved fusions; the search for weights."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.sources.fusion import (
    Fusion,
    FusionConfig,
    effective_weights,
    fuse,
    load_fusion,
    orthogonal,
    principal_directions,
    save_fusion,
    settle_fusion,
)
from model.sources.unit_rows import unit_or_zero
from model.sources.weight_search import WeightSearchConfig, search_weights
from schemas.errors import CorruptFileError, UsageError

DIMS = {"attributes": 5, "clicks": 7, "pictures": 12}
WEIGHTS = {"attributes": 1.0, "clicks": 2.0, "pictures": 0.5}


def sources(num_items: int = 20, seed: int = 0) -> dict[str, np.ndarray]:
    """Of any norm; a third of the rows of each source are missing."""
    generator = np.random.default_rng(seed)
    found = {}
    for name, dim in DIMS.items():
        vectors = generator.normal(size=(num_items, dim)) * generator.uniform(0.5, 3, (num_items, 1))
        found[name] = np.where(generator.random((num_items, 1)) < 1 / 3, 0, vectors).astype(np.float32)
    return found


def evidence(num_items: int = 20) -> dict[str, np.ndarray]:
    return {"clicks": np.random.default_rng(1).integers(0, 40, num_items)}


def fused_by_loops(fusion: Fusion, given_sources: dict[str, np.ndarray], clicks: np.ndarray) -> np.ndarray:
    config, rows = fusion.config, []
    for item in range(len(clicks)):
        parts = {}
        for name in sorted(config.weights):
            vector = given_sources[name][item].astype(np.float64)
            norm = np.sqrt(sum(number * number for number in vector))
            known = clicks[item] / (clicks[item] + 10) if name in config.half_evidence else 1.0
            unit = vector / norm if norm > 0 else vector
            projection = fusion.projections.get(name)
            parts[name] = config.weights[name] * known * (unit if projection is None else projection.T @ unit)
        whole = np.concatenate(list(parts.values())) if config.how == "concatenation" else sum(parts.values())
        norm = np.sqrt((whole * whole).sum())
        rows.append(whole / norm if norm > 0 else whole)
    return np.array(rows)


@pytest.mark.parametrize("projection", ["orthogonal", "principal"])
@pytest.mark.parametrize(("how", "dim"), [("sum", None), ("sum", 4), ("concatenation", None)])
def test_fusion_is_that_of_loops(how, dim, projection):
    config = FusionConfig(weights=WEIGHTS, half_evidence={"clicks": 10}, how=how, dim=dim, projection=projection)
    fusion = settle_fusion(config, sources())
    fused = fuse(fusion, sources(), evidence())
    assert fused.shape == (20, {None: 12, 4: 4}[dim] if how == "sum" else sum(DIMS.values()))
    assert fused.dtype == np.float32
    assert np.abs(fused - fused_by_loops(fusion, sources(), evidence()["clicks"])).max() < 1e-6


def test_a_lone_source_keeps_its_cosines_and_a_weight_of_0_leaves_one_out():
    given_sources = sources()
    config = FusionConfig(weights={"attributes": 3.0, "clicks": 0.0}, dim=12)
    fused = fuse(settle_fusion(config, given_sources), given_sources)
    unit = unit_or_zero(given_sources["attributes"])
    assert np.abs(fused @ fused.T - unit @ unit.T).max() < 1e-6


def test_cosines_of_a_concatenation_are_the_sources_weighted_by_squares():
    full = {name: vectors + 0.1 for name, vectors in sources().items()}
    fused = fuse(settle_fusion(FusionConfig(weights=WEIGHTS, how="concatenation"), full), full)
    squares = {name: weight**2 for name, weight in WEIGHTS.items()}
    expected = sum(squares[name] * unit_or_zero(full[name]) @ unit_or_zero(full[name]).T for name in WEIGHTS)
    assert np.abs(fused @ fused.T - expected / sum(squares.values())).max() < 1e-5


def test_an_item_with_more_clicks_is_nearer_to_its_clicks():
    given_sources = {name: np.repeat(vectors[:1] + 1, 3, axis=0) for name, vectors in sources().items()}
    config = FusionConfig(weights={"clicks": 1.0, "attributes": 1.0}, half_evidence={"clicks": 10}, how="concatenation")
    fused = fuse(settle_fusion(config, given_sources), given_sources, {"clicks": np.array([0, 10, 1000])})
    shares = np.linalg.norm(fused[:, DIMS["attributes"] :], axis=1)
    assert shares[0] == 0
    assert shares[0] < shares[1] < shares[2] < np.sqrt(0.5) < shares[2] + 0.01


def test_without_half_evidence_the_weights_are_those_of_what_is_there():
    """Plain renormalising: evidence is not even asked for."""
    present = {"attributes": np.array([True, False]), "clicks": np.array([True, True])}
    config = FusionConfig(weights={"attributes": 1.0, "clicks": 2.0})
    assert effective_weights(config, present, {}).tolist() == [[1.0, 2.0], [0.0, 2.0]]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 599), min_size=1, max_size=600))
def test_a_row_has_the_same_bytes_whatever_its_neighbours(rows):
    given_sources, clicks = sources(600), evidence(600)["clicks"]
    fusion = settle_fusion(FusionConfig(weights=WEIGHTS, half_evidence={"clicks": 5}), given_sources)
    whole = fuse(fusion, given_sources, {"clicks": clicks})
    part = fuse(fusion, {name: vectors[rows] for name, vectors in given_sources.items()}, {"clicks": clicks[rows]})
    assert part.tobytes() == whole[rows].tobytes()


def test_an_item_of_no_source_has_no_vector_and_all_others_are_of_norm_1():
    given_sources = sources(40)
    missing = ~np.any([vectors.any(axis=1) for vectors in given_sources.values()], axis=0)
    assert missing.any()
    norms = np.linalg.norm(fuse(settle_fusion(FusionConfig(weights=WEIGHTS), given_sources), given_sources), axis=1)
    assert np.abs(norms - ~missing).max() < 1e-6


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 100))
def test_orthogonal_projections_keep_lengths_where_there_is_room(rows, columns, seed):
    matrix = orthogonal(rows, columns, seed).astype(np.float64)
    gram = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    assert np.abs(gram - np.eye(min(rows, columns))).max() < 1e-6
    assert (orthogonal(rows, columns, seed) == matrix.astype(np.float32)).all()


def test_principal_directions_are_those_of_a_singular_value_decomposition():
    vectors = sources(200)["pictures"]
    found = principal_directions(vectors, 3).astype(np.float64)
    _, _, right = np.linalg.svd(unit_or_zero(vectors).astype(np.float64), full_matrices=False)
    assert np.abs(np.abs(right[:3] @ found) - np.eye(3)).max() < 1e-4


def test_a_saved_fusion_fuses_as_before_and_one_that_was_changed_is_refused(tmp_path):
    config = FusionConfig(weights=WEIGHTS, half_evidence={"clicks": 10}, dim=6, projection="principal", turn=True)
    fusion = settle_fusion(config, sources())
    name = save_fusion(fusion, tmp_path / "one", [{"step": "equal", "combined": 0.5}])
    loaded = load_fusion(tmp_path / "one")
    assert fuse(loaded, sources(), evidence()).tobytes() == fuse(fusion, sources(), evidence()).tobytes()
    assert loaded.config == config
    assert save_fusion(settle_fusion(config, sources()), tmp_path / "two") == name
    forged = dataclasses.replace(fusion, projections={})
    save_fusion(forged, tmp_path / "three")
    with pytest.raises(CorruptFileError, match="configured shapes"):
        load_fusion(tmp_path / "three")
    plain = settle_fusion(FusionConfig(weights=WEIGHTS, how="concatenation"), sources())
    save_fusion(plain, tmp_path / "four")
    assert load_fusion(tmp_path / "four").config == plain.config
    assert load_fusion(tmp_path / "four").dim == plain.dim == sum(DIMS.values())


def test_bad_input_says_what_was_expected():
    with pytest.raises(UsageError, match="at most 12 directions"):
        principal_directions(sources()["pictures"], 13)
    fusion = settle_fusion(FusionConfig(weights=WEIGHTS, half_evidence={"clicks": 10}), sources())
    with pytest.raises(UsageError, match="none of \\['pictures'\\]"):
        fuse(fusion, {name: sources()[name] for name in ("attributes", "clicks")}, evidence())
    with pytest.raises(UsageError, match="as many rows"):
        fuse(fusion, {**sources(), "clicks": sources(3)["clicks"]}, evidence())
    with pytest.raises(UsageError, match="settle the fusion anew"):
        fuse(fusion, {**sources(), "clicks": np.ones((20, 3))}, evidence())
    with pytest.raises(UsageError, match="finite vectors"):
        fuse(fusion, {**sources(), "clicks": np.full((20, 7), np.nan)}, evidence())
    for bad in ({}, {"clicks": np.ones(3)}, {"clicks": np.full(20, -1)}, {"clicks": np.full(20, np.nan)}):
        with pytest.raises(UsageError, match="evidence >= 0 of 20 items for clicks"):
            fuse(fusion, sources(), bad)
    with pytest.raises(UsageError, match="leave it out"):
        settle_fusion(FusionConfig(weights=WEIGHTS), {**sources(), "clicks": np.zeros((20, 7))})
    for wrong in ({"weights": {}}, {"weights": {"a": 0.0}}, {"weights": {"a": -1.0}}, {"weights": {"a": np.nan}}):
        with pytest.raises(UsageError, match="one weight above 0"):
            FusionConfig(**wrong)
    for wrong in ({"half_evidence": {"x": 1}}, {"how": "product"}, {"how": "concatenation", "dim": 4}, {"dim": 0}):
        with pytest.raises(UsageError, match="expected"):
            FusionConfig(weights={"a": 1.0}, **wrong)


BEST = {"a": 0.5, "b": 0.25, "c": 0.25}


def two_tasks(weights: dict[str, float]) -> dict[str, float]:
    """Highest at BEST; each task likes another single source."""
    miss = sum((weights[name] - BEST[name]) ** 2 for name in BEST)
    return {"attribute": 0.9 - miss + 0.1 * weights["a"], "pairs": 0.7 - 0.3 * miss + 0.02 * weights["b"]}


def test_the_search_comes_near_the_best_weights_and_writes_down_each_trial():
    calls = []
    found = search_weights(
        list(BEST), lambda weights: calls.append(weights) or two_tasks(weights), {"attribute": 0.0, "pairs": 0.5}
    )
    assert found.weights == pytest.approx(BEST, abs=0.1)
    assert sum(found.weights.values()) == pytest.approx(1)
    assert found.tasks == ["attribute", "pairs"]
    assert [line["step"] for line in found.curve[:4]] == ["alone", "alone", "alone", "equal"]
    assert len({tuple(weights.items()) for weights in calls}) == len(calls), "equal weights are tried once"
    best = [line for line in found.curve if line["is_best"]][-1]
    assert best["weights"] == found.weights
    assert best["combined"] == max(line["combined"] for line in found.curve)
    again = search_weights(["c", "b", "a"], two_tasks, {"pairs": 0.5, "attribute": 0.0})
    assert again == found, "the order of names does not matter"


def test_a_single_source_that_is_best_stays_alone_and_a_task_that_tells_nothing_does_not_count():
    def objective(weights: dict[str, float]) -> dict[str, float]:
        return {"attribute": 0.2 + 0.5 * weights["a"], "returns": 0.5}

    found = search_weights(["a", "b"], objective, {"attribute": 0.1, "returns": 0.5})
    assert found.weights == {"a": 1.0, "b": 0.0}
    assert found.tasks == ["attribute"]


def test_no_single_source_is_above_the_winner_be_it_by_little():
    def objective(weights: dict[str, float]) -> dict[str, float]:
        return {"pairs": {"a": 0.5, "b": 0.5004}.get(next((name for name in weights if weights[name] == 1), ""), 0.1)}

    found = search_weights(["a", "b", "c"], objective, {"pairs": 0.0})
    assert found.weights == {"a": 0.0, "b": 1.0, "c": 0.0}
    assert found.chosen["combined"] == max(trial["combined"] for trial in found.curve)


def test_what_was_found_says_what_each_source_gets_alone():
    found = search_weights(list(BEST), two_tasks, {"attribute": 0.0, "pairs": 0.5})
    assert found.chosen["weights"] == found.weights
    assert set(found.alone) == set(BEST)
    for name, trial in found.alone.items():
        weights = {other: float(other == name) for other in BEST}
        assert trial["weights"] == weights
        assert trial["scores"] == pytest.approx(two_tasks(weights))
    assert found.best_alone == max(BEST, key=lambda name: found.alone[name]["combined"])


def test_the_least_task_can_be_what_counts():
    def objective(weights: dict[str, float]) -> dict[str, float]:
        return {"one": weights["a"] ** 3, "two": weights["b"]}

    floors = {"one": 0.0, "two": 0.0}
    mean = search_weights(["a", "b"], objective, floors)
    least = search_weights(["a", "b"], objective, floors, WeightSearchConfig(combine="min"))
    assert sorted(mean.weights.values()) == [0, 1]
    assert 0.5 < least.weights["a"] < 0.9


def test_a_search_that_cannot_be_says_why():
    with pytest.raises(UsageError, match="different sources"):
        search_weights(["a", "a"], two_tasks, {"pairs": 0})
    with pytest.raises(UsageError, match="above its floor"):
        search_weights(["a"], lambda weights: {"pairs": 0.5}, {"pairs": 0.5})
    for scores in ({}, {"pairs": float("nan")}):
        with pytest.raises(UsageError, match="a score of each"):
            search_weights(["a"], lambda weights, scores=scores: scores, {"pairs": 0.5})
    with pytest.raises(UsageError, match="levels"):
        WeightSearchConfig(levels=(0.0,))
