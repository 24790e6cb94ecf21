import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from query_vectors import write_vectors_of

from model.items import kept_start
from model.items.batch import collate_items
from model.items.itemsage import ItemSage, ItemSageConfig
from model.items.manifest import read_model_manifest
from model.items.query_encoder import QueryEncoder
from model.items.query_table import QueryTable
from model.items.store import (
    START_FILE,
    install_model,
    load_item_encoder,
    load_model,
    load_picture_tower,
    load_start,
    load_text_tower,
    save_model,
)
from model.split.split import Split
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json, sha256_of_file, write_json

CONFIG = ItemSageConfig(vocabulary_size=90, picture_dim=12, hash_rows=40, hash_dim=16, width=32, heads=4, ffn_dim=24)
TOWERS = {"text": {"search/click": 70}, "picture": {"closeup/save": 8}}
TOKENS, OFFSETS = torch.tensor([1, 5, 80]), torch.tensor([0, 1, 3])


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Path]:
    """Folders of a vocabulary and a picture encoder, as far as the model store looks into them."""
    for folder, name, content in [
        ("vocabulary", "vocabulary.json", {"id": "vocabulary-1"}),
        ("image_encoder", "image_encoder.json", {"network_id": "network-1"}),
    ]:
        write_json(tmp_path / folder / name, content)
    return {"vocabulary_folder": tmp_path / "vocabulary", "image_encoder_folder": tmp_path / "image_encoder"}


def make_model(**switches) -> ItemSage:
    model = ItemSage(dataclasses.replace(CONFIG, **switches))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.03
    return model.eval()


def save(model: ItemSage, folder: Path, parts: dict[str, Path], **changes) -> str:
    arguments = {"towers": TOWERS, "split": {"kind": "time", "test_days": 7}, "metrics": {"recall_at_10": 0.5}}
    return save_model(model, folder, **{**parts, **arguments, **changes})


@pytest.mark.parametrize("share", [True, False])
def test_modules_come_back_bit_by_bit(tmp_path, parts, share):
    model = make_model(share_text_table=share)
    save(model, tmp_path / "m", parts)
    batch = collate_items([], 12)
    batch = dataclasses.replace(batch, token_ids_T=TOKENS, token_offsets_BF=torch.tensor([0, *[1] * 11, 3]))
    batch.pictures_BND, batch.picture_mask_BN = torch.randn(1, 2, 12), torch.ones(1, 2, dtype=torch.bool)
    pictures = torch.randn(3, 12)
    whole = load_model(tmp_path / "m")
    for encoder in (load_item_encoder(tmp_path / "m"), whole.item_encoder):
        assert torch.equal(encoder(batch), model.item_encoder(batch))
    for tower in (load_text_tower(tmp_path / "m"), whole.text_tower):
        assert torch.equal(tower(TOKENS, OFFSETS), model.text_tower(TOKENS, OFFSETS))
    for tower in (load_picture_tower(tmp_path / "m"), whole.picture_tower):
        assert torch.equal(tower(pictures), model.picture_tower(pictures))
    assert torch.equal(whole.log_scale, model.log_scale)
    assert (whole.text_tower.hash_embedder is whole.hash_embedder) == share
    assert whole.state_dict().keys() == model.state_dict().keys()


def test_manifest_tells_everything(tmp_path, parts):
    model_id = save(make_model(), tmp_path / "m", parts, facts={"training_run": "training/2026-06-30/1"})
    manifest = read_model_manifest(tmp_path / "m")
    assert manifest["model_id"] == model_id
    assert model_id.startswith("itemsage-")
    assert len(model_id) == len("itemsage-") + 12
    assert (manifest["vocabulary_id"], manifest["image_encoder_id"]) == ("vocabulary-1", "network-1")
    assert (manifest["picture_dim"], manifest["towers"]) == (12, TOWERS)
    assert manifest["training_run"] == "training/2026-06-30/1"
    files = {path.relative_to(tmp_path / "m").as_posix() for path in (tmp_path / "m").rglob("*") if path.is_file()}
    assert set(manifest["files"]) == files - {"manifest.json"}
    assert all(sha256_of_file(tmp_path / "m" / name) == sha256 for name, sha256 in manifest["files"].items())


def test_model_id_is_of_the_content_not_of_times_or_places(tmp_path, parts):
    first = save(make_model(), tmp_path / "1", parts)
    assert save(make_model(), tmp_path / "2", parts, metrics={"seconds": 3.0}, facts={"training_run": "x"}) == first
    changed = make_model()
    with torch.no_grad():
        changed.text_tower.out.bias[0] += 1e-3
    others = [
        save(changed, tmp_path / "3", parts),
        save(make_model(), tmp_path / "4", parts, towers={"text": {"search/click": 71}}),
        save(make_model(), tmp_path / "5", parts, split={"kind": "time", "test_days": 8}),
    ]
    assert len({first, *others}) == 4


def test_a_split_is_kept_as_its_own_loader_reads_it(tmp_path, parts):
    split = Split(kind="query_hash", has_validation=False, has_test=True, test_fraction=0.2)
    save(make_model(), tmp_path / "m", parts, split=split)
    assert Split.load(tmp_path / "m") == split
    assert read_model_manifest(tmp_path / "m")["split"] == split.to_json()


