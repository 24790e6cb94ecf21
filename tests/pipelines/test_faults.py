"""One flipped byte, wherever it is: the run of the day ends in a clear error or with the right bytes.

`make test` flips one byte in a few kinds of file, `make soak` several in every kind.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from exploration import SOAK, seed_to_explore, soak
from fault_bench import (
    DAY,
    DAY_BEFORE,
    Bench,
    assert_sound,
    copy_of,
    differing,
    flip,
    pointer_of,
    position_and_mask,
    result_of,
)

from pipelines.store import store

pytest_plugins = ["fault_fixtures"]
pytestmark = pytest.mark.slow

#: Kinds of file of a run -> pattern inside it.
RUN_KINDS = {
    "items": "items/*.parquet",
    "features": "features/*.tfrecord",
    "fingerprints": "fingerprints/*.parquet",
    "embeddings": "embeddings/*.parquet",
    "index": "index/items.ann",
    "index ids": "index/ids.parquet",
    "index manifest": "index/manifest.json",
    "index times": "index/times.json",
    "refined index": "refined_index/items.ann",
    "refined index ids": "refined_index/ids.parquet",
    "refined index manifest": "refined_index/manifest.json",
    "refined index times": "refined_index/times.json",
    "near-duplicates": "refined_index/near_duplicates.parquet",
    "users": "users/*.parquet",
    "actions of users": "user_actions/*.parquet",
    "popularity": "item_popularity/items.parquet",
    "popularity by bucket": "item_popularity/_buckets/*.parquet",
    "manifest of items": "manifests/items.json",
    "manifest of the log": "manifests/log.json",
    "manifest of features": "manifests/features.json",
    "manifest of embeddings": "manifests/embeddings.json",
    "manifest of index": "manifests/index.json",
    "manifest of users": "manifests/users.json",
    "unit of items": "units/items/*.json",
    "unit of the log": "units/log/*.json",
    "unit of features": "units/features/*.json",
    "unit of embeddings": "units/embeddings/*.json",
    "unit of index": "units/index/*.json",
    "unit of users": "units/users/*.json",
    "manifest": "manifest.json",
    "completed": "COMPLETED",
    "metrics": "metrics.json",
    "gates": "gates.json",
    "started": "started.json",
    "quarantine": "quarantine/*.parquet",
    "query pictures": "query_pictures/*",
    "changes": "changes/*.parquet",
    "changes counts": "changes.json",
    "times": "times.json",
}
STORE_KINDS = {"history": "history.jsonl", "lock": "LOCK", "buckets": "store.json", "pointer": "CURRENT"}
#: Not there before the run is published.
LATE = ("completed", "times")
MODEL_KINDS = {
    "weights of the table": "hash_embedder.safetensors",
    "weights of the items": "item_encoder.safetensors",
    "weights of texts": "text_tower.safetensors",
    "weights of pictures": "picture_tower.safetensors",
    "configuration": "config.json",
    "manifest": "manifest.json",
    "metrics": "metrics.json",
    "split": "split.json",
    "vocabulary": "vocabulary/vocabulary.json",
    "tokens": "vocabulary/tokens.parquet",
    "image encoder": "image_encoder/image_encoder.json",
    "weights of the image encoder": "image_encoder/*.safetensors",
    "pointer": "../CURRENT",
}
#: What `make test` flips a byte of.
FEW = {
    "yesterday": ("fingerprints", "pointer"),
    "today": ("items", "index"),
    "model": ("weights of the items", "pointer"),
}
FLIPS_OF_EACH = 5


def cases(what: str, kinds: Iterable[str]) -> list[Any]:
    """(kind, number) of the flips."""
    every = [(kind, number) for kind in kinds for number in range(FLIPS_OF_EACH)]
    few = [(kind, 0) for kind in FEW[what]]
    return [*few, *soak(*(case for case in every if case not in few))]


def files_of_a_kind(folder: Path, run: Path, kind: str) -> list[Path]:
    found = sorted(run.glob(RUN_KINDS[kind])) if kind in RUN_KINDS else sorted(folder.glob(STORE_KINDS[kind]))
    assert found, kind
    return found


def pick(files: list[Path], *seed: object) -> tuple[Path, int, int]:
    """One of the files, a byte of it and a bit of that."""
    number = seed_to_explore("flip", *map(str, seed))
    path = files[number % len(files)]
    if path.name == "times.json":  # of another length each time
        return path, 0, 1 << number % 8
    return path, *position_and_mask(path, number)


def flip_and_run(bench: Bench, folder: Path, path: Path, position: int, mask: int) -> None:
    """The day with one byte flipped; if that is an error, the byte is put right and the same call must do the rest."""
    pointer = folder / "CURRENT"
    undamaged = flip(path, position, mask)
    damaged = path.read_bytes()
    if not bench.check(folder, pointer_of(folder), bench.day(folder)):
        assert path.read_bytes() == damaged, "a failed run wrote over a damaged file"
        path.write_bytes(undamaged)
        assert bench.check(folder, pointer.read_bytes(), bench.day(folder)), "not published though all is right again"


@pytest.mark.parametrize(("kind", "number"), cases("yesterday", [*RUN_KINDS, *STORE_KINDS]))
def test_a_flipped_byte_in_what_yesterday_left(bench, tmp_path, figures, kind, number):
    folder = copy_of(bench.day_old, tmp_path / "store")
    files = files_of_a_kind(folder, store.current_run(str(folder)), kind)
    flip_and_run(bench, folder, *pick(files, "yesterday", kind, number))
    figures["faults survived"] += 1


@pytest.mark.parametrize(("kind", "number"), cases("today", [k for k in [*RUN_KINDS, *STORE_KINDS] if k not in LATE]))
def test_a_flipped_byte_in_todays_half_finished_run(bench, tmp_path, figures, kind, number):
    folder = copy_of(bench.half, tmp_path / "store")
    (run,) = (folder / "runs" / DAY).iterdir()
    flip_and_run(bench, folder, *pick(files_of_a_kind(folder, run, kind), "today", kind, number))
    figures["faults survived"] += 1


@pytest.mark.parametrize(("kind", "number"), cases("model", MODEL_KINDS))
def test_a_flipped_byte_in_the_model(bench, tmp_path, figures, kind, number):
    folder = copy_of(bench.day_old, tmp_path / "store", own_models=True)
    model = folder / "models" / bench.models[0]
    path, position, mask = pick(sorted(model.glob(MODEL_KINDS[kind])), "model", kind, number)
    undamaged, before = flip(path, position, mask), pointer_of(folder)
    outcome = bench.day(folder)
    if outcome.code == 0:  # a part of the model that made none of the vectors
        run = store.current_run(str(folder))
        assert differing(result_of(run), bench.clean) == []
        assert_sound(folder, run, but=("model", "pointers"))
    else:
        assert outcome.error
        assert pointer_of(folder) == before
        path.write_bytes(undamaged)
        assert bench.check(folder, before, bench.day(folder))
    figures["faults survived"] += 1


def test_every_file_of_a_store_is_of_a_kind_that_is_flipped(bench):
    """A new kind of file must not be forgotten above."""
    run = store.current_run(str(bench.day_old))
    model = bench.day_old / "models" / bench.models[0]
    known = {path for pattern in RUN_KINDS.values() for path in run.glob(pattern)}
    known |= {path for pattern in STORE_KINDS.values() for path in bench.day_old.glob(pattern)}
    known |= {path for pattern in MODEL_KINDS.values() for path in model.glob(pattern)}
    known = {path.resolve() for path in known}
    there = [path.resolve() for path in bench.day_old.rglob("*") if path.is_file()]
    others = {path for path in there if bench.models[1] in path.parts}
    assert sorted(set(there) - known - others) == []
    assert len(there) > 40


@pytest.mark.parametrize("share", [0.99, *soak(0.1, 0.5, 0.9)])
@pytest.mark.parametrize("name", ["today.parquet", *soak("engagements.parquet")])
def test_a_flipped_byte_in_an_input(bench, tmp_path, figures, name, share):
    """No checksum comes with an input: what can be read is another catalogue, and its run a sound one."""
    folder = copy_of(bench.day_old, tmp_path / "store")
    data = bytearray((bench.shop / name).read_bytes())
    data[int(len(data) * share)] ^= 0x10
    (tmp_path / name).write_bytes(data)
    flag = "--catalog" if name.startswith("today") else "--engagements"
    before, outcome = pointer_of(folder), bench.day(folder, flag, str(tmp_path / name))
    if outcome.code:
        assert outcome.error
        assert pointer_of(folder) == before
        assert store.current_run(str(folder)).parent.name == DAY_BEFORE
    else:
        assert_sound(folder, store.current_run(str(folder)))
    if SOAK:
        assert bench.check(folder, pointer_of(folder), bench.day(folder, "--attempt", "1"))
    figures["faults survived"] += 1
