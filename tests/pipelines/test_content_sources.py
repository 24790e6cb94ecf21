"""Sources that learn from attributes and pictures: equal to their trainers, and able to encode what comes later."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from content_runs import (
    BLIND,
    ITEM_IDS,
    NUM_BUCKETS,
    PICTURE_DIM,
    PLAIN,
    content_run,
    item_features,
    item_row,
    run_content_sources,
)
from run_builder import RunBuilder
from source_runs import DATE, made_of, session_rows, table_of, write_rows

from model.sources.autoencoder import AutoencoderConfig, encode_rows, load_autoencoder, train_autoencoder
from model.sources.siamese import SiameseConfig, encode_items, load_siamese, train_siamese
from model.sources.side_information import ATTRIBUTE_FIELDS, SideInformationConfig, count_values, vocabulary_of
from model.sources.unit_rows import unit_or_zero
from pipelines.console.exit_codes import EXIT_DONE, EXIT_THRESHOLD, EXIT_USAGE
from pipelines.one_embedding.vectors import log_end_us
from pipelines.run.opened import Run
from pipelines.run.units import read_stage_manifest
from pipelines.sources import content
from pipelines.sources import job as sources
from pipelines.sources.content import (
    ATTRIBUTES,
    clicked_pictures,
    encode_attributes,
    encode_pictures_of,
    pictures_of,
    training_pictures,
)
from pipelines.stages import CONTENT
from pipelines.train import job as train
from pipelines.train.checks import check_early
from schemas.errors import UsageError
from schemas.files import write_sealed_json
from schemas.log_ends import ANY_DAY
from schemas.records.embeddings import read_embeddings, read_embeddings_metadata, validate_embeddings
from schemas.records.tfrecords import Pair, encode_pair, write_records
from schemas.tables import ITEMS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    made = content_run(tmp_path_factory.mktemp("content") / "run")
    assert run_content_sources(made) == EXIT_DONE
    return made


def test_dae_vectors_are_those_of_the_trainer(run):
    rows = [item_row(name) for name in ITEM_IDS]
    columns = {name: [row[name] for row in rows] for name in ATTRIBUTE_FIELDS}
    side = SideInformationConfig()
    vocabulary = vocabulary_of(count_values(columns, side), side)
    rows_NV = vocabulary.rows(columns)
    expected_ND = encode_rows(
        train_autoencoder(ITEM_IDS, rows_NV, vocabulary, AutoencoderConfig(output_dim=8)), rows_NV
    )
    ids, matrix_ND = read_embeddings(run / "dae" / "embeddings")
    known = [row for row, name in enumerate(ITEM_IDS) if name != PLAIN]
    assert ids.to_pylist() == [ITEM_IDS[row] for row in known]
    np.testing.assert_array_equal(matrix_ND, unit_or_zero(expected_ND[known]))
    evidence = table_of(run, "dae/evidence")
    assert evidence["item_id"].equals(pa.chunked_array([ids]))
    assert evidence["count"].to_pylist() == [2 + (row % 3 == 1) for row in known]


def test_siamese_vectors_are_those_of_the_trainer(run):
    pictures = {name: item_features(name).pictures.astype(np.float32) for name in ITEM_IDS}
    products = [name for name, found in pictures.items() for _ in found]
    trained = train_siamese(np.concatenate(list(pictures.values())), products, SiameseConfig())
    expected_NE = encode_items(trained, list(pictures.values()))
    ids, matrix_NE = read_embeddings(run / "siamese" / "embeddings")
    seen = [row for row, name in enumerate(ITEM_IDS) if name != BLIND]
    assert ids.to_pylist() == [ITEM_IDS[row] for row in seen]
    np.testing.assert_array_equal(matrix_NE, unit_or_zero(expected_NE[seen]))
    assert table_of(run, "siamese/evidence")["count"].to_pylist() == [3] * len(seen)


@pytest.mark.parametrize("source", CONTENT)
def test_the_contract_holds(run, source):
    ids, matrix_ND = read_embeddings(run / source / "embeddings")
    validate_embeddings(ids, matrix_ND, source)
    manifest, metadata = read_stage_manifest(str(run), source), read_embeddings_metadata(run / source / "embeddings")
    assert metadata["model_id"] == manifest["source_id"]
    assert int(metadata["dimension"]) == manifest["dimension"] == matrix_ND.shape[1]
    counts = manifest["counts"]
    parts = ("items_left_out", "items_without_direction", "items_written")
    assert counts["items_seen"] == sum(counts[name] for name in parts) == len(ITEM_IDS)
    assert counts["items_without_direction"] == 1
    listed = {Path(entry["path"]).name for entry in manifest["files"] if f"{source}/model/" in entry["path"]}
    assert listed == {"config.json", "weights.safetensors", "metrics.json", "manifest.json"}


def test_the_models_that_are_left_encode_as_they_did_and_new_items_too(run):
    paths = [str(path) for path in sorted((run / "features").iterdir())]
    siamese = load_siamese(run / "siamese" / "model")
    items = dict(sorted(pictures_of(paths)))
    vectors_NE, count_N = encode_pictures_of(siamese, items)
    assert count_N.tolist() == [0 if name == BLIND else 3 for name in items]
    written_NE = read_embeddings(run / "siamese" / "embeddings")[1]
    np.testing.assert_array_equal(unit_or_zero(vectors_NE[count_N > 0]), written_NE)
    dae = load_autoencoder(run / "dae" / "model")
    table = table_of(run, "items").select(ATTRIBUTES.names).sort_by("item_id")
    vectors_ND, count_N = encode_attributes(dae, table)
    np.testing.assert_array_equal(unit_or_zero(vectors_ND[count_N > 0]), read_embeddings(run / "dae" / "embeddings")[1])
    new = pa.Table.from_pylist([item_row("item-001") | {"item_id": "new"}], schema=ITEMS).select(ATTRIBUTES.names)
    assert encode_attributes(dae, new)[0].tobytes() == vectors_ND[1].tobytes()


def test_pictures_of_one_item_are_near_each_other(run):
    """What the network is for: told apart from other items' pictures better than chance."""
    siamese = load_siamese(run / "siamese" / "model")
    vectors = {name: item_features(name).pictures.astype(np.float32) for name in ITEM_IDS if name != BLIND}
    first = encode_items(siamese, [found[:1] for found in vectors.values()])
    other = encode_items(siamese, [found[1:2] for found in vectors.values()])
    cosine_NN = first @ other.T
    assert (cosine_NN.argmax(axis=1) == np.arange(len(first))).mean() > 0.8


