"""`itemsage unify`: what it installs, that equal input is an equal model, and what it refuses."""

import json
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from content_runs import BLIND, ITEM_IDS, PLAIN, content_run, run_content_sources
from gate_runs import flip_byte
from source_runs import DATE, made_of, session_row, table_of, write_rows
from unify_store import OUTPUT_DIM, TRAINING, features_facts, make_store, run_unify

from model.sources.fusion import FusionConfig, fuse, settle_fusion
from model.sources.unified import SourceVectors, load_unified
from model.sources.unified_manifest import UnifiedManifest
from model.sources.weight_search import Trial, WeightSearch, search_weights
from pipelines.console.exit_codes import EXIT_DONE, EXIT_FAULT, EXIT_USAGE
from pipelines.console.jobs import beam_options
from pipelines.operations.gc.rules import Collector
from pipelines.store.models import UNIFIED_MODELS
from pipelines.unify import job as unify
from pipelines.unify.config import UnifyConfig
from pipelines.unify.learn import told
from schemas.days import end_of_day_us
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json, write_json
from schemas.records.embeddings import read_embeddings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A store with one unified model."""
    folder = make_store(tmp_path_factory.mktemp("unify") / "store")
    assert run_unify(folder) == EXIT_DONE
    return folder


@pytest.fixture
def own(made, tmp_path) -> Path:
    """The same with a life of its own."""
    shutil.copytree(made, tmp_path / "store")
    return tmp_path / "store"


def folder_of(store_folder: Path) -> Path:
    return UNIFIED_MODELS.folder(str(store_folder), UNIFIED_MODELS.current(str(store_folder)))


def test_a_unified_model_has_all_that_it_needs(made):
    folder = folder_of(made)
    manifest = UnifiedManifest.read(folder)
    assert manifest.unified_id == folder.name
    assert manifest.item_model_id == (made / "models" / "CURRENT").read_text().strip()
    assert manifest.source_ids.keys() == {"itemsage", "prod2vec", "dae", "siamese"}
    assert manifest.dims == {"itemsage": OUTPUT_DIM, "prod2vec": 8, "dae": 8, "siamese": manifest.dims["siamese"]}
    assert manifest.dim == OUTPUT_DIM
    assert manifest.log_end_us == end_of_day_us(DATE, "UTC")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {*manifest.files, "manifest.json"}
    assert {name.split("/")[0] for name in there} == {"fusion", "prod2vec", "dae", "siamese", "manifest.json"}
    for name in manifest.files:
        if name.split("/")[0] != "fusion":
            assert (folder / name).read_bytes() == (made / TRAINING / name).read_bytes()
    assert not list((made / "models").glob(".unified*"))


def test_it_fuses_what_it_was_made_of(made):
    unified = load_unified(folder_of(made))
    ids = pa.array([*ITEM_IDS, "new"])
    encoded = {"itemsage": (np.eye(len(ids), OUTPUT_DIM, dtype=np.float32), np.zeros(len(ids), np.int64))}
    for name in ("dae", "siamese"):
        source = SourceVectors(*read_embeddings(made / TRAINING / name / "embeddings"))
        encoded[name] = source.of(ids)
    found = unified.fused(ids, encoded)
    known_ids, known_ND = read_embeddings(made / TRAINING / "prod2vec" / "embeddings")
    rows = {name: known_ND[row] for row, name in enumerate(known_ids.to_pylist())}
    clicks_ND = np.stack([rows.get(name, np.zeros(8, np.float32)) for name in ids.to_pylist()])
    assert 20 < (clicks_ND != 0).any(axis=1).sum() < len(ids) - 20
    sources = {name: vectors for name, (vectors, _) in encoded.items()} | {"prod2vec": clicks_ND}
    weights = {"itemsage": 1.0, "prod2vec": 0.5, "dae": 1.0, "siamese": 2.0}
    config = FusionConfig(weights=weights, projection="principal")
    np.testing.assert_array_equal(found, fuse(settle_fusion(config, sources), sources))


def test_evidence_goes_with_the_items_that_have_it(own):
    assert run_unify(own, "--sources", "prod2vec,dae", "--half-evidence", "prod2vec=5,dae=1", "--dim", "8") == EXIT_DONE
    unified = load_unified(folder_of(own))
    ids = pa.array(ITEM_IDS)
    dae = SourceVectors(
        *read_embeddings(own / TRAINING / "dae" / "embeddings"),
        table_of(own / TRAINING, "dae/evidence")["count"].to_numpy(),
    )
    vectors, counts = unified.known["prod2vec"].of(ids)
    evidence = dict(zip(*table_of(own / TRAINING, "prod2vec/evidence").to_pydict().values(), strict=True))
    assert counts.tolist() == [evidence.get(name, 0) for name in ITEM_IDS]
    found = unified.fused(ids, {"dae": dae.of(ids)})
    n = np.array([evidence.get(name, 0) for name in ITEM_IDS])[:, None]
    dae_ND, m = dae.of(ids)
    expected = vectors * (n / (n + 5)) + dae_ND * (m / (m + 1))[:, None]
    norms = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected / np.where(norms > 0, norms, 1), atol=1e-6)
    assert (norms == 0).sum() <= 1


def test_equal_input_is_an_equal_model_and_other_weights_are_another(own, capsys):
    first = UNIFIED_MODELS.current(str(own))
    before = made_of(own, "models")
    assert run_unify(own) == EXIT_DONE
    assert made_of(own, "models") == before
    assert "before it was" not in capsys.readouterr().out
    assert run_unify(own, "--sources", "itemsage,prod2vec,dae,siamese") == EXIT_DONE
    assert f"before it was {first}" in capsys.readouterr().out
    second = UNIFIED_MODELS.current(str(own))
    assert second != first
    assert (own / "models" / first).is_dir()
    assert run_unify(own) == EXIT_DONE
    assert UNIFIED_MODELS.current(str(own)) == first


def test_a_weight_of_nothing_leaves_a_source_out(own):
    assert run_unify(own, "--sources", "itemsage,dae,bpr", "--weights", "dae=0") == EXIT_DONE
    assert UnifiedManifest.read(folder_of(own)).dims == {"itemsage": OUTPUT_DIM, "bpr": 8}
    assert run_unify(own, "--sources", "itemsage,dae") == EXIT_DONE
    assert UnifiedManifest.read(folder_of(own)).log_end_us is None
    assert run_unify(own, "--sources", "itemsage,dae,bpr", "--weights", "dae=0") == EXIT_DONE
    assert not (folder_of(own) / "dae").exists()


def test_fewer_numbers_keep_the_directions_of_most_variance(own):
    assert run_unify(own, "--sources", "itemsage,prod2vec", "--dim", "6") == EXIT_DONE
    unified = load_unified(folder_of(own))
    assert unified.manifest.dim == unified.fusion.dim == 6
    _, items_ND = read_embeddings(own / TRAINING / "embeddings")
    _, known_ND = read_embeddings(own / TRAINING / "prod2vec" / "embeddings")
    config = FusionConfig(weights={"itemsage": 1.0, "prod2vec": 1.0}, projection="principal", dim=6)
    expected = settle_fusion(config, {"itemsage": items_ND, "prod2vec": known_ND})
    for name, projection in expected.projections.items():
        np.testing.assert_array_equal(unified.fusion.projections[name], projection)
    assert run_unify(own, "--sources", "itemsage,prod2vec", "--how", "concatenation") == EXIT_DONE
    assert UnifiedManifest.read(folder_of(own)).dim == OUTPUT_DIM + 8


def test_weights_may_be_found_by_a_function_of_the_vectors(own):
    weights = {"itemsage": 0.25, "dae": 0.75}
    trials = (("alone", {"itemsage": 1.0, "dae": 0.0}, 0.4), ("alone", {"itemsage": 0.0, "dae": 1.0}, 0.5))
    curve = [
        Trial(step=step, weights=tried, scores={"pairs": score}, combined=score, is_best=True)
        for step, tried, score in (*trials, ("equal", weights, 0.9))
    ]

    def find(vectors, fusion_config):
        assert (fusion_config.how, fusion_config.names) == ("sum", ["dae", "itemsage"])
        assert {name: len(found.item_ids) for name, found in vectors.items()} == {
            "itemsage": len(ITEM_IDS),
            "dae": len(ITEM_IDS) - 1,
        }
        assert vectors["dae"].evidence_N.sum() > 0
        return WeightSearch(weights, ["pairs"], curve)

    config = UnifyConfig(store=str(own), sources="itemsage,dae")
    unified = load_unified(UNIFIED_MODELS.folder(str(own), unify.run(config, beam_options([]), find)))
    assert unified.fusion.config.weights == {"itemsage": 0.25, "dae": 0.75}
    assert read_json(folder_of(own) / "fusion" / "metrics.json")["curve"] == curve


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--sources", "itemsage,word2vec"), "expected --sources of itemsage, prod2vec,"),
        (("--sources", ","), "got none"),
        (("--sources", "dae,itemsage,dae"), "expected --sources that name each once, got 'dae' twice"),
        (("--sources", "itemsage,prodsi2vec"), "itemsage sources --run"),
        (("--sources", "itemsage,dae", "--weights", "itemsage=0,dae=0"), "one weight above 0"),
        (("--sources", "itemsage,dae", "--weights", "bpr=1"), "expected --weights of the sources that --sources names"),
        (("--sources", "itemsage,dae", "--weights", "dae=-1"), "finite numbers >= 0"),
        (("--sources", "itemsage,dae", "--weights", "dae=many"), "finite numbers >= 0"),
        (("--sources", "itemsage,dae", "--weights", "dae"), "as itemsage=1,dae=1"),
        (("--sources", "itemsage,dae", "--weights", "dae=1,dae=2"), "as itemsage=1,dae=1"),
        (
            ("--sources", "itemsage,dae", "--half-evidence", "itemsage=2"),
            "expected --half-evidence of sources that count",
        ),
        (("--sources", "itemsage,dae", "--dim", "0"), "expected --dim >= 1, got 0"),
        (
            ("--sources", "itemsage,dae", "--dim", "9", "--how", "concatenation"),
            "expected --dim with --how sum alone, got --dim 9 with --how concatenation, which has the numbers of all",
        ),
        (("--sources", "itemsage,dae", "--model", "itemsage-000000000000"), "expected a trained model of the store"),
    ],
)
def test_wrong_calls_say_what_to_do(made, flags, told, capsys):
    before = UNIFIED_MODELS.current(str(made))
    assert run_unify(made, *flags) == EXIT_USAGE
    assert told in capsys.readouterr().err
    assert UNIFIED_MODELS.current(str(made)) == before


def test_a_store_without_what_it_takes_is_told_of(own, tmp_path, capsys):
    assert run_unify(tmp_path / "none") == EXIT_USAGE
    assert "run `itemsage train` first" in capsys.readouterr().err
    with pytest.raises(UsageError, match="run `itemsage unify` first"):
        UNIFIED_MODELS.current(str(tmp_path))
    with pytest.raises(UsageError, match="expected a unified model of the store"):
        UNIFIED_MODELS.wanted(str(own), "../models")
    with pytest.raises(UsageError, match="expected a unified model of the store"):
        UNIFIED_MODELS.make_current(str(own), "unified-000000000000")
    (own / TRAINING).rename(own / "elsewhere")
    assert run_unify(own) == EXIT_USAGE
    assert "name one with --run" in capsys.readouterr().err
    assert run_unify(own, "--sources", "itemsage,bpr", "--run", str(own / "elsewhere")) == EXIT_DONE


def test_pictures_of_another_encoder_are_refused(own, capsys):
    other = content_run(own / "other", **{**features_facts(), "image_encoder_id": "others"})
    assert run_content_sources(other) == EXIT_DONE
    assert run_unify(own, "--sources", "itemsage,siamese", "--run", str(other)) == EXIT_USAGE
    assert "expected picture vectors by the image encoder pictures" in capsys.readouterr().err
    assert run_unify(own, "--sources", "itemsage,dae", "--run", str(other)) == EXIT_DONE


def test_damage_is_told_of(own, capsys):
    folder = folder_of(own)
    path = next((own / TRAINING / "prod2vec" / "embeddings").iterdir())
    flip_byte(path)
    assert run_unify(own) == EXIT_FAULT
    assert "sha256" in capsys.readouterr().err
    assert not list((own / "models").glob(".unified*"))
    flip_byte(folder / "dae" / "model" / "weights.safetensors")
    with pytest.raises(CorruptFileError, match="sha256"):
        load_unified(folder)
    flip_byte(folder / "dae" / "model" / "weights.safetensors")
    load_unified(folder)
    flip_byte(next((folder / "prod2vec" / "embeddings").iterdir()))
    with pytest.raises(CorruptFileError, match="sha256"):
        load_unified(folder)  # which its own reader takes as it is
    manifest = json.loads((folder / "manifest.json").read_text())
    for changed in (
        {"item_model_id": "itemsage-000000000000"},
        {"files": {"../outside": "0"}},
        {"dims": {"itemsage": 10**9}},
        {"source_ids": None},
        {"dim": "many"},
        {"log_end_us": "now"},
    ):
        write_json(folder / "manifest.json", {**manifest, **changed})
        with pytest.raises(CorruptFileError):
            UnifiedManifest.read(folder)
    (folder / "manifest.json").write_text("[]")
    with pytest.raises(CorruptFileError):
        UnifiedManifest.read(folder)


def test_a_damaged_unified_model_is_made_again_by_the_same_call(own, capsys):
    folder = folder_of(own)
    before = made_of(own, "models")
    for damage in (
        lambda: flip_byte(folder / "dae" / "model" / "weights.safetensors"),
        lambda: next((folder / "prod2vec" / "evidence").iterdir()).unlink(),
        lambda: (folder / "manifest.json").write_text("{}"),
    ):
        damage()
        assert run_unify(own) == EXIT_DONE
        assert "is damaged and is made again" in capsys.readouterr().out
        assert folder_of(own) == folder
        assert made_of(own, "models") == before
    assert run_unify(own) == EXIT_DONE
    assert "made again" not in capsys.readouterr().out


def test_gc_keeps_the_one_in_use(own):
    first = UNIFIED_MODELS.current(str(own))
    assert run_unify(own, "--sources", "itemsage,bpr") == EXIT_DONE
    settled = Collector(str(own), keep=1, min_age_hours=0, now_s=2e9, training_is_busy=False)
    assert settled.kept[f"models/{UNIFIED_MODELS.current(str(own))}"] == "daily runs use it"
    assert f"models/{first}" in {doomed.path for doomed in settled.doomed}


def test_items_without_attributes_or_pictures_are_known_by_the_others(made):
    unified = load_unified(folder_of(made))
    ids = pa.array([BLIND, PLAIN])
    zeros = (np.zeros((2, 8), np.float32), np.zeros(2, np.int64))
    siamese_dim = unified.manifest.dims["siamese"]
    encoded = {
        "itemsage": (np.eye(2, OUTPUT_DIM, dtype=np.float32), np.zeros(2, np.int64)),
        "dae": zeros,
        "siamese": (np.zeros((2, siamese_dim), np.float32), np.zeros(2, np.int64)),
    }
    np.testing.assert_allclose(np.linalg.norm(unified.fused(ids, encoded), axis=1), 1, atol=1e-6)


def test_weights_are_found_on_days_that_no_source_has_learnt_from(own, capsys):
    log = write_rows(own / "log", later_sessions())
    flags = ("--sources", "itemsage,prod2vec,dae", "--learn-weights", "--engagements", str(log))
    lenient = ("--max-quarantined-log", "1")
    assert run_unify(own, *flags, *lenient, "--date", "2026-07-10") == EXIT_DONE
    printed = capsys.readouterr().out
    assert "unify: weights by" in printed
    assert "\nunify: the best single source is " in printed
    assert "\nunify: cart_returns is not asked: expected at least" in printed
    asked = re.search(r"unify: clicked_bought [.\d]+ \(([\d,]+) pairs of ([\d,]+) sessions\); ", printed)
    assert asked
    assert int(asked[1].replace(",", "")) > int(asked[2]) > 50
    unified = load_unified(folder_of(own))
    weights = unified.fusion.config.weights
    assert weights.keys() == {"itemsage", "prod2vec", "dae"}
    assert sum(weights.values()) == pytest.approx(1)
    curve = read_json(folder_of(own) / "fusion" / "metrics.json")["curve"]
    assert [trial["step"] for trial in curve[:4]] == ["alone", "alone", "alone", "equal"]
    best = [trial for trial in curve if trial["is_best"]][-1]
    assert best["weights"] == weights
    assert best["combined"] >= max(trial["combined"] for trial in curve[:4])
    assert UnifiedManifest.read(folder_of(own)).log_end_us == end_of_day_us("2026-07-10", "UTC")
    first = UNIFIED_MODELS.current(str(own))
    assert run_unify(own, *flags, *lenient, "--date", "2026-07-10") == EXIT_DONE
    assert UNIFIED_MODELS.current(str(own)) == first
    capsys.readouterr()
    shutil.rmtree(own / TRAINING / "embeddings")
    assert run_unify(own, *flags, *lenient, "--date", "2026-06-28") == EXIT_USAGE
    told = capsys.readouterr().err
    assert (
        "does, at 2026-06-29 00:00 UTC, got prod2vec of the log up to 2026-06-29 00:00 UTC: weights are found" in told
    )
    assert not (own / TRAINING / "embeddings").exists()  # nothing is computed first


LEARN = ("--learn-weights", "--engagements", "log", "--date")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--learn-weights",), "expected --engagements and --date with --learn-weights, got none of them"),
        (LEARN[:3], "expected --engagements and --date with --learn-weights, got no --date"),
        (("--learn-weights", "--date", "2026-07-10"), "got no --engagements"),
        (
            (*LEARN, "2026-07-10", "--weights", "dae=1"),
            "expected no --weights with --learn-weights, which finds them, got 'dae=1'",
        ),
        (("--engagements", "log", "--date", "2026-07-10"), "--learn-weights with --engagements and --date, got none"),
        (("--date", "2026-07-10"), "expected --learn-weights with --date, got none"),
        ((*LEARN, "tomorrow"), "expected --date YYYY-MM-DD"),
    ],
)
def test_wrong_calls_of_learnt_weights_are_refused(made, flags, told, capsys):
    assert run_unify(made, "--sources", "itemsage,dae", *flags) == EXIT_USAGE
    assert told in capsys.readouterr().err


def test_what_was_found_is_told_beside_single_sources():
    """Of two tasks c has the best mean, and b alone is above it on one; d is left out; the third task tells nothing."""
    tasks = {"a": (0.60, 0.80), "b": (0.85, 0.45), "c": (0.76, 0.70), "d": (0.51, 0.10)}

    def objective(weights):
        alone = [name for name, weight in weights.items() if weight == 1]
        pairs, attribute = tasks[alone[0]] if alone else tasks["d"]
        return {"clicked_bought": pairs, "attributes": attribute, "flat": 0.5}

    found = search_weights(sorted(tasks), objective, {"clicked_bought": 0.5, "attributes": 0.1, "flat": 0.5})
    left_out = {"cart_returns": "expected returns, got 0", "size": "got 1 value", "brand": "got none"}
    sizes, knowing = {"clicked_bought": "7 pairs of 2 sessions"}, {"attributes": ["b", "d"]}
    lines = told(replace(found, left_out=left_out, sizes=sizes, not_asked=knowing)).split("\n")
    shares = [(0.76 - 0.5) / 0.35, (0.70 - 0.1) / 0.70]
    assert lines == [
        f"unify: weights by attributes, clicked_bought of {len(found.curve)} trials: together {np.mean(shares):.3f}, "
        "where 0 is a task's floor and 1 its best single source",
        f"unify: the best single source is c, together {np.mean(shares):.3f}: no weights of several are above it",
        "unify: attributes 0.700; alone above it: a 0.800; not asked of b, d, which have read what is asked",
        "unify: clicked_bought 0.760 (7 pairs of 2 sessions); alone above it: b 0.850",
        "unify: flat 0.500; does not count: no source alone is above its floor",
        "unify: cart_returns is not asked: expected returns, got 0",
        "unify: attributes that are not asked: brand, size; brand: got none",
        "unify: of weight 0, left out: a, b, d",
    ]


def test_weights_of_several_are_told_beside_the_best_of_them():
    def objective(weights):
        return {"pairs": 0.9 - (weights["a"] - 0.5) ** 2 - weights["c"]}

    lines = told(search_weights(["a", "b", "c"], objective, {"pairs": 0.5})).split("\n")
    assert lines[1] == "unify: the best single source is a, together 1.000"
    assert lines[2:] == ["unify: pairs 0.900; no source alone is above it", "unify: of weight 0, left out: c"]


def later_sessions() -> list[dict]:
    """Sessions after the sources' log: of one half of the items that were clicked, a click and what is bought."""
    chance, rows = random.Random(5), []
    for number in range(300):
        half = ITEM_IDS[12 * (number % 2) : 12 * (number % 2) + 12]
        hour = 24 * 28 + number
        for action in ("click", "click", "checkout"):
            rows.append(session_row(hour, f"later-{number}", f"u{number % 20}", chance.choice(half), action))
            hour += 0.01
    return rows