@pytest.mark.parametrize("file", ["hash_embedder.safetensors", "item_encoder.safetensors", "config.json"])
def test_a_changed_file_is_not_loaded(tmp_path, parts, file):
    save(make_model(), tmp_path / "m", parts)
    damaged = bytearray((tmp_path / "m" / file).read_bytes())
    damaged[-3] ^= 1
    (tmp_path / "m" / file).write_bytes(damaged)
    with pytest.raises(CorruptFileError, match="sha256"):
        load_item_encoder(tmp_path / "m")


def test_an_edited_manifest_is_refused(tmp_path, parts):
    model_id = save(make_model(), tmp_path / "m", parts)
    path = tmp_path / "m" / "manifest.json"
    write_json(path, {**read_json(path), "towers": {"text": {"search/click": 1}}})
    with pytest.raises(CorruptFileError, match=model_id):
        read_model_manifest(tmp_path / "m")
    write_json(path, {"model_id": model_id})
    with pytest.raises(CorruptFileError, match="'files'"):
        read_model_manifest(tmp_path / "m")


def test_towers_without_training_pairs_are_refused(tmp_path, parts):
    save(make_model(), tmp_path / "m", parts, towers={"text": {}})
    with pytest.raises(UsageError, match=r"expected a text tower with training pairs.*pseudo-queries"):
        load_text_tower(tmp_path / "m")
    with pytest.raises(UsageError, match=r"expected a picture tower with training pairs.*closeup"):
        load_picture_tower(tmp_path / "m")
    load_item_encoder(tmp_path / "m")


def test_a_table_of_the_shops_own_query_vectors_is_part_of_the_model(tmp_path, parts):
    tables = [
        QueryTable.build([str(write_vectors_of(tmp_path / f"{name}.parquet", {name: [3.0, 4.0]}))], tmp_path / "tables")
        for name in ("red shoe", "lamp")
    ]
    plain = save(make_model(), tmp_path / "plain", parts)
    assert "query_table_dim" not in (tmp_path / "plain" / "config.json").read_text()  # models without it keep their id
    model = make_model(query_table_dim=2)
    ids = [
        save(model, tmp_path / str(number), {**parts, "query_table_folder": table.folder})
        for number, table in enumerate(tables)
    ]
    assert len({plain, *ids}) == 3
    manifest = read_model_manifest(tmp_path / "0", check=[f"query_table/{name}.npy" for name in ("keys", "vectors")])
    assert manifest["query_table"] == {"dim": 2, "id": tables[0].id, "rows": 1}
    tower = load_text_tower(tmp_path / "0")
    table_BD = torch.tensor([[0.6, 0.8], [0.0, 0.0]])
    assert torch.equal(tower(TOKENS, OFFSETS, None, table_BD), model.text_tower(TOKENS, OFFSETS, None, table_BD))
    encoder = QueryEncoder(tmp_path / "0")
    np.testing.assert_allclose(encoder.table_vectors(["Red Shoe", "lamp"]), [[0.6, 0.8], [0, 0]], atol=1e-3)
    with pytest.raises(UsageError, match="vectors of 2 dimensions and the folder None"):
        save(model, tmp_path / "3", parts)
    with pytest.raises(UsageError, match="vectors of 0 dimensions"):
        save(make_model(), tmp_path / "3", {**parts, "query_table_folder": tables[0].folder})


def test_a_table_that_is_not_the_one_of_its_model_is_refused(tmp_path, parts):
    first, second, wide = (
        QueryTable.build([str(write_vectors_of(tmp_path / f"{name}.parquet", {name: vector}))], tmp_path / "tables")
        for name, vector in (("a", [1.0, 0.0]), ("b", [1.0, 0.0]), ("c", [1.0, 0.0, 0.0]))
    )
    save(make_model(query_table_dim=2), tmp_path / "m", {**parts, "query_table_folder": first.folder})
    description = tmp_path / "m" / "query_table" / "columns.json"
    description.write_bytes((second.folder / "columns.json").read_bytes())
    with pytest.raises(CorruptFileError, match="sha256"):
        QueryEncoder(tmp_path / "m").table_vectors(["a"])
    description.write_bytes((first.folder / "columns.json").read_bytes())
    for name in ("keys", "vectors", "checks"):  # whole, and of the same size: only the model knows that they are others
        shutil.copyfile(second.folder / f"{name}.npy", tmp_path / "m" / "query_table" / f"{name}.npy")
    with pytest.raises(CorruptFileError, match="sha256"):
        QueryEncoder(tmp_path / "m").table_vectors(["b"])
    save(make_model(query_table_dim=2), tmp_path / "w", {**parts, "query_table_folder": wide.folder})
    with pytest.raises(CorruptFileError, match="expected a query_table of 2 dimensions for the text tower, got 3"):
        QueryEncoder(tmp_path / "w").table_vectors(["a"])


