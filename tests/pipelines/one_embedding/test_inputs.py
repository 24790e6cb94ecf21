"""What the tasks are asked of: a run's items, a log's sessions, the vectors of sources; weights found on them."""

import math

import numpy as np
import pyarrow as pa
import pytest
from run_builder import RunBuilder
from source_runs import session_row, write_rows
from task_runs import ITEM_IDS, NUM, SOURCES_END, SPLIT, colour_of, date_of, item_rows, log_rows, make_run

from model.measures.attribute_probe import ProbeConfig
from model.measures.cart_returns import ReturnConfig
from model.measures.one_embedding import TasksConfig
from model.sources.fusion import FusionConfig
from model.sources.weight_search import WeightSearchConfig, search_weights
from pipelines.console.thresholds import LogThresholds
from pipelines.evaluate_sources.given import require_before
from pipelines.one_embedding.catalogue import Catalogue, families_of
from pipelines.one_embedding.sessions import read_sessions
from pipelines.one_embedding.validation import validation_start_us, vectors_of, weighed_on
from pipelines.one_embedding.vectors import finished_sources, source_of
from pipelines.run.opened import Run
from pipelines.sources import job as sources
from schemas.days import end_of_day_us
from schemas.errors import ThresholdError, UsageError
from schemas.log_ends import ANY_DAY, end_from_json, end_to_json, latest, told_end
from schemas.records.embeddings import read_embeddings
from schemas.tables import ITEMS, TEXT_FIELDS