def test_buckets_never_change_the_bytes(run, tmp_path):
    other = content_run(tmp_path / "run", num_buckets=NUM_BUCKETS + 2)
    assert run_content_sources(other) == EXIT_DONE
    made, found = made_of(run, *CONTENT), made_of(other, *CONTENT)
    assert found.keys() == made.keys()
    for path in made:
        if "/embeddings/" not in path:  # whose files name the source, and with it the buckets it was read from
            assert found[path] == made[path], path
    for source in CONTENT:
        np.testing.assert_array_equal(*(read_embeddings(folder / source / "embeddings")[1] for folder in (run, other)))


def test_what_is_there_is_not_made_again_and_a_damaged_model_is(tmp_path, capsys):
    made = content_run(tmp_path / "run")
    assert run_content_sources(made) == EXIT_DONE
    before = made_of(made, *CONTENT)
    times = {path: path.stat().st_mtime_ns for path in made.rglob("*") if path.suffix in (".parquet", ".safetensors")}
    capsys.readouterr()
    assert run_content_sources(made) == EXIT_DONE
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert capsys.readouterr().out.count("reused 1") == 2
    (made / "dae" / "model" / "weights.safetensors").write_bytes(b"damaged")
    assert run_content_sources(made) == EXIT_DONE
    assert made_of(made, *CONTENT) == before
    assert run_content_sources(made, "--seed", "1") == EXIT_DONE
    assert made_of(made, *CONTENT) != before


def test_too_little_to_learn_from_is_said(tmp_path, capsys):
    few = content_run(tmp_path / "few", ITEM_IDS[:6])
    assert run_content_sources(few, "--sources", "dae") == EXIT_THRESHOLD
    assert "expected at least 10 items with attributes" in capsys.readouterr().err
    blind = content_run(tmp_path / "blind", [BLIND])
    assert run_content_sources(blind, "--sources", "siamese") == EXIT_THRESHOLD
    assert "expected items with pictures to learn from, got none" in capsys.readouterr().err
    assert not (blind / "manifests" / "siamese.json").exists()


def test_only_clickstream_needs_a_log(tmp_path, capsys):
    made = content_run(tmp_path / "run")
    assert run_content_sources(made, "--sources", "dae,bpr") == EXIT_USAGE
    assert "expected --engagements for --sources bpr, got none" in capsys.readouterr().err
    assert sources.main(["--run", str(made)]) == EXIT_USAGE
    assert "--sources prod2vec,prodsi2vec,deepwalk_prod2vec,deepwalk_prodsi2vec,bpr" in capsys.readouterr().err
    rows = [{**row, "item_id": row["item_id"].replace("item-", "item-0")} for row in session_rows()]
    log = write_rows(tmp_path / "log", rows)
    flags = ("--engagements", str(log), "--date", DATE, "--sources", "dae,bpr")
    assert run_content_sources(made, *flags) == EXIT_DONE
    assert {path.name for path in made.iterdir()} >= {"dae", "bpr"}
    (tmp_path / "catalog.csv").write_text("item_id,title\na,b\n")
    config = train.TrainConfig(
        catalog=f"{tmp_path}/catalog.csv",
        image_root=str(tmp_path),
        image_encoder="none",
        store=f"{tmp_path}/store",
        date=DATE,
        sources="dae",
    )
    check_early(config)
    with pytest.raises(UsageError, match="expected --engagements for --sources prod2vec"):
        check_early(replace(config, sources="dae,prod2vec"))


