"""The stage `unified` of a day: equal to the direct computation, on any runner, taken over where nothing changed."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from content_runs import ITEM_IDS, NUM_BUCKETS, item_features, item_row
from exploration import soak
from run_builder import RunBuilder
from source_runs import made_of
from unify_store import DAY_IDS, TRAINING, install_model, make_day, make_store, run_unify

from model.sources.fusion import FusionConfig, fuse, settle_fusion
from model.sources.side_information import ATTRIBUTE_FIELDS
from model.sources.unified import load_unified
from model.sources.unified_manifest import UnifiedManifest
from pipelines.console.exit_codes import EXIT_DONE
from pipelines.console.jobs import beam_options
from pipelines.embed import job as embed
from pipelines.embed import parts as embed_parts
from pipelines.evaluate_sources.given import given_vectors, require_before
from pipelines.one_embedding.vectors import unified_log_end_us, unified_seen_fields
from pipelines.run.accounting import account
from pipelines.run.opened import Run
from pipelines.run.stage import run_stage
from pipelines.run.units import read_stage_manifest
from pipelines.sources.content import ATTRIBUTES, encode_attributes, encode_pictures_of
from pipelines.store.models import ITEM_MODELS, UNIFIED_MODELS
from pipelines.unify.stage import Unified, UnifiedConfig
from schemas.days import end_of_day_us
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_sealed_json, write_sealed_json
from schemas.log_ends import ANY_DAY
from schemas.records.embeddings import embeddings_metadata, read_embeddings, write_embeddings_file
from schemas.tables import ITEMS, TEXT_FIELDS

pytestmark = pytest.mark.slow
EVIDENCE_FLAGS = (
    *("--sources", "itemsage,prod2vec,dae,siamese", "--weights", "prod2vec=.5,siamese=2"),
    *("--half-evidence", "prod2vec=5,siamese=1", "--dim", "12"),
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """A store with a unified model of four sources, and a day with embeddings in several parts."""
    folder = make_store(tmp_path_factory.mktemp("unified") / "store")
    assert run_unify(folder, *EVIDENCE_FLAGS) == EXIT_DONE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed_parts, "ROWS_A_FILE", 15)
        make_day(folder, folder / "day")
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch) -> None:
    monkeypatch.setattr(embed_parts, "ROWS_A_FILE", 15)


@pytest.fixture
def day(shop, tmp_path) -> Path:
    """The day without unified vectors, with a life of its own."""
    return shutil.copytree(shop / "day", tmp_path / "day")


def make(shop: Path, run: Path, earlier: Path | None = None, unified_id: str | None = None, *options: str) -> dict:
    """The counts of the stage, after the checks that always hold."""
    folder = UNIFIED_MODELS.folder(str(shop), unified_id or UNIFIED_MODELS.current(str(shop)))
    config = UnifiedConfig(run=str(run), unified=str(folder), reuse_from=earlier and str(earlier))
    counts = run_stage(Unified(config), beam_options(list(options)))["counts"]
    assert counts["rows_read"] == counts["rows_written"] + counts["rows_quarantined"]
    assert counts["rows_written"] == counts["rows_reused"] + counts["rows_computed"]
    added = account({"embeddings": read_stage_manifest(str(run), "embeddings")["counts"], "unified": counts})
    assert added["unified"] == counts["rows_written"]
    assert list(Unified.problems(Run(run))) == []
    return counts


def direct(shop: Path, run: Path, unified_id: str | None = None) -> tuple[list[str], np.ndarray]:
    """Ids and unified vectors by the fusion alone."""
    unified = load_unified(UNIFIED_MODELS.folder(str(shop), unified_id or UNIFIED_MODELS.current(str(shop))))
    item_ids, items_ND = read_embeddings(run / "embeddings")
    ids = item_ids.to_pylist()
    table = pa.Table.from_pylist([item_row(name) for name in ids], schema=ITEMS).select(ATTRIBUTES.names)
    sources = {"itemsage": items_ND}
    evidence = {"itemsage": np.zeros(len(ids))}
    sources["dae"], evidence["dae"] = encode_attributes(unified.dae, table)
    pictures = {name: item_features(name).pictures for name in ids}
    sources["siamese"], evidence["siamese"] = encode_pictures_of(unified.siamese, pictures)
    known = unified.known["prod2vec"]
    rows = {name: row for row, name in enumerate(known.item_ids.to_pylist())}
    sources["prod2vec"] = np.stack([known.matrix_ND[rows[name]] if name in rows else np.zeros(8) for name in ids])
    evidence["prod2vec"] = np.array([known.evidence_N[rows[name]] if name in rows else 0 for name in ids])
    return ids, fuse(unified.fusion, sources, evidence)


def test_vectors_are_those_of_the_fusion(shop, day):
    counts = make(shop, day)
    assert counts["rows_written"] == counts["rows_computed"] == len(DAY_IDS)
    assert len(list((day / "unified").iterdir())) == len(list((day / "embeddings").iterdir())) > 1
    ids, matrix_NE = Run(day).unified
    expected_ids, expected_NE = direct(shop, day)
    assert ids.to_pylist() == expected_ids == DAY_IDS
    np.testing.assert_array_equal(matrix_NE, expected_NE)
    manifest = read_stage_manifest(str(day), "unified")
    assert (manifest["unified_id"], manifest["dimension"]) == (UNIFIED_MODELS.current(str(shop)), 12)
    assert "model_id" not in manifest
    assert manifest["log_end_us"] == unified_log_end_us(Run(day)) == end_of_day_us("2026-06-28", "UTC")
    assert manifest["source_ids"].keys() == {"itemsage", "prod2vec", "dae", "siamese"}
    assert unified_seen_fields(Run(day)) == frozenset(TEXT_FIELDS).union(ATTRIBUTE_FIELDS)
    assert Run(day).vectors("unified") is not None
    assert Run(day).dimension_of("unified") == 12


def test_what_a_day_tells_of_its_logs_and_fields(shop, day, tmp_path):
    """Of a log whose end nobody tells, of none, and of a version that told of neither sources nor end."""
    own = shutil.copytree(shop, tmp_path / "store")
    make(shop, day)
    told = read_stage_manifest(str(day), "unified")

    def knows(**facts):
        kept = {name: value for name, value in told.items() if name not in ("log_end_us", "source_ids")}
        write_sealed_json(day / "manifests" / "unified.json", {**kept, **facts})
        return unified_log_end_us(Run(day)), unified_seen_fields(Run(day))

    assert knows() == (ANY_DAY, frozenset(TEXT_FIELDS).union(ATTRIBUTE_FIELDS))
    assert knows(source_ids={"prod2vec": "x"}, log_end_us=5) == (5, frozenset())
    assert knows(source_ids={"dae": "x"}, log_end_us=None) == (None, frozenset(ATTRIBUTE_FIELDS))
    manifest = UnifiedManifest.read(UNIFIED_MODELS.folder(str(shop), UNIFIED_MODELS.current(str(shop))))
    for names, end in ((("prod2vec", "dae"), ANY_DAY), (("dae", "itemsage"), None)):  # of an earlier version's model
        older = dataclasses.replace(manifest, log_end_us=None, source_ids=dict.fromkeys(names, "x"))
        assert older.learnt_until_us == end
    source = own / TRAINING / "manifests" / "prod2vec.json"
    write_sealed_json(source, {**read_sealed_json(source), "log_end_us": "not told"})  # as without --date
    assert run_unify(own, "--sources", "prod2vec") == EXIT_DONE
    assert UnifiedManifest.read(UNIFIED_MODELS.folder(str(own), UNIFIED_MODELS.current(str(own)))).log_end_us == ANY_DAY
    again = shutil.copytree(shop / "day", tmp_path / "again")
    make(own, again)
    assert unified_log_end_us(Run(again)) == ANY_DAY
    (vectors,) = given_vectors(Run(again), None, "", DAY_IDS)
    with pytest.raises(UsageError, match="got unified of a log whose end is not told: run `itemsage unify` of such"):
        require_before([vectors], end_of_day_us("2030-01-01"), "2030-01-01")


def test_a_new_item_has_the_vectors_that_know_it(shop, day):
    """It was in no training: its own vector, its attributes and its pictures, with the weights that they have."""
    make(shop, day)
    matrix_NE = Run(day).unified.matrix_ND
    unified = load_unified(UNIFIED_MODELS.folder(str(shop), UNIFIED_MODELS.current(str(shop))))
    new = "item-100"
    assert new not in unified.known["prod2vec"].item_ids.to_pylist()
    row = DAY_IDS.index(new)
    table = pa.Table.from_pylist([item_row(new)], schema=ITEMS).select(ATTRIBUTES.names)
    own = {
        "itemsage": Run(day).embeddings.matrix_ND[row : row + 1],
        "dae": encode_attributes(unified.dae, table)[0],
        "siamese": encode_pictures_of(unified.siamese, {new: item_features(new).pictures})[0],
    }
    projections = unified.fusion.projections
    mixed = sum(
        weight * (own[name] @ projections[name] if name in projections else own[name])
        for name, weight in (("itemsage", 1), ("dae", 1), ("siamese", 2 * 3 / (3 + 1)))
    )
    np.testing.assert_allclose(matrix_NE[row], (mixed / np.linalg.norm(mixed))[0], atol=1e-6)


def test_what_has_not_changed_is_taken_over_and_a_changed_part_is_not(shop, day, tmp_path):
    make(shop, day)
    same = shutil.copytree(shop / "day", tmp_path / "same")
    counts = make(shop, same, day)
    assert (counts["rows_reused"], counts["rows_computed"]) == (len(DAY_IDS), 0)
    assert made_of(same, "unified") == made_of(day, "unified")
    fewer = make_day(shop, tmp_path / "fewer", DAY_IDS[:-1])
    counts = make(shop, fewer, day)
    assert 0 < counts["rows_reused"] < len(DAY_IDS) - 1
    assert counts["rows_written"] == len(DAY_IDS) - 1
    np.testing.assert_array_equal(Run(fewer).unified.matrix_ND, Run(day).unified.matrix_ND[:-1])
    other = shutil.copytree(shop / "day", tmp_path / "other")
    assert run_unify(shop, "--sources", "itemsage,dae") == EXIT_DONE
    second = UNIFIED_MODELS.current(str(shop))
    assert run_unify(shop, *EVIDENCE_FLAGS) == EXIT_DONE
    assert make(shop, other, day, second)["rows_reused"] == 0


def test_a_part_depends_on_what_its_sources_read(shop, day, tmp_path):
    """Another checksum of items/ is another unit if dae is a source, and none if it is not."""
    assert run_unify(shop, "--sources", "itemsage,siamese") == EXIT_DONE
    blind = UNIFIED_MODELS.current(str(shop))
    assert run_unify(shop, *EVIDENCE_FLAGS) == EXIT_DONE
    other = shutil.copytree(shop / "day", tmp_path / "other")
    rows = [item_row(name) | {"title": "another"} for name in DAY_IDS]
    RunBuilder(other).items(rows, ITEMS, NUM_BUCKETS)
    for unified_id, same in ((blind, True), (UNIFIED_MODELS.current(str(shop)), False)):
        folder = str(UNIFIED_MODELS.folder(str(shop), unified_id))
        units = [Unified(UnifiedConfig(run=str(run), unified=folder)).units for run in (day, other)]
        assert (units[0] == units[1]) == same


def test_a_damaged_earlier_part_is_computed(shop, day, tmp_path, capsys):
    make(shop, day)
    path = sorted((day / "unified").iterdir())[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    same = shutil.copytree(shop / "day", tmp_path / "same")
    counts = make(shop, same, day)
    assert 0 < counts["rows_reused"] < len(DAY_IDS)
    assert "is computed, not taken over" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--runner=BundleBasedDirectRunner"],
        ["--direct_num_workers=2", "--direct_running_mode=multi_threading"],
        # Whole processes cost 16 s: test_users.py and test_working_folder.py have them in `make test`.
        *soak(["--direct_num_workers=2", "--direct_running_mode=multi_processing"]),
    ],
    ids=["bundles", "threads", "processes"],
)
def test_no_runner_changes_the_bytes(shop, day, tmp_path, options):
    make(shop, day)
    other = shutil.copytree(shop / "day", tmp_path / "other")
    make(shop, other, None, None, *options)
    assert made_of(other, "unified") == made_of(day, "unified")


def test_what_no_source_knows_is_in_quarantine(shop, day):
    before = UNIFIED_MODELS.current(str(shop))
    assert run_unify(shop, "--sources", "prod2vec,dae", "--weights", "dae=0") == EXIT_DONE
    clicks = UNIFIED_MODELS.current(str(shop))
    assert run_unify(shop, *EVIDENCE_FLAGS) == EXIT_DONE
    assert UNIFIED_MODELS.current(str(shop)) == before
    counts = make(shop, day, None, clicks)
    known = set(load_unified(UNIFIED_MODELS.folder(str(shop), clicks)).known["prod2vec"].item_ids.to_pylist())
    assert Run(day).unified.ids.to_pylist() == [name for name in DAY_IDS if name in known]
    assert counts["rows_quarantined"] == counts["reason:no_source"] == len(set(DAY_IDS) - known) > 20
    rows = [row for path in (day / "quarantine").glob("unified-*") for row in pq.read_table(path).to_pylist()]
    assert {row["item_id"] for row in rows} == set(DAY_IDS) - known
    assert {row["expected"] for row in rows} == {"a vector by one of prod2vec at least"}


def test_a_call_that_is_repeated_does_nothing_and_mends_what_is_lost(shop, day):
    make(shop, day)
    before = made_of(day, "unified")
    first, *others = sorted((day / "unified").iterdir())
    times = {path: path.stat().st_mtime_ns for path in others}
    first.unlink()
    make(shop, day)
    assert made_of(day, "unified") == before
    assert {path: path.stat().st_mtime_ns for path in others} == times
    assert make(shop, day)["rows_computed"] == len(DAY_IDS)


def test_problems_are_found(shop, day):
    make(shop, day)
    (path, *_) = sorted((day / "unified").iterdir())
    ids, matrix_NE = read_embeddings(path)
    metadata = embeddings_metadata(UNIFIED_MODELS.current(str(shop)), 12)

    def rewritten(ids: list[str], matrix_NE: np.ndarray) -> list[str]:
        """What is found if the first part had these rows, and its manifest said so."""
        unit = read_stage_manifest(str(day), "unified")
        write_embeddings_file(path, ids, matrix_NE, metadata)
        written = len(DAY_IDS) - num_rows + len(ids)
        listed = {"unified_id": unit["unified_id"], "dimension": 12}
        RunBuilder(day).listed("unified", "unified", counts={"rows_written": written}, **listed)
        return list(Unified.problems(Run(day)))

    num_rows = len(ids)
    (told,) = rewritten(ids.to_pylist()[1:], matrix_NE[1:])
    assert "got 1 without and 0 in quarantine" in told
    told, _ = rewritten(["a-stranger", *ids.to_pylist()[1:]], matrix_NE)
    assert "got 1 others, 'a-stranger' the first" in told
    path.write_bytes(b"damaged")
    with pytest.raises(CorruptFileError):
        list(Unified.problems(Run(day)))


def test_a_unified_model_of_another_item_model_is_refused(shop, day, tmp_path):
    own = shutil.copytree(shop, tmp_path / "store")
    install_model(own, num_layers=2)
    unified_id = UNIFIED_MODELS.current(str(own))
    other = make_day(own, tmp_path / "other")
    assert ITEM_MODELS.current(str(own)) != ITEM_MODELS.current(str(shop))
    with pytest.raises(UsageError, match=r"expected a unified model of 'itemsage-.*run `itemsage unify` again"):
        make(own, other, None, unified_id)


def test_a_damaged_unified_model_is_refused(shop, day, tmp_path):
    own = shutil.copytree(shop, tmp_path / "store")
    folder = UNIFIED_MODELS.folder(str(own), UNIFIED_MODELS.current(str(own)))
    (folder / "dae" / "model" / "config.json").write_text("{}")
    with pytest.raises(CorruptFileError, match="sha256"):
        make(own, day)
    assert not (day / "unified").exists()


def test_parts_that_are_others_are_refused(shop, day, monkeypatch):
    monkeypatch.setattr(embed_parts, "ROWS_A_FILE", 10_000)
    with pytest.raises(CorruptFileError, match="expected 1 parts of embeddings"):
        make(shop, day)


def test_the_projection_is_that_of_the_training(shop):
    """Cut to 12 numbers by the directions of the training's vectors, the same every day."""
    unified = load_unified(UNIFIED_MODELS.folder(str(shop), UNIFIED_MODELS.current(str(shop))))
    assert unified.fusion.projections.keys() == {"itemsage", "prod2vec", "dae"} | (
        {"siamese"} if unified.manifest.dims["siamese"] != 12 else set()
    )
    weights = dict(unified.fusion.config.weights)
    config = FusionConfig(weights=weights, projection="principal", dim=12)
    training = shop / "training" / "2026-06-28" / "0123456789abcdef"
    sources = {name: read_embeddings(training / name / "embeddings")[1] for name in ("prod2vec", "dae", "siamese")}
    sources["itemsage"] = read_embeddings(training / "embeddings")[1]
    assert len(sources["itemsage"]) == len(ITEM_IDS)
    for name, projection in settle_fusion(config, sources).projections.items():
        np.testing.assert_array_equal(unified.fusion.projections[name], projection)


def test_embed_is_asked_once(shop):
    """The vectors of the training's items, which the projection was found on, are kept in its run."""
    manifest = read_stage_manifest(str(shop / "training" / "2026-06-28" / "0123456789abcdef"), embed.STAGE)
    assert manifest["counts"]["rows_written"] == len(ITEM_IDS)
