"""`daily --unify`: a day with unified vectors, killed and gone on with, taken over the next day, and published."""

import json
import re
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_server import Commands
from content_runs import BLIND, item_row
from gate_runs import flip_byte
from unify_store import DAY_IDS, install_model, make_store, run_unify
from verified_store import reseal

from model.sources.unified import load_unified
from pipelines.console.exit_codes import EXIT_DONE, EXIT_FAULT, EXIT_THRESHOLD, EXIT_USAGE
from pipelines.run.opened import Run
from pipelines.run.units import read_stage_manifest
from pipelines.sources.content import ATTRIBUTES, encode_attributes
from pipelines.store import store
from pipelines.store.lock import store_lock
from pipelines.store.models import UNIFIED_MODELS
from schemas.files import read_json
from schemas.records.embeddings import read_embeddings, read_embeddings_metadata, write_embeddings_file
from schemas.tables import ITEMS

DAY_BEFORE, DAY, DAY_AFTER = "2026-06-29", "2026-06-30", "2026-07-01"
#: The log has rows of items that are not in the catalogue.
LENIENT = ("--max-quarantined-log", "1")
pytest_plugins = ["fault_fixtures"]
pytestmark = pytest.mark.slow


@dataclass
class Shop:
    """A catalogue of attributes and texts, a store with a model that nobody trained and a unified model."""

    folder: Path
    commands: Commands

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def call(self, command: str, *flags: str, die: tuple[str, str] | None = None) -> tuple[int, str]:
        """Exit code and output of a command."""
        start = self.commands.log.stat().st_size
        code = self.commands.run(command, *flags, "--store", str(self.store), die=die)
        return code, self.commands.log.read_bytes()[start:].decode()

    def day(self, date: str, *flags: str, die: tuple[str, str] | None = None) -> tuple[int, str]:
        return self.call("daily", "--catalog", f"{self.folder}/catalog.parquet", "--date", date, *flags, die=die)

    def run_of(self, date: str) -> Path:
        """The newest run of a day."""
        return max((self.store / "runs" / date).iterdir(), key=lambda run: run.stat().st_mtime_ns)

    def on_unified(self) -> tuple[str, ...]:
        """Flags of a day with users whose index and users are of unified vectors."""
        return ("--unify", "--engagements", str(self.folder / "log"), "--vectors", "unified", *LENIENT)

    def write_catalogue(self, item_ids: list[str]) -> None:
        rows = pa.Table.from_pylist([item_row(name) for name in item_ids], schema=ITEMS)
        pq.write_table(rows, self.folder / "catalog.parquet")


@pytest.fixture(scope="module")
def shop(commands, tmp_path_factory) -> Shop:
    """The day before is published with unified vectors, after it was killed in their stage."""
    made = Shop(tmp_path_factory.mktemp("shop"), commands)
    make_store(made.store, picture_dim=0)
    assert run_unify(made.store, "--sources", "itemsage,prod2vec,dae", "--weights", "prod2vec=.5") == EXIT_DONE
    made.write_catalogue(DAY_IDS)
    code, shown = made.day(DAY_BEFORE, "--unify", die=("after", "*/unified/part-*.parquet"))
    assert code == -signal.SIGKILL, shown
    killed = made.run_of(DAY_BEFORE)
    assert not (killed / "manifests" / "unified.json").exists()
    code, shown = made.day(DAY_BEFORE, "--unify")
    assert code == EXIT_DONE, shown
    assert made.run_of(DAY_BEFORE) == killed
    assert f"unified  today {len(DAY_IDS)} = reused 0 + computed {len(DAY_IDS)}" in shown
    return made


@pytest.fixture
def own(shop, tmp_path) -> Shop:
    """The same with a life of its own."""
    shutil.copytree(shop.folder, tmp_path / "shop")
    return Shop(tmp_path / "shop", shop.commands)


def test_it_is_published_and_readers_find_it(shop):
    run = store.current_run(str(shop.store))
    manifest = read_json(run / "manifest.json")
    assert [entry["path"] for entry in manifest["files"] if entry["path"].startswith("unified/")]
    assert manifest["unified_id"] == UNIFIED_MODELS.current(str(shop.store))
    assert manifest["counts"]["unified"] == len(DAY_IDS) == manifest["counts"]["rows_published"]
    opened = Run.open(run)
    assert opened.unified.ids.to_pylist() == opened.embeddings.ids.to_pylist() == DAY_IDS
    assert not np.array_equal(opened.unified.matrix_ND, opened.embeddings.matrix_ND)
    code, shown = shop.call("path", "unified")
    assert (code, shown.strip()) == (EXIT_DONE, str(run / "unified"))
    code, shown = shop.call("verify")
    assert code == EXIT_DONE, shown
    assert "unified" in shown
    code, shown = shop.call("explain", DAY_IDS[3])
    assert "unified    unified/part-00000-of-00001.parquet" in shown


