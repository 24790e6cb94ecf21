"""What is damaged is refused by whoever reads it, and its name is told: one table, artefact x damage x reader.

The store is made by hand and has everything: a model, and two published days with users and a refined index. What was
forged so that its checksums fit is the matter of tests/security and of the tests of each reader.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from inspected_days import DAY, DAY_BEFORE, write_users_days

from pipelines.gates.gated_run import GatedRun
from pipelines.index.job import Index
from pipelines.operations.explain.account import explain
from pipelines.operations.explain.job import format_explanation
from pipelines.operations.findings import FAILED
from pipelines.operations.rollback import RollbackConfig
from pipelines.operations.rollback import run as roll_back
from pipelines.operations.verify.job import verify_run
from pipelines.serving.published_items import PublishedItems
from pipelines.serving.recommender import Recommender
from pipelines.serving.searcher import Searcher
from pipelines.store import history, store
from schemas.errors import CorruptFileError, UsageError

#: Of the vectors of a model that has learnt nothing: some items are left out, some are kept.
REFINE_COSINE = 0.5
ITEM, USER = "item-002", "user-1"

#: A reader gets a store and its damaged run, and returns all that it says of the damage, "" where it saw none.
Reader = Callable[[Path, Path], str]


def refusal(read: Callable[[], object]) -> str:
    """The error that ends it."""
    try:
        read()
    except CorruptFileError as error:
        return str(error)
    return ""


def verify(folder: Path, run: Path) -> str:
    failed = [found for found in verify_run(folder, run) if found.status == FAILED]
    return "\n".join(f"[{found.check}] {text}" for found in failed for text in found.problems)


def told_by_explain(folder: Path, run: Path) -> str:
    """An explanation of what can still be explained."""
    found = explain(str(folder), run, ITEM)
    assert f"item       '{ITEM}'" in format_explanation(found)
    return "\n".join(found["problems"])


def rollback(folder: Path, run: Path) -> str:
    """To the damaged run, which is the day before's: readers stay where they are, and no move is recorded."""
    before, moves = (folder / "CURRENT").read_bytes(), history.moves(str(folder))
    told = refusal(lambda: roll_back(RollbackConfig(store=str(folder), to=DAY_BEFORE)))
    assert (folder / "CURRENT").read_bytes() == before
    assert history.moves(str(folder)) == moves
    return told


READERS: dict[str, Reader] = {
    "verify": verify,
    "check_run": lambda folder, run: refusal(lambda: store.check_run(str(folder), run)),
    "index gate": lambda folder, run: refusal(lambda: list(Index.problems(GatedRun(run)))),
    "refined gate": lambda folder, run: refusal(lambda: GatedRun(run).refined),
    "explain": told_by_explain,
    "rollback": rollback,
    "search": lambda folder, run: refusal(lambda: Searcher(str(folder)).by_item([ITEM], 3)),
    "exact search": lambda folder, run: refusal(lambda: Searcher(str(folder), exact=True).by_item([ITEM], 3)),
    "items to recommend": lambda folder, run: refusal(lambda: PublishedItems(str(folder))),
    "recommend": lambda folder, run: refusal(lambda: Recommender(str(folder)).recommend(USER)),
}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x80
    path.write_bytes(data)


def overwrite_ends(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(b"broken" + data[6:-6] + b"broken")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": flip,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "gone": lambda path: path.unlink(),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b" "),
    "overwritten": overwrite_ends,
}


@dataclass(frozen=True)
class Claim:
    """Each damage of the artefact (the first file that fits the pattern; all of them for "every") is refused by each
    reader. blames: the checks of `verify` that fail, and no other; empty: not said. named: what the reader names in
    place of the file. says: what it says beside."""

    artefact: str
    damages: str
    readers: str
    blames: str = ""
    named: str = ""
    says: str = ""
    every: bool = False

    def cases(self) -> list[tuple["Claim", str, str]]:
        readers = [reader.strip() for reader in self.readers.split(",")]
        return [(self, damage, reader) for damage in self.damages.split() for reader in readers]