def test_a_model_without_pictures_has_no_picture_tower(tmp_path, parts):
    model = make_model(picture_dim=0)
    with pytest.raises(UsageError, match="vectors of 0 dimensions"):
        save(model, tmp_path / "m", parts)
    save(model, tmp_path / "m", {**parts, "image_encoder_folder": None})
    assert read_model_manifest(tmp_path / "m")["image_encoder_id"] is None
    assert load_model(tmp_path / "m").picture_tower is None
    with pytest.raises(UsageError, match="without it"):
        load_picture_tower(tmp_path / "m")


def test_a_text_encoder_is_part_of_the_model_and_of_its_id(tmp_path, parts):
    without = save(make_model(), tmp_path / "without", parts)
    assert read_model_manifest(tmp_path / "without")["text_encoder_id"] is None
    ids = []
    for network_id in ("text-1", "text-2"):
        write_json(tmp_path / network_id / "text_encoder.json", {"network_id": network_id})
        folder = tmp_path / f"with {network_id}"
        ids.append(save(make_model(text_dim=6), folder, parts, text_encoder_folder=tmp_path / network_id))
        manifest = read_model_manifest(folder, check=["text_encoder/text_encoder.json"])
        assert manifest["text_encoder_id"] == network_id
    assert len({without, *ids}) == 3
    path = folder / "manifest.json"
    for changes in ({"text_encoder_id": "text-1"}, {"text_encoder_id": None}):
        write_json(path, {**manifest, **changes})
        with pytest.raises(CorruptFileError, match=ids[1]):
            read_model_manifest(folder)
    write_json(path, {key: value for key, value in manifest.items() if key != "text_encoder_id"})
    with pytest.raises(CorruptFileError, match="expected a model manifest with 'text_encoder_id'"):
        read_model_manifest(folder)


def test_installing_moves_the_folder_under_its_id_and_may_be_repeated(tmp_path, parts):
    model_id = save(make_model(), tmp_path / "work" / "m", parts)
    target = install_model(tmp_path / "work" / "m", tmp_path / "models")
    assert target == tmp_path / "models" / model_id
    assert not (tmp_path / "work" / "m").exists()
    assert [path.name for path in (tmp_path / "models").iterdir()] == [model_id]
    save(make_model(), tmp_path / "work" / "m", parts, metrics={"seconds": 1.0})
    assert install_model(tmp_path / "work" / "m", tmp_path / "models") == target
    assert not (tmp_path / "work" / "m").exists()
    assert read_json(target / "metrics.json") == {"recall_at_10": 0.5}
    assert install_model(target, tmp_path / "models") == target
    load_item_encoder(target)


def test_folders_with_files_and_unknown_towers_are_refused(tmp_path, parts):
    write_json(tmp_path / "m" / "old.json", {})
    with pytest.raises(UsageError, match="new or empty"):
        save(make_model(), tmp_path / "m", parts)
    with pytest.raises(UsageError, match="user"):
        save(make_model(), tmp_path / "n", parts, towers={"user": {}})


def start_of_a_training(config) -> ItemSage:
    """Not the one of the config alone: importances and principal components come from the data."""
    start = ItemSage(config)
    with torch.no_grad():
        for name, parameter in start.named_parameters():
            if not name.endswith("table"):
                parameter += 0.5
    return start


@pytest.mark.parametrize("share", [True, False])
def test_the_start_comes_back_bit_by_bit_without_its_table_being_kept(tmp_path, parts, share):
    config = dataclasses.replace(CONFIG, hash_rows=4000, share_text_table=share)
    start = start_of_a_training(config)
    save(make_model(hash_rows=4000, share_text_table=share), tmp_path / "m", parts, start=start)
    got = load_start(tmp_path / "m")
    assert not got.training
    expected = start.state_dict()
    assert got.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in got.state_dict().items())
    assert START_FILE in read_model_manifest(tmp_path / "m")["files"]
    numbers = sum(value.numel() for name, value in expected.items() if not name.endswith("hash_embedder.table"))
    assert (tmp_path / "m" / START_FILE).stat().st_size < 4 * numbers + 10_000


def test_a_model_without_a_start_or_of_another_generator_says_so(tmp_path, parts, monkeypatch):
    save(make_model(), tmp_path / "without", parts)
    with pytest.raises(UsageError, match=r"expected start\.safetensors in model itemsage-"):
        load_start(tmp_path / "without")
    save(make_model(), tmp_path / "m", parts, start=start_of_a_training(CONFIG))
    monkeypatch.setattr(kept_start, "ItemSage", lambda config: ItemSage(dataclasses.replace(config, seed=5)))
    with pytest.raises(UsageError, match=r"expected the seed 0 to give the hash_embedder\.table"):
        load_start(tmp_path / "m")


def test_a_damaged_start_is_refused(tmp_path, parts):
    save(make_model(), tmp_path / "m", parts, start=start_of_a_training(dataclasses.replace(CONFIG, mlp_dim=512)))
    with pytest.raises(CorruptFileError, match="configured shapes"):
        load_start(tmp_path / "m")
    path = tmp_path / "m" / START_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(CorruptFileError):
        load_start(tmp_path / "m")
