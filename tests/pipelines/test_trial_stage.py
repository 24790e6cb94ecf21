"""What a new stage costs: its job (helpers/trial_stage.py), its line in the list of stages (helpers/trial_line.py) and
the golden file of its flags. With nothing else a day has it, and every command that looks at a run looks at it."""

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_server import Commands, command_server
from gate_runs import flip_byte
from python_process import ROOT, run_python
from trial_stage import COMPUTED, UNSOUND

from model.items.itemsage import ItemSage, ItemSageConfig
from model.items.store import save_model
from model.text.vocabulary import TokenCounts, Vocabulary
from pipelines.console.exit_codes import EXIT_DONE, EXIT_FAULT, EXIT_THRESHOLD
from pipelines.run.unit_files import sidecar_path
from pipelines.store import store
from pipelines.store.models import ITEM_MODELS
from schemas.files import read_json, read_sealed_json, write_sealed_json

DAY_BEFORE, DAY, DAY_AFTER = "2026-06-29", "2026-06-30", "2026-07-01"
NUM_ITEMS = 30
GOLDEN = ROOT / "tests" / "golden" / "flags" / "trial" / "flags.json"
pytestmark = pytest.mark.slow


@dataclass
class Shop:
    """A catalogue of texts, a store with a model that nobody trained, and commands that know the trial stage."""

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


@pytest.fixture(scope="module")
def commands(tmp_path_factory) -> Iterator[Commands]:
    with command_server(tmp_path_factory.mktemp("server") / "log", "trial_line") as server:
        yield server


@pytest.fixture(scope="module")
def new_shop(commands, tmp_path_factory) -> Shop:
    """Nothing is published yet."""
    folder = tmp_path_factory.mktemp("shop")
    titles = [f"{('red', 'blue', 'green')[n % 3]} {('lamp', 'chair')[n % 2]} number {n}" for n in range(NUM_ITEMS)]
    table = {"item_id": [f"item-{n:03d}" for n in range(NUM_ITEMS)], "title": titles, "images": [[]] * NUM_ITEMS}
    pq.write_table(pa.table(table, schema=_catalogue()), folder / "catalog.parquet")
    counts = TokenCounts()
    for title in titles:
        counts.add_text(title)
    vocabulary = Vocabulary.from_counts(counts.table())
    vocabulary.save(folder / "vocabulary")
    sizes = {"hash_rows": 1_000, "width": 32, "ffn_dim": 32, "mlp_dim": 32}
    model = ItemSage(ItemSageConfig(vocabulary_size=vocabulary.size, picture_dim=0, **sizes))
    described = {"vocabulary_folder": folder / "vocabulary", "image_encoder_folder": None}
    split = {"kind": "query_hash"}
    model_id = save_model(model, folder / "model", **described, towers={}, split=split, metrics={})
    (folder / "store" / "models").mkdir(parents=True)
    (folder / "model").rename(folder / "store" / "models" / model_id)
    ITEM_MODELS.make_current(f"{folder}/store", model_id)
    return Shop(folder, commands)


def _catalogue() -> pa.Schema:
    return pa.schema([("item_id", pa.string()), ("title", pa.string()), ("images", pa.list_(pa.string()))])


@pytest.fixture(scope="module")
def shop(new_shop) -> Shop:
    """The day before is published, after it was killed once."""
    code, shown = new_shop.day(DAY_BEFORE, die=("after", "*/units/copies/copy-*.json"))
    assert code == -signal.SIGKILL, shown
    (killed,) = (new_shop.store / "runs" / DAY_BEFORE).iterdir()
    (finished,) = [path.stem for path in (killed / "units" / "copies").glob("copy-*.json")]
    assert not (killed / "manifests" / "copies.json").exists()
    assert store.current_run_or_none(str(new_shop.store)) is None
    code, shown = new_shop.day(DAY_BEFORE)
    assert code == EXIT_DONE, shown
    computed = (killed / COMPUTED).read_text().split()
    assert computed.count(finished) == 1
    assert len(computed) == 2
    return new_shop


@pytest.fixture
def own(shop, tmp_path) -> Shop:
    """The same with a life of its own."""
    shutil.copytree(shop.folder, tmp_path / "shop")
    return Shop(tmp_path / "shop", shop.commands)