LIVE = "search, items to recommend"
#: What `verify` fails and says for a file of users.
OF_USERS = {"blames": "checksums users", "says": "not looked into: 1 of the files failed their checksums"}
TABLE = [
    Claim("items/bucket-*.parquet", "flipped gone", "verify"),
    Claim("features/bucket-*.tfrecord", "flipped gone", "verify"),
    Claim("fingerprints/bucket-*.parquet", "flipped gone", "verify"),
    Claim("quarantine/features-*.parquet", "flipped gone", "verify"),
    Claim("changes/*.parquet", "flipped gone", "verify"),
    Claim("changes.json", "flipped gone", "verify"),
    Claim("gates.json", "flipped", "verify"),
    Claim("started.json", "flipped", "verify"),
    Claim("units/items/*.json", "flipped", "verify"),
    Claim("units/items/*.json", "gone", "verify", named="units/items/, got 'bucket-00000-of-00003' in one of them"),
    Claim("units/features/*.json", "flipped", "verify"),
    Claim("units/features/*.json", "gone", "verify", named="units/features/, got 'bucket-00000-of-00003' in one of"),
    Claim("units/users/popularity.json", "flipped", "verify"),
    Claim("units/users/popularity.json", "gone", "verify", named="units/users/, got 'popularity' in one of them"),
    Claim("manifests/items.json", "flipped gone", "verify"),
    Claim("manifests/embeddings.json", "flipped gone", "verify"),
    Claim("manifests/index.json", "flipped gone", "verify"),
    Claim("manifests/users.json", "flipped gone", "verify"),
    Claim("embeddings/*.parquet", "flipped gone", "verify, check_run, rollback"),
    Claim("embeddings/*.parquet", "flipped", "exact search"),
    Claim("index/items.ann", "flipped gone", f"verify, check_run, rollback, index gate, {LIVE}"),
    Claim("index/items.ann", "truncated", f"verify, check_run, index gate, {LIVE}"),
    Claim("index/ids.parquet", "flipped gone", f"verify, check_run, index gate, {LIVE}"),
    Claim("index/manifest.json", "flipped gone", f"verify, check_run, index gate, {LIVE}"),
    Claim("refined_index/items.ann", "flipped gone", "verify", blames="checksums refined_index"),
    Claim("refined_index/ids.parquet", "flipped gone", "verify", blames="checksums refined_index"),
    Claim("refined_index/manifest.json", "flipped", "verify", blames="checksums manifests refined_index"),
    Claim("refined_index/manifest.json", "gone", "verify", blames="checksums refined_index"),
    Claim("refined_index/near_duplicates.parquet", "flipped gone", "verify", blames="checksums refined_index"),
    Claim("refined_index/items.ann", "flipped gone", "check_run, refined gate, items to recommend"),
    Claim("refined_index/ids.parquet", "flipped gone", "check_run, refined gate, items to recommend"),
    Claim("refined_index/manifest.json", "flipped gone", "check_run, refined gate, items to recommend"),
    Claim("refined_index/manifest.json", "longer", "items to recommend", named="refined_index"),
    Claim("refined_index/near_duplicates.parquet", "flipped gone", "check_run, refined gate"),
    Claim("refined_index/*", "gone", "items to recommend", every=True),
    Claim("users/*.parquet", "flipped truncated gone", "verify", **OF_USERS),
    Claim("user_actions/*.parquet", "flipped truncated gone", "verify", **OF_USERS),
    Claim("item_popularity/*.parquet", "flipped truncated gone", "verify", **OF_USERS),
    Claim("users/*.parquet", "flipped truncated gone", "check_run"),
    Claim("user_actions/*.parquet", "flipped truncated gone", "check_run"),
    Claim("item_popularity/*.parquet", "flipped truncated gone", "check_run"),
    Claim("users/*.parquet", "flipped gone", "recommend", every=True),
    Claim("user_actions/*.parquet", "flipped gone", "recommend", every=True),
    Claim("item_popularity/*.parquet", "flipped gone", "recommend", every=True),
    Claim("manifest.json", "flipped gone", "verify, check_run, rollback"),
    Claim("COMPLETED", "flipped", "verify, check_run, rollback", named="manifest.json"),  # whose checksum it has
    Claim("COMPLETED", "gone", "search, items to recommend, recommend", named="to name a finished run"),
    Claim("items/bucket-*.parquet", "overwritten", "explain", every=True),
    Claim("features/bucket-*.tfrecord", "overwritten", "explain", every=True),
    Claim("fingerprints/bucket-*.parquet", "overwritten", "explain", every=True),
    Claim("embeddings/*.parquet", "overwritten", "explain", every=True),
    Claim("index/items.ann", "overwritten", "explain", every=True),
    Claim("changes/*.parquet", "overwritten", "explain", every=True),
]
#: One of each: a stage's files, what is loaded to search, a folder of users, what publishes a run.
OF_EVERY_DAMAGE = (
    "embeddings/*.parquet",
    "index/items.ann",
    "refined_index/ids.parquet",
    "users/*.parquet",
    "manifest.json",
)
#: Files of the run's model.
MODEL_TABLE = [
    Claim("item_encoder.safetensors", "flipped", "verify"),
    Claim("vocabulary/tokens.parquet", "flipped", "verify"),
    Claim("config.json", "flipped", "verify"),
]