def test_explain_tells_what_each_source_gives(shop):
    run, names = store.current_run(str(shop.store)), ("dae", "itemsage", "prod2vec")
    unified = load_unified(UNIFIED_MODELS.folder(str(shop.store), UNIFIED_MODELS.current(str(shop.store))))
    opened = Run.open(run)
    rows = {row["item_id"]: row for row in pq.read_table(run / "items").to_pylist()}
    for item_id in (DAY_IDS[3], "item-100", BLIND):
        code, shown = shop.call("explain", item_id, "--json")
        assert code == EXIT_DONE, shown
        told = json.loads(shown[shown.index("{") :])["unified"]
        place = opened.embeddings.ids.index(item_id).as_py()
        vectors = {
            "itemsage": opened.embeddings.matrix_ND[place].astype(float),
            "prod2vec": unified.known["prod2vec"].of(pa.array([item_id]))[0][0].astype(float),
            "dae": encode_attributes(unified.dae, pa.Table.from_pylist([rows[item_id]], schema=ATTRIBUTES))[0][0],
        }
        for name, projection in unified.fusion.projections.items():
            vectors[name] = vectors[name] @ projection
        weights = {"itemsage": 1.0, "prod2vec": 0.5, "dae": 1.0}
        total = sum(weights[name] * vectors[name] for name in names)
        assert [one["source"] for one in told["sources"]] == list(names)
        for one in told["sources"]:
            vector = vectors[one["source"]]
            assert one["has_vector"] == vector.any()
            if one["has_vector"]:
                assert one["weight_here"] == one["weight"] == weights[one["source"]]
                expected = weights[one["source"]] * vector @ total / (total @ total)
                assert one["share"] == pytest.approx(expected, abs=1e-4)
                cosine = vector @ total / np.linalg.norm(vector) / np.linalg.norm(total)
                assert one["cosine"] == pytest.approx(cosine, abs=1e-4)
        assert told["cosine"] == pytest.approx(1, abs=1e-5)
        assert {one["source"]: one["evidence"] for one in told["sources"]}["itemsage"] is None
    code, shown = shop.call("explain", "item-100")
    assert re.search(r"^  prod2vec +0.5 +0 +no vector$", shown, re.MULTILINE)
    assert re.search(r"^  itemsage +1 +1.000 +0.\d+ +0.\d+$", shown, re.MULTILINE)
    assert "cosine 1.0000 with the vector of the run" in shown


def test_explain_of_a_model_that_is_gone_tells_the_rest(own):
    shutil.rmtree(own.store / "models" / UNIFIED_MODELS.current(str(own.store)))
    code, shown = own.call("explain", DAY_IDS[3])
    assert (code, "unified    norm 1.000000" in shown) == (EXIT_DONE, True)
    assert "problem    expected a unified model of the store" in shown


def test_the_next_day_takes_it_over(own):
    code, shown = own.day(DAY, "--unify")
    assert code == EXIT_DONE, shown
    assert f"unified  today {len(DAY_IDS)} = reused {len(DAY_IDS)} + computed 0" in shown
    before, after = (store.current_run(str(own.store)) / "unified", own.run_of(DAY_BEFORE) / "unified")
    assert [path.read_bytes() for path in sorted(before.iterdir())] == [
        path.read_bytes() for path in sorted(after.iterdir())
    ]
    own.write_catalogue([*DAY_IDS, "item-102"])
    code, shown = own.day(DAY_AFTER, "--unify")
    assert code == EXIT_DONE, shown
    assert Run.open(own.run_of(DAY_AFTER)).unified.ids.to_pylist() == [*DAY_IDS, "item-102"]
    changes = pq.read_table(own.run_of(DAY_AFTER) / "unified_changes").to_pylist()
    assert changes == [{"item_id": "item-102", "change": "new"}]
    told = read_json(own.run_of(DAY_AFTER) / "changes.json")["unified"]
    assert told == {"new": 1, "changed": 0, "deleted": 0, "unchanged": len(DAY_IDS)}
    gates = {gate["name"]: gate["status"] for gate in read_json(own.run_of(DAY_AFTER) / "gates.json")["gates"]}
    assert {gates[f"unified_{name}"] for name in ("coverage", "neighbour_overlap", "drift")} == {"passed"}
    assert own.call("verify")[0] == EXIT_DONE
    assert own.call("gc", "--keep", "0", "--min-age-hours", "0")[0] == EXIT_DONE
    assert own.day(DAY_AFTER, "--unify")[0] == EXIT_DONE