def test_a_day_makes_it_and_readers_find_it(shop):
    run = store.current_run(str(shop.store))
    manifest = read_json(run / "manifest.json")
    published = [entry["path"] for entry in manifest["files"]]
    (embeddings,) = [path for path in published if path.startswith("embeddings/")]
    copies = ["copies/copy-00000-of-00002.parquet", "copies/copy-00001-of-00002.parquet"]
    assert [path for path in published if path.startswith("copies/")] == copies
    assert {(run / path).read_bytes() for path in copies} == {(run / embeddings).read_bytes()}
    counts = manifest["counts"]
    assert counts["copies"] == counts["copies_computed"] == 2 * NUM_ITEMS == 2 * counts["rows_published"]
    assert read_json(run / "times.json")["copies"] >= 0
    code, shown = shop.call("path", "copies")
    assert (code, shown.strip()) == (EXIT_DONE, str(run / "copies"))
    code, shown = shop.call("verify")
    assert code == EXIT_DONE, shown
    assert "copies" in shown


def test_the_next_day_takes_it_over_and_tells_so(own):
    code, shown = own.day(DAY)
    assert code == EXIT_DONE, shown
    assert f"copies   {2 * NUM_ITEMS} = reused {2 * NUM_ITEMS} + computed 0" in shown
    assert not (own.run_of(DAY) / COMPUTED).exists()
    assert own.call("verify")[0] == EXIT_DONE
    assert own.day(DAY_AFTER)[0] == EXIT_DONE
    assert own.call("gc", "--keep", "0", "--min-age-hours", "0")[0] == EXIT_DONE
    assert sorted(path.parent.parent.name for path in own.store.glob("runs/*/*/copies")) == [DAY, DAY_AFTER]


def test_its_own_problems_fail_a_gate_of_its_name_that_nobody_can_accept(own):
    code, shown = own.day(DAY, die=("after", "*/manifests/copies.json"))
    assert code == -signal.SIGKILL, shown
    run = own.run_of(DAY)
    (run / UNSOUND).touch()
    code, shown = own.day(DAY)
    assert code == EXIT_THRESHOLD, shown
    assert "copies cannot be accepted" in shown
    gates = {gate["name"]: gate for gate in read_json(run / "gates.json")["gates"]}
    assert (gates["copies"]["status"], gates["copies"]["message"]) == ("failed", "expected sound copies, got others")
    assert store.current_run(str(own.store)).parent.name == DAY_BEFORE
    code, shown = own.call("verify", "--run", f"runs/{DAY}/{run.name}")
    assert code == EXIT_FAULT
    assert "expected sound copies, got others" in shown
    (run / UNSOUND).unlink()
    assert own.day(DAY)[0] == EXIT_DONE
    assert store.current_run(str(own.store)).parent.name == DAY


def test_counts_that_do_not_add_up_are_not_published(own):
    code, shown = own.day(DAY, die=("after", "*/manifests/copies.json"))
    assert code == -signal.SIGKILL, shown
    path = sidecar_path(str(own.run_of(DAY)), "copies", "copy-00000-of-00002")
    sidecar = read_sealed_json(path)
    sidecar["counts"]["copies_written"] += 1
    write_sealed_json(path, sidecar)
    code, shown = own.day(DAY)
    assert code == EXIT_FAULT, shown
    assert "expected copies = copies_reused + copies_computed, got copies 61, copies_reused 60" in shown
    assert store.current_run(str(own.store)).parent.name == DAY_BEFORE


def test_damage_is_found_by_name(own):
    path = own.run_of(DAY_BEFORE) / "copies" / "copy-00001-of-00002.parquet"
    flip_byte(path)
    code, shown = own.call("verify")
    assert code == EXIT_FAULT
    assert "sha256 of 'copies/copy-00001-of-00002.parquet'" in shown
    code, shown = own.day(DAY)
    assert code == EXIT_DONE, shown
    assert "copy-00001-of-00002 is computed, not taken over: expected sha256" in shown


def test_explain_names_it(shop):
    code, shown = shop.call("explain", "item-003")
    assert code == EXIT_DONE
    assert "copies     copies/copy-00000-of-00002.parquet, copies/copy-00001-of-00002.parquet" in shown


def test_it_is_a_command_with_flags_of_its_own(shop, commands):
    run = store.current_run(str(shop.store))
    assert commands.run("copies", "--run", str(run)) == EXIT_DONE
    assert commands.run("copies", "--ran", str(run)) != EXIT_DONE
    path = f"import sys\nsys.path.insert(0, {str(ROOT / 'tests' / 'helpers')!r})\n"
    code = "import trial_line, json\nfrom command_configs import flags\nprint(json.dumps(flags()['copies']))"
    assert json.loads(run_python(path + code).stdout) == json.loads(GOLDEN.read_text())