@pytest.fixture(scope="module")
def whole_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read it, do not change it."""
    folder = tmp_path_factory.mktemp("whole-store")
    write_users_days(folder, refine_cosine=REFINE_COSINE)
    return folder


@pytest.fixture
def own_store(whole_store: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole_store, tmp_path / "store"))


def run_of(folder: Path, reader: str) -> Path:
    """The run to damage: the published one, or the one before it that readers would be moved to."""
    (run,) = (folder / "runs" / (DAY_BEFORE if reader == "rollback" else DAY)).iterdir()
    return run


def cases_of(table: list[Claim]) -> list[object]:
    """Named artefact-damage-reader. `make test` has the first damage of each claim, and every damage of the artefacts
    that stand for the others: checksums are looked at in one place, whatever they are of."""
    cases = [case for claim in table for case in claim.cases()]
    return [
        pytest.param(
            *(claim, damage, reader),
            id=f"{claim.artefact}-{damage}-{reader}",
            marks=[] if is_representative(claim, damage) else pytest.mark.soak,
        )
        for claim, damage, reader in cases
    ]


def is_representative(claim: Claim, damage: str) -> bool:
    return damage == claim.damages.split()[0] or claim.artefact in OF_EVERY_DAMAGE


@pytest.mark.medium
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_reads_what_is_sound(whole_store, tmp_path, reader):
    """Else the table shows nothing."""
    folder = whole_store if reader != "rollback" else Path(shutil.copytree(whole_store, tmp_path / "store"))
    run = run_of(folder, reader)
    if reader == "rollback":
        assert roll_back(RollbackConfig(store=str(folder), to=DAY_BEFORE)) == run
    else:
        assert READERS[reader](folder, run) == ""


@pytest.mark.medium
@pytest.mark.parametrize(("claim", "damage", "reader"), cases_of(TABLE))
def test_a_damaged_artefact_is_refused_by_name(own_store, claim, damage, reader):
    run = run_of(own_store, reader)
    paths = sorted(run.glob(claim.artefact))
    paths = paths if claim.every else paths[:1]
    for path in paths:
        DAMAGES[damage](path)
    told = READERS[reader](own_store, run)
    assert any((claim.named or path.relative_to(run).as_posix()) in told for path in paths), told
    assert claim.says in told
    if claim.blames:
        assert {line.split("]")[0][1:] for line in told.splitlines()} == {*claim.blames.split()}


@pytest.mark.medium
@pytest.mark.parametrize(("claim", "damage", "reader"), cases_of(MODEL_TABLE))
def test_a_damaged_file_of_the_model_is_refused_by_name(own_store, claim, damage, reader):
    (path,) = (own_store / "models").glob(f"itemsage-*/{claim.artefact}")
    DAMAGES[damage](path)
    assert claim.artefact in READERS[reader](own_store, run_of(own_store, reader))


def test_a_store_without_the_runs_model_is_not_rolled_back(own_store):
    shutil.rmtree(own_store / "models")
    with pytest.raises(UsageError):
        rollback(own_store, run_of(own_store, "rollback"))


def test_the_table_misses_no_kind_of_file_that_readers_read(whole_store):
    run = run_of(whole_store, "verify")
    known = {path for claim in TABLE for path in run.glob(claim.artefact)}
    folders = ("embeddings", "index", "refined_index", "users", "user_actions", "item_popularity", "items", "changes")
    there = {path for name in folders for path in (run / name).iterdir() if path.is_file()}
    times = {run / name / "times.json" for name in ("index", "refined_index")}
    assert there - known - times == set()