def test_a_day_without_it_is_the_day_it_was(own):
    """Its run id does not know of unified models, and it follows on one that had one."""
    code, shown = own.day(DAY)
    assert code == EXIT_DONE, shown
    run = own.run_of(DAY)
    assert not (run / "unified").exists()
    manifest = read_json(run / "manifest.json")
    assert "unified_id" not in manifest
    assert not any("unif" in name for name in manifest["config"])
    code, shown = own.day(DAY, "--unify")
    assert code == EXIT_DONE, shown
    assert own.run_of(DAY) != run
    assert own.call("verify")[0] == EXIT_DONE


def test_another_unified_model_is_another_run(own):
    first = UNIFIED_MODELS.current(str(own.store))
    assert run_unify(own.store, "--sources", "itemsage,dae") == EXIT_DONE
    assert own.day(DAY, "--unify")[0] == EXIT_DONE
    second = own.run_of(DAY)
    assert read_json(second / "manifest.json")["unified_id"] == UNIFIED_MODELS.current(str(own.store)) != first
    code, shown = own.call("diff", "--vectors", "unified", DAY_BEFORE, DAY)
    assert code == EXIT_DONE, shown
    assert re.search(
        r"^sources +dae 1, itemsage 1, prod2vec 0.5; sum of 16 +dae 1, itemsage 1; sum of 16$", shown, re.M
    )
    code, shown = own.call("diff", DAY_BEFORE, DAY, "--json")
    assert (code, json.loads(shown)["unified"]) == (EXIT_DONE, None)
    code, shown = own.day(DAY, "--unify", "--unified-model", first)
    assert code == EXIT_DONE, shown
    assert f"unified  today {len(DAY_IDS)} = reused {len(DAY_IDS)} + computed 0" not in shown
    assert read_json(own.run_of(DAY) / "manifest.json")["unified_id"] == first


def test_wrong_calls_are_refused_before_any_work(own):
    days = sorted(path.name for path in (own.store / "runs").iterdir())
    code, shown = own.day(DAY, "--unified-model", UNIFIED_MODELS.current(str(own.store)))
    assert (code, "expected --unify with --unified-model" in shown) == (EXIT_USAGE, True)
    assert own.day(DAY, "--vectors", "unified")[0] == EXIT_USAGE
    install_model(own.store, picture_dim=0, num_layers=2)
    code, shown = own.day(DAY, "--unify")
    assert (code, "which belongs to itemsage-" in shown) == (EXIT_USAGE, True)
    assert "run `itemsage unify` again" in shown.replace("\n", " ")
    (own.store / "models" / "UNIFIED").unlink()
    code, shown = own.day(DAY, "--unify")
    assert (code, "run `itemsage unify` first" in shown) == (EXIT_USAGE, True)
    assert sorted(path.name for path in (own.store / "runs").iterdir()) == days


def test_damage_is_found(own):
    (path,) = (store.current_run(str(own.store)) / "unified").iterdir()
    flip_byte(path)
    code, shown = own.call("verify")
    assert code == EXIT_FAULT
    assert "sha256 of 'unified/part-00000-of-00001.parquet'" in shown
    assert "not looked into: the vectors of unified/ cannot be read" in shown
    code, shown = own.day(DAY, "--unify")
    assert code == EXIT_THRESHOLD, shown
    assert "is computed, not taken over" in shown
    failing = "unified_coverage,unified_neighbour_overlap,unified_drift"
    assert f"--accept {failing}" in shown.replace("\n", " ")
    assert own.day(DAY, "--unify", "--accept", failing, "--because", "a disk had failed")[0] == EXIT_DONE