pytestmark = pytest.mark.slow
CONFIG = TasksConfig(
    probe=ProbeConfig(strengths=(10.0,)), returns=ReturnConfig(window_days=5, min_returns=3), max_attributes=1
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def run(made) -> Run:
    return Run(made[0])


@pytest.fixture(scope="module")
def catalogue(run) -> Catalogue:
    return Catalogue.of(run)


def read(log, end_us=None, item_ids=ITEM_IDS, **thresholds):
    ids, limits = pa.array(item_ids, pa.string()), LogThresholds(**thresholds)
    return read_sessions(str(log), {}, None, end_us, ids, limits, "it is measured")


def test_items_of_all_buckets_with_labels_and_texts(catalogue):
    assert catalogue.item_ids == ITEM_IDS
    expected = [None if number % 10 == 0 else colour_of(number) for number in range(NUM)]
    assert catalogue.labels["colors"] == expected
    assert set(catalogue.labels["brand"]) == {None, "acme", "bex"}
    assert catalogue.texts()[1] == "thing 0 Acme red"
    assert catalogue.texts(("colors", "brand"))[3] == "thing 1 in green"
    assert not any("Acme" in text for text in catalogue.texts(("brand",)))


def test_a_family_shares_a_title_a_description_a_picture_or_all_text():
    empty = dict.fromkeys(TEXT_FIELDS) | {"images": []}
    rows = [
        {"title": "Oak chair", "description": "a chair"},
        {"title": "oak  CHAIR"},
        {"title": "Chair", "description": "A chair."},
        {"title": "Lamp", "images": ["one.jpg"]},
        {"title": "Light", "images": ["two.jpg", "one.jpg"]},
        {"title": "Cup"},
        {},
        {},
        *({"title": "untitled", "brand": f"brand {number}"} for number in range(60)),
    ]
    names = families_of([{**empty, **row, "item_id": f"i{number:02d}"} for number, row in enumerate(rows)])
    assert names[0] == names[1] == names[2]
    assert names[3] == names[4]
    assert len({names[0], names[3], *names[5:8]}) == 5
    assert len(set(names[8:])) == 60  # what too many items share is no family
    shuffled = families_of([{**empty, **row, "item_id": f"i{number:02d}"} for number, row in enumerate(rows)][::-1])
    assert shuffled[::-1] == names


def test_rows_of_the_log_add_up_and_equal_ones_count_once(tmp_path):
    rows = [
        session_row(1, "s", "u", ITEM_IDS[0]),
        session_row(1, "s", "u", ITEM_IDS[0]),
        session_row(2, None, "u", ITEM_IDS[1], "checkout"),
        session_row(3, "s", "u", "unknown"),
        session_row(4, "s", "u", ITEM_IDS[0], "impression"),
        session_row(999, "s", "u", ITEM_IDS[0]),
    ]
    found, counts = read(write_rows(tmp_path / "log", rows, 2), end_of_day_us(date_of(10)))
    assert found.sort_by("timestamp")["item_id"].to_pylist() == ITEM_IDS[:2]
    assert counts.pop("rows_read") == 6 == sum(counts.values())
    assert all(counts[f"rows_{name}"] == 1 for name in ("after_date", "other_actions", "item_unknown", "equal"))
    with pytest.raises(UsageError, match="nothing is found"):
        read(tmp_path / "none")
    bad = write_rows(tmp_path / "bad", [{**row, "action": "ogled"} for row in rows * 20])
    with pytest.raises(ThresholdError, match="before it is measured"):
        read(bad)


def test_vectors_are_aligned_and_tell_what_they_have_seen(run, catalogue):
    assert finished_sources(run) == ["prod2vec", "prodsi2vec", "bpr"]
    for name in finished_sources(run):
        found = source_of(run, name, [*catalogue.item_ids, "zzz"])
        ids, matrix = read_embeddings(run.folder / name / "embeddings")
        rows = dict(zip(ids.to_pylist(), matrix, strict=True))
        assert 100 < len(rows) == found.num_items < NUM
        for item_id, vector, evidence in zip([*ITEM_IDS, "zzz"], found.vectors_ND, found.evidence_N, strict=True):
            assert (vector == rows.get(item_id, 0)).all()
            assert (evidence > 0) == (item_id in rows)
        assert found.log_end_us == end_of_day_us(date_of(SOURCES_END - 1))
        assert found.seen >= {"colors", "brand"} if name == "prodsi2vec" else not found.seen


def test_a_source_whose_log_has_no_end_may_know_any_day(tmp_path, made):
    other = RunBuilder(tmp_path / "run").items(item_rows(), ITEMS, 3).run
    call = ["--run", str(other), "--engagements", str(made[1]), "--sources", "bpr", "--dim", "4"]
    assert sources.main(call) == 0
    found = source_of(Run(other), "bpr", ITEM_IDS)
    assert found.log_end_us == ANY_DAY
    with pytest.raises(UsageError, match="bpr of a log whose end is not told: train them with"):
        require_before([found], end_of_day_us(date_of(SPLIT)), date_of(SPLIT))
    with pytest.raises(UsageError, match="got bpr of a log whose end is not told: weights are found on days that no"):
        validation_start_us({"bpr": ANY_DAY}, end_of_day_us(date_of(SPLIT)))


def test_the_last_of_several_logs_counts_and_that_nobody_tells_above_all():
    assert latest([None, 5, 7]) == 7
    assert latest([None]) is None
    assert latest([5, told_end(None), None]) == ANY_DAY
    assert [end_from_json(end_to_json(end)) for end in (None, 5, ANY_DAY)] == [None, 5, ANY_DAY]
    for wrong in (5.5, "now", True, math.inf):
        with pytest.raises(ValueError, match="microseconds"):
            end_from_json(wrong)


def test_weights_are_found_on_days_that_no_source_knows(run, made, catalogue):
    log, _ = read(made[1])
    vectors = [source_of(run, name, catalogue.item_ids) for name in ("prod2vec", "bpr")]
    config = FusionConfig(weights={"prod2vec": 1, "bpr": 1}, half_evidence={"prod2vec": 2.0}, turn=True)
    weighed = weighed_on(catalogue, vectors, log, end_of_day_us(date_of(SPLIT - 1)), config, CONFIG)
    assert weighed.tasks.names == ["attributes", "clicked_bought", "cart_returns"]
    assert (weighed.tasks.popularity_N[200:] == 0).all()
    assert (weighed.tasks.popularity_N[:200] > 0).any()
    found = search_weights(
        weighed.names, weighed.objective, weighed.floors, WeightSearchConfig(levels=(0.0, 1.0), max_rounds=1)
    )
    assert sum(found.weights.values()) == pytest.approx(1)
    assert set(found.tasks) <= set(weighed.tasks.names)
    again = weighed_on(catalogue, vectors[::-1], log, end_of_day_us(date_of(SPLIT - 1)), config, CONFIG)
    assert again.objective(found.weights) == weighed.objective(found.weights)
    for end, named in ((SOURCES_END - 1, vectors), (SPLIT, [])):
        with pytest.raises(UsageError, match="that no source has learnt from"):
            weighed_on(catalogue, named, log, end_of_day_us(date_of(end)), config, CONFIG)


class Unit:
    """One and the same vector of all items, seen as often as the items' number."""

    def of(self, item_ids: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        return np.ones((len(item_ids), 1), np.float32), np.arange(len(item_ids))


def test_what_others_hold_of_sources_is_weighed_too(run, made, catalogue):
    log, _ = read(made[1])
    known = {"itemsage": Unit(), "prodsi2vec": Unit(), "bpr": Unit()}
    end_us = end_of_day_us(date_of(SOURCES_END + 9))
    sources = vectors_of(run, known, catalogue.item_ids, end_us)
    assert {one.name: one.log_end_us for one in sources} == {
        "itemsage": end_us,
        **dict.fromkeys(("prodsi2vec", "bpr"), end_of_day_us(date_of(SOURCES_END - 1))),
    }
    assert {one.name: "colors" in one.seen for one in sources} == {"itemsage": True, "prodsi2vec": True, "bpr": False}
    assert all((one.evidence_N == np.arange(NUM)).all() for one in sources)
    config = FusionConfig(weights=dict.fromkeys(known, 1), turn=True)
    weighed = weighed_on(catalogue, sources, log, end_of_day_us(date_of(SPLIT - 1)), config, CONFIG)
    assert weighed.objective({"itemsage": 1.0, "prodsi2vec": 0.0, "bpr": 0.0})["clicked_bought"] == 0.5
    with pytest.raises(UsageError, match="that no source has learnt from"):
        weighed_on(catalogue, sources, log, end_us, config, CONFIG)


def test_side_information_is_not_asked_for_what_it_has_read(run, made, catalogue):
    log, _ = read(made[1])
    config = FusionConfig(weights={"prod2vec": 1, "prodsi2vec": 1})
    vectors = [source_of(run, name, catalogue.item_ids) for name in ("prod2vec", "prodsi2vec")]
    weighed = weighed_on(catalogue, vectors, log, end_of_day_us(date_of(SPLIT - 1)), config, CONFIG)
    alone = weighed.objective({"prod2vec": 0.0, "prodsi2vec": 1.0})
    assert alone["attributes"] == weighed.floors["attributes"]
    both = weighed.objective({"prod2vec": 0.5, "prodsi2vec": 0.5})
    assert both["attributes"] == weighed.objective({"prod2vec": 1.0, "prodsi2vec": 0.0})["attributes"]
    assert np.isfinite(list(both.values())).all()


def test_rows_of_a_log_without_sessions_leave_no_pairs(catalogue, tmp_path):
    rows = [{**row, "session_id": None} for row in log_rows()]
    log, counts = read(write_rows(tmp_path / "log", rows))
    assert counts["rows_used"] == len(log) > 1000
