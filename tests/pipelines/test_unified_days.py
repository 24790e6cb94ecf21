"""`daily --unify`: a day with unified vectors, killed and gone on with, taken over the next day, and published."""

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_server import Commands, command_server
from content_runs import item_row
from gate_runs import flip_byte
from unify_store import DAY_IDS, install_model, make_store, run_unify

from pipelines.console.exit_codes import EXIT_DONE, EXIT_FAULT, EXIT_USAGE
from pipelines.run.opened import Run
from pipelines.store import store
from pipelines.store.unified_models import current_unified_id
from schemas.files import read_json
from schemas.tables import ITEMS

DAY_BEFORE, DAY, DAY_AFTER = "2026-06-29", "2026-06-30", "2026-07-01"
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

    def write_catalogue(self, item_ids: list[str]) -> None:
        rows = pa.Table.from_pylist([item_row(name) for name in item_ids], schema=ITEMS)
        pq.write_table(rows, self.folder / "catalog.parquet")


@pytest.fixture(scope="module")
def commands(tmp_path_factory) -> Iterator[Commands]:
    with command_server(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


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
    assert manifest["unified_id"] == current_unified_id(str(shop.store))
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
    first = current_unified_id(str(own.store))
    assert run_unify(own.store, "--sources", "itemsage,dae") == EXIT_DONE
    assert own.day(DAY, "--unify")[0] == EXIT_DONE
    second = own.run_of(DAY)
    assert read_json(second / "manifest.json")["unified_id"] == current_unified_id(str(own.store)) != first
    code, shown = own.day(DAY, "--unify", "--unified-model", first)
    assert code == EXIT_DONE, shown
    assert f"unified  today {len(DAY_IDS)} = reused {len(DAY_IDS)} + computed 0" not in shown
    assert read_json(own.run_of(DAY) / "manifest.json")["unified_id"] == first


def test_wrong_calls_are_refused_before_any_work(own):
    days = sorted(path.name for path in (own.store / "runs").iterdir())
    code, shown = own.day(DAY, "--unified-model", current_unified_id(str(own.store)))
    assert (code, "expected --unify with --unified-model" in shown) == (EXIT_USAGE, True)
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
    code, shown = own.day(DAY, "--unify")
    assert code == EXIT_DONE, shown
    assert "is computed, not taken over" in shown