def test_verify_looks_at_the_unified_model_and_fuses_a_sample_again(own, tmp_path):
    again = ("--rebuild", "40", "--image-root", str(tmp_path))
    code, shown = own.call("verify", *again)
    assert code == EXIT_DONE, shown
    assert f"unified_model    {UNIFIED_MODELS.current(str(own.store))}, " in shown
    assert "40 items fused again" in shown
    run, model = store.current_run(str(own.store)), Path(own.store, "models", UNIFIED_MODELS.current(str(own.store)))
    ids, matrix_NE = read_embeddings(run / "unified")
    (path,) = (run / "unified").iterdir()
    write_embeddings_file(path, ids, matrix_NE[:, ::-1].copy(), read_embeddings_metadata(run / "unified"))
    reseal(run, "unified", ("unified/",))
    code, shown = own.call("verify", *again)
    assert code == EXIT_FAULT
    assert "expected the stored unified vector, got one" in shown
    flip_byte(model / "dae" / "model" / "weights.safetensors")
    (model / "more.txt").write_text("")
    (own.store / "models" / "UNIFIED").write_text("unified-000000000000\n")
    code, shown = own.call("verify")
    assert code == EXIT_FAULT
    for told in ("dae/model/weights.safetensors", "'more.txt' is not part of", "got 'unified-000000000000'"):
        assert told in shown, told


def test_a_killed_unify_leaves_the_one_before(own):
    before, flags = UNIFIED_MODELS.current(str(own.store)), ("--sources", "itemsage,dae")
    code, shown = own.call("unify", *flags, die=("after", "*/models/.unified-*/manifest.json"))
    assert code == -signal.SIGKILL, shown
    assert UNIFIED_MODELS.current(str(own.store)) == before
    assert own.call("unify", *flags)[0] == EXIT_DONE
    assert UNIFIED_MODELS.current(str(own.store)) != before
    assert len(list((own.store / "models").glob(".unified-*"))) == 1
    code, shown = own.call("gc", "--keep", "9", "--min-age-hours", "0")
    assert code == EXIT_DONE, shown
    assert not list((own.store / "models").glob(".unified-*"))
    assert (own.store / "models" / before).is_dir()  # the published run is made with it


def test_a_training_that_is_at_work_is_waited_for(own):
    before = UNIFIED_MODELS.current(str(own.store))
    with store_lock(str(own.store), "train", name="training/LOCK"):
        code, shown = own.call("unify", "--sources", "itemsage,dae")
    assert (code, "expected to be the only one that writes" in shown) == (EXIT_FAULT, True)
    assert UNIFIED_MODELS.current(str(own.store)) == before


@pytest.fixture(scope="module")
def unified_day(shop, tmp_path_factory) -> Shop:
    """A day whose index and users are of unified vectors is published."""
    folder = tmp_path_factory.mktemp("unified-day") / "shop"
    shutil.copytree(shop.folder, folder)
    made = Shop(folder, shop.commands)
    code, shown = made.day(DAY, *made.on_unified())
    assert code == EXIT_DONE, shown
    return made


def test_index_and_users_are_of_unified_vectors(unified_day):
    opened = Run.open(store.current_run(str(unified_day.store)))
    assert opened.folder.parent.name == DAY
    ids, matrix_NE = opened.unified
    near, index_ids, manifest = opened.index
    assert index_ids.equals(ids)
    np.testing.assert_array_equal(near.vectors(np.arange(len(ids))), matrix_NE)
    unified_id = UNIFIED_MODELS.current(str(unified_day.store))
    assert (manifest["vectors"], manifest["unified_id"]) == ("unified", unified_id)
    assert manifest["model_id"] == opened.model_id
    assert manifest["searched"]["kinds"].keys() == {"item"}
    assert read_stage_manifest(str(opened.folder), "users")["vectors"] == "unified"
    users = [opened.users(bucket) for bucket in range(opened.num_user_buckets)]
    rows = {name: row for row, name in enumerate(ids.to_pylist())}
    medoids = [name for found in users for name in found.medoid_ids.to_pylist()]
    assert len(medoids) > 5
    expected = matrix_NE[[rows[name] for name in medoids]]
    np.testing.assert_array_equal(np.concatenate([found.medoids_CD for found in users]), expected)
    assert opened.run_manifest.facts["config"]["vectors"] == "unified"