def test_of_many_pictures_those_of_some_items_are_trained_on(run, monkeypatch, tmp_path):
    paths = [str(path) for path in sorted((run / "features").iterdir())]
    some = training_pictures(paths, 30)
    assert len(some) == 10
    assert list(some) == sorted(some)
    assert some.keys() < training_pictures(paths, 60).keys()
    assert training_pictures(paths, 10_000).keys() == set(ITEM_IDS) - {BLIND}
    monkeypatch.setattr(content, "MAX_TRAINING_PICTURES", 90)
    other = content_run(tmp_path / "run")
    assert run_content_sources(other, "--sources", "siamese") == EXIT_DONE
    counts = read_stage_manifest(str(other), "siamese")["counts"]
    assert (counts["pictures_trained_on"], counts["items_written"]) == (90, len(ITEM_IDS) - 1)


def test_pictures_that_people_asked_with_are_of_what_they_clicked(run, tmp_path):
    """Of the training part: the item that most clicks were on; a text query has none."""
    other = content_run(tmp_path / "run")
    random = np.random.default_rng(0)
    asked = {number: random.standard_normal(PICTURE_DIM).astype(np.float16) for number in range(-3, 4)}
    pairs = [Pair(task="closeup/click", query_id=q, item_id=BLIND, query_picture=asked[q], count=3) for q in asked]
    pairs += [Pair(task="closeup/save", query_id=-3, item_id=PLAIN, query_picture=asked[-3], count=4)]
    pairs += [Pair(task="search/click", query_id=9, item_id=PLAIN, query_token_ids=np.ones(1, np.int32))]
    pairs += [replace(pairs[0], query_id=10, query_picture=np.full(PICTURE_DIM, np.inf, np.float16))]
    records = [encode_pair(pair) for pair in pairs]
    files = {
        "pairs/train/bucket-00000-of-00001.tfrecord": lambda path: write_records(path, records),
        "pairs/test/bucket-00000-of-00001.tfrecord": lambda path: write_records(path, records[:1]),
    }
    RunBuilder(other).stage("pairs", files, log_end_us=7)
    clicked = clicked_pictures([str(other / "pairs" / "train" / "bucket-00000-of-00001.tfrecord")])
    assert {name: len(found) for name, found in clicked.items()} == {BLIND: 6, PLAIN: 1}
    np.testing.assert_array_equal(clicked[PLAIN][0], asked[-3])
    assert run_content_sources(other, "--sources", "siamese") == EXIT_DONE
    manifest, without = (read_stage_manifest(str(folder), "siamese") for folder in (other, run))
    assert manifest["counts"]["pictures_trained_on"] == without["counts"]["pictures_trained_on"] + 7
    assert (manifest["counts"]["pictures_of_queries"], without["counts"]["pictures_of_queries"]) == (7, 0)
    assert manifest["source_id"] != without["source_id"]
    assert [log_end_us(Run(folder), "siamese") for folder in (other, run)] == [7, None]
    del manifest["log_end_us"]
    write_sealed_json(other / "manifests" / "siamese.json", manifest)
    assert log_end_us(Run(other), "siamese") == ANY_DAY  # of a version that did not tell
    assert BLIND not in read_embeddings(other / "siamese" / "embeddings")[0].to_pylist()
    pictures = {name: item_features(name).pictures.astype(np.float32) for name in ITEM_IDS}
    for name, found in clicked.items():
        pictures[name] = np.concatenate([pictures[name], np.stack(found).astype(np.float32)])
    products = [name for name, found in pictures.items() for _ in found]
    trained = train_siamese(np.concatenate(list(pictures.values())), products, SiameseConfig())
    left = load_siamese(other / "siamese" / "model").network.state_dict()
    for name, weights in trained.network.state_dict().items():
        np.testing.assert_array_equal(left[name].numpy(), weights.numpy())


def test_a_picture_that_is_no_number_is_as_if_it_was_not_there(tmp_path):
    broken = item_features("item-000")
    pictures = broken.pictures.copy()
    pictures[1, 3] = np.inf
    made = RunBuilder(tmp_path / "run").features([replace(broken, pictures=pictures)]).run
    ((name, found),) = pictures_of([str(next((made / "features").iterdir()))])
    assert name == "item-000"
    np.testing.assert_array_equal(found, pictures[[0, 2]])