@pytest.mark.parametrize("exact", [(), ("--exact",)], ids=["index", "exact"])
def test_items_near_an_item_are_near_by_unified_vectors(unified_day, exact):
    ids, matrix_NE = Run.open(store.current_run(str(unified_day.store))).unified
    row = ids.to_pylist().index(DAY_IDS[5])
    cosines = matrix_NE @ matrix_NE[row]
    cosines[row] = -2
    best = np.sort(cosines)[::-1][:5]
    code, shown = unified_day.call("search", "--item", DAY_IDS[5], "--top", "5", "--json", *exact)
    assert code == EXIT_DONE, shown
    found = json.loads(shown)["results"]
    np.testing.assert_allclose([result["score"] for result in found], best, atol=1e-5)


def test_queries_that_have_no_unified_vector_are_told_so(unified_day, tmp_path):
    code, shown = unified_day.call("search", "--text", "number 7")
    assert code == EXIT_USAGE
    assert "expected a query by item, got one by text" in shown
    (tmp_path / "query.png").write_bytes(b"no picture")
    code, shown = unified_day.call("search", "--image", str(tmp_path / "query.png"))
    assert code == EXIT_USAGE
    assert "expected a query by item, got one by picture" in shown
    lines = tmp_path / "queries.jsonl"
    lines.write_text('{"query_id": 1, "text": "number 7"}\n{"query_id": 2, "item": "item-003"}\n')
    code, shown = unified_day.call("search", "--queries", str(lines))
    assert code == EXIT_DONE
    answers = [json.loads(line) for line in shown.splitlines() if line.startswith("{")]
    assert "expected a query by item" in answers[0]["error"]
    assert len(answers[1]["results"]) == 10


def test_commands_that_look_at_a_run_look_at_it(unified_day):
    code, shown = unified_day.call("recommend", "--user", "u1")
    assert code == EXIT_DONE, shown
    assert "item-" in shown
    code, shown = unified_day.call("verify")
    assert code == EXIT_DONE, shown
    code, shown = unified_day.call("explain", DAY_IDS[5])
    assert code == EXIT_DONE, shown
    code, shown = unified_day.call("diff", DAY_BEFORE, DAY, "--vectors", "unified", "--json")
    assert code == EXIT_DONE, shown
    found = json.loads(shown)
    unified_id = UNIFIED_MODELS.current(str(unified_day.store))
    assert (found["model_id"], found["unchanged"]) == ([unified_id, unified_id], len(DAY_IDS))


def test_the_day_after_takes_index_and_users_over_and_one_on_embeddings_does_not(unified_day, tmp_path):
    own = Shop(shutil.copytree(unified_day.folder, tmp_path / "shop"), unified_day.commands)
    before = own.run_of(DAY)
    code, shown = own.day(DAY_AFTER, *own.on_unified())
    assert code == EXIT_DONE, shown
    after = own.run_of(DAY_AFTER)
    for name in ("items.ann", "ids.parquet", "manifest.json"):
        assert (after / "index" / name).read_bytes() == (before / "index" / name).read_bytes()
    counts = read_json(after / "manifest.json")["counts"]
    assert counts["users_reused"] == counts["users"] > 0
    code, shown = own.day(DAY_AFTER, *own.on_unified()[:3])
    assert code == EXIT_DONE, shown
    plain = own.run_of(DAY_AFTER)
    assert plain != after
    assert "vectors" not in read_json(plain / "index" / "manifest.json")
    counts = read_json(plain / "manifest.json")["counts"]
    assert counts["users_computed"] == counts["users"] > 0
    assert own.call("verify")[0] == EXIT_DONE
    assert own.call("search", "--item", DAY_IDS[5])[0] == EXIT_DONE


def test_an_index_of_another_days_unified_vectors_is_found(unified_day, tmp_path):
    own = Shop(shutil.copytree(unified_day.folder, tmp_path / "shop"), unified_day.commands)
    code, shown = own.day(DAY_AFTER, *own.on_unified(), die=("after", "*/manifests/index.json"))
    assert code == -signal.SIGKILL, shown
    run = own.run_of(DAY_AFTER)
    manifest = read_json(run / "index" / "manifest.json")
    assert manifest["vectors"] == "unified"
    (run / "index" / "manifest.json").write_text(json.dumps({**manifest, "vectors": "embeddings"}))
    code, shown = own.day(DAY_AFTER, *own.on_unified())
    assert code == EXIT_DONE, shown  # a file unlike its checksum is made again
    assert read_json(run / "index" / "manifest.json") == manifest
