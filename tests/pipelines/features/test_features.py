"""The features stage on a small shop: what it writes of every item, what it sets aside, and what it refuses."""

import dataclasses
import hashlib
import json
import os
from collections import Counter
from pathlib import Path

import features_runs
import numpy as np
import pytest
from features_runs import NUM_BUCKETS, bytes_of, item, quarantine_of, records_of
from made_pictures import smooth_picture
from PIL import Image
from random_models import IMAGE_ENCODER, PICTURE_DIM, WEIGHTS_NAME

from model.pictures.decoding import decode_picture
from model.pictures.image_encoder import ImageEncoder, load_image_encoder, save_image_encoder
from model.text.vocabulary import Vocabulary
from pipelines.console.jobs import beam_options
from pipelines.features import job as features
from pipelines.features import resolve_pictures
from pipelines.features.plan import FeaturesConfig
from schemas.errors import UsageError
from schemas.files import read_sealed_json, write_sealed_json
from schemas.hashing import bucket_of

pytestmark = pytest.mark.medium

ITEM_ROWS = [
    item("both", "red shoe", "red.png", "sub/blue.png"),
    item("twice", "blue shoe", "sub/blue.png", "again.png"),  # again.png has the content of sub/blue.png
    item("text", "only text"),
    item("picture", None, "green.png"),
    item("half", "half broken", "cut.png", "red.png", "missing.png", "http://x.example/a.png"),
    item("cut too", "more cut", "cut_again.png"),  # the same content as cut.png
    item("nothing", None),
    item("only broken", None, "../outside.png"),
]
LISTED, BROKEN = 11, 5
#: Contents that are usable, each counted once in every bucket that lists it: what a fresh run computes.
USABLE = {"both": "rb", "twice": "bb", "picture": "g", "half": "r"}
COMPUTED = len({(bucket_of(name, NUM_BUCKETS), content) for name, contents in USABLE.items() for content in contents})


#: Since 1970.
A_DAY_S = 1_700_000_000


@pytest.fixture(scope="module")
def encoder(weights_file) -> ImageEncoder:
    return load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu")


@pytest.fixture(scope="module")
def image_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("shop") / "images"
    (root / "sub").mkdir(parents=True)
    for number, name in enumerate(["red.png", "sub/blue.png", "green.png", "new.png"]):
        smooth_picture(number, (80, 60)).save(root / name)
    (root / "again.png").write_bytes((root / "sub/blue.png").read_bytes())
    for name in ("cut.png", "cut_again.png"):
        (root / name).write_bytes((root / "red.png").read_bytes()[:900])
    (root.parent / "outside.png").write_bytes((root / "red.png").read_bytes())
    for path in root.rglob("*.png"):
        os.utime(path, (A_DAY_S, A_DAY_S))  # a file of this second may still change within it, and is read again
    return root


def make_run(folder: Path, rows: list[dict] = ITEM_ROWS, num_buckets: int = NUM_BUCKETS) -> str:
    return features_runs.make_run(folder, rows, num_buckets)


@pytest.fixture
def run_features(image_root, weights_file):
    def run(folder: str, **changes):
        encoding = {"image_encoder": IMAGE_ENCODER, "image_weights": weights_file, "image_weights_name": WEIGHTS_NAME}
        if "image_encoder_folder" in changes or "image_encoder" in changes:
            encoding = {}
        config = FeaturesConfig(
            **{"run": folder, "image_root": str(image_root), "device": "cpu", **encoding, **changes}
        )
        return features.run(config, beam_options([]))

    return run


def test_job_equals_direct_computation(tmp_path, run_features, encoder, image_root):
    run = make_run(tmp_path)
    manifest = run_features(run)
    records = records_of(run)
    vocabulary = Vocabulary.hashing(1000)
    assert set(records) == {"both", "twice", "text", "picture", "half", "cut too"}
    readable = {"both": ["red.png", "sub/blue.png"], "twice": ["sub/blue.png", "again.png"], "text": [],
                "picture": ["green.png"], "half": ["red.png"], "cut too": []}  # fmt: skip
    for row in ITEM_ROWS:
        if row["item_id"] not in records:
            continue
        record, uris = records[row["item_id"]], readable[row["item_id"]]
        crops = [decode_picture((image_root / uri).read_bytes(), encoder.preprocessing) for uri in uris]
        assert record.pictures.shape == (len(uris), PICTURE_DIM)
        if uris:
            np.testing.assert_array_equal(record.pictures, encoder.encode(np.stack(crops)))
        assert record.picture_sha256 == tuple(hashlib.sha256((image_root / u).read_bytes()).digest() for u in uris)
        token_ids, offsets = vocabulary.encode_item(row)
        np.testing.assert_array_equal(record.token_ids, token_ids)
        np.testing.assert_array_equal(record.token_offsets, offsets)
    assert records["both"].pictures.tobytes() != records["twice"].pictures.tobytes()
    assert {name: manifest["counts"][name] for name in manifest["counts"] if ":" not in name} == {
        "items_read": 8, "items_written": 6, "items_reused": 0, "items_with_text": 5, "items_with_picture": 4,
        "rows_quarantined": 2, "pictures_listed": LISTED, "pictures_computed": COMPUTED, "pictures_read": LISTED - 3,
        "pictures_reused": LISTED - COMPUTED - BROKEN, "pictures_quarantined": BROKEN,
    }  # fmt: skip
    assert manifest["encoder_id"] == encoder.encoder_id
    assert manifest["image_encoder_id"] == encoder.network_id
    assert (manifest["picture_dim"], manifest["num_buckets"]) == (PICTURE_DIM, NUM_BUCKETS)
    assert manifest["vocabulary_id"] == vocabulary.id
    assert json.loads(Path(run, "image_encoder/image_encoder.json").read_text())["network_id"] == encoder.network_id


def test_quarantine_says_which_picture_and_why(tmp_path, run_features):
    run = make_run(tmp_path)
    run_features(run)
    rows = quarantine_of(run)
    assert sorted((row["item_id"], row["reason"], row["where"]) for row in rows if row["level"] == "picture") == [
        ("cut too", "truncated", "cut_again.png"),
        ("half", "missing", "missing.png"),
        ("half", "remote_uri", "http://x.example/a.png"),
        ("half", "truncated", "cut.png"),
        ("only broken", "outside_root", "../outside.png"),
    ]
    assert sorted((row["item_id"], row["reason"]) for row in rows if row["level"] == "row") == [
        ("nothing", "no_content"), ("only broken", "no_content"),
    ]  # fmt: skip
    assert all(row["remedy"] and row["expected"] and row["got"] and row["stage"] == "features" for row in rows)


def test_number_of_buckets_and_runs_do_not_change_a_record(tmp_path, run_features):
    first, second, third = (make_run(tmp_path / name, num_buckets=n) for name, n in (("a", 3), ("b", 3), ("c", 1)))
    counts = [run_features(run)["counts"] for run in (first, second, third)]
    assert bytes_of(first) == bytes_of(second)
    assert counts[0] == counts[1]
    assert counts[2]["pictures_computed"] == len(set("".join(USABLE.values()))) < counts[0]["pictures_computed"]
    once_a_bucket = ("pictures_computed", "pictures_reused")
    assert all(counts[0][name] == counts[2][name] for name in counts[0] if name not in once_a_bucket)
    both = records_of(first), records_of(third)
    assert both[0].keys() == both[1].keys()
    for item_id, record in both[0].items():
        assert record.pictures.tobytes() == both[1][item_id].pictures.tobytes()


def test_a_rerun_does_nothing_and_loads_nothing(tmp_path, run_features, monkeypatch):
    run = make_run(tmp_path)
    manifest = run_features(run)
    before = {path: path.stat().st_mtime_ns for path in Path(run, "features").iterdir()}
    monkeypatch.setattr(ImageEncoder, "__init__", lambda *args, **kwargs: pytest.fail("loaded"))
    assert run_features(run) == manifest
    assert {path: path.stat().st_mtime_ns for path in Path(run, "features").iterdir()} == before


def test_only_unfinished_and_changed_buckets_are_computed(tmp_path, run_features):
    run = make_run(tmp_path)
    run_features(run)
    expected = bytes_of(run)
    paths = sorted(Path(run, "features").iterdir())
    paths[1].write_bytes(b"half a fi")
    before = [path.stat().st_mtime_ns for path in paths]
    run_features(run)
    assert bytes_of(run) == expected
    after = [path.stat().st_mtime_ns for path in paths]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]


@pytest.mark.parametrize("change", [{"max_picture_pixels": 100}, {"max_picture_bytes": 100}, {"image_root": "."}])
def test_what_features_depend_on_makes_them_anew(tmp_path, run_features, change):
    run = make_run(tmp_path)
    run_features(run)
    counts = run_features(run, **change)["counts"]
    assert counts["pictures_quarantined"] == LISTED
    assert counts["pictures_computed"] == 0


def test_vectors_of_an_earlier_run_are_taken_over(tmp_path, run_features, monkeypatch):
    yesterday = make_run(tmp_path / "yesterday")
    run_features(yesterday)
    rows = [{**row, "images": [*row["images"], "new.png"]} if row["item_id"] == "text" else row for row in ITEM_ROWS]
    today = make_run(tmp_path / "today", rows)
    counts = run_features(today, reuse_from=yesterday)["counts"]
    assert counts["pictures_computed"] == 1
    assert counts["pictures_reused"] == LISTED - BROKEN
    scratch = make_run(tmp_path / "scratch", rows)
    run_features(scratch)
    assert bytes_of(today) == bytes_of(scratch)
    unchanged = make_run(tmp_path / "unchanged", [row for row in ITEM_ROWS if "cut" not in str(row["images"])])
    monkeypatch.setattr(ImageEncoder, "__init__", lambda *args, **kwargs: pytest.fail("loaded"))
    assert run_features(unchanged, reuse_from=yesterday)["counts"]["pictures_computed"] == 0


def test_nothing_is_taken_over_from_another_encoder_or_bucketing(tmp_path, run_features, capsys):
    earlier = make_run(tmp_path / "earlier")
    run_features(earlier)
    fewer = make_run(tmp_path / "fewer", num_buckets=2)
    assert run_features(fewer, reuse_from=earlier)["counts"]["pictures_computed"] == COMPUTED
    assert "num_buckets 2 here, 3 there" in capsys.readouterr().err
    manifest_path = Path(earlier, "manifests/features.json")
    write_sealed_json(manifest_path, {**read_sealed_json(manifest_path), "encoder_id": "another"})
    later = make_run(tmp_path / "later")
    assert run_features(later, reuse_from=earlier)["counts"]["pictures_computed"] == COMPUTED
    assert "another there" in capsys.readouterr().err
    last = make_run(tmp_path / "last")
    assert run_features(last, reuse_from=str(tmp_path / "none"))["counts"]["pictures_computed"] == COMPUTED
    assert "nothing is taken over" in capsys.readouterr().err


def test_a_damaged_earlier_file_is_computed_anew(tmp_path, run_features, capsys):
    earlier, today = make_run(tmp_path / "earlier"), make_run(tmp_path / "today")
    run_features(earlier)
    expected = bytes_of(earlier)
    for path in Path(earlier, "features").iterdir():
        data = bytearray(path.read_bytes())
        data[40] ^= 1
        path.write_bytes(data)
    assert run_features(today, reuse_from=earlier)["counts"]["pictures_computed"] == COMPUTED
    assert bytes_of(today) == expected
    assert "CRC" in capsys.readouterr().err


def test_without_parity_the_run_is_float32(tmp_path, run_features, monkeypatch):
    monkeypatch.setattr("model.pictures.image_encoder.MIN_PARITY_COSINE", 1.1)
    monkeypatch.setattr("model.machine.number_formats.has_fast_bfloat16", lambda device: True)
    exact, fallen_back = make_run(tmp_path / "a"), make_run(tmp_path / "b")
    manifest = run_features(exact, image_dtype="float32")
    with pytest.warns(UserWarning, match="float32 is used"):
        assert run_features(fallen_back)["encoder_id"] == manifest["encoder_id"]
    assert bytes_of(exact) == bytes_of(fallen_back)
    with pytest.warns(UserWarning, match="float32"), pytest.raises(UsageError, match="give --image-dtype float32"):
        run_features(make_run(tmp_path / "c"), image_dtype="bfloat16")


def test_encoder_from_a_folder(tmp_path, run_features, encoder):
    by_name, by_folder = make_run(tmp_path / "a"), make_run(tmp_path / "b")
    run_features(by_name)
    save_image_encoder(encoder, tmp_path / "encoder")
    manifest = run_features(by_folder, image_encoder_folder=str(tmp_path / "encoder"))
    assert manifest["encoder_id"] == encoder.encoder_id
    assert bytes_of(by_name) == bytes_of(by_folder)
    assert not Path(by_folder, "image_encoder").exists()
    with pytest.raises(UsageError, match="got both"):
        run_features(by_folder, image_encoder_folder=str(tmp_path / "encoder"), image_encoder=IMAGE_ENCODER)


def test_a_shop_without_pictures(tmp_path, run_features, monkeypatch):
    monkeypatch.setattr(ImageEncoder, "__init__", lambda *args, **kwargs: pytest.fail("loaded"))
    rows = [item(f"item {n}", f"title {n}" if n % 2 else None) for n in range(10)]
    without, unused = make_run(tmp_path / "a", rows), make_run(tmp_path / "b", rows)
    manifest = run_features(without, image_encoder="none")
    assert (manifest["picture_dim"], manifest["encoder_id"], manifest["image_encoder_id"]) == (0, "none", None)
    assert manifest["counts"]["items_written"] == 5
    assert manifest["counts"]["rows_quarantined"] == 5
    assert records_of(without)["item 1"].pictures.shape == (0, 0)
    assert run_features(unused)["picture_dim"] == PICTURE_DIM
    assert records_of(unused)["item 1"].pictures.shape == (0, PICTURE_DIM)


def test_pictures_without_an_encoder_are_a_wrong_call(tmp_path, capsys):
    run = make_run(tmp_path)
    assert features.main(["--run", run, "--image-encoder", "none"]) == 2
    assert f"{LISTED} pictures" in capsys.readouterr().err
    assert features.main(["--run", run, "--image-encoder", "resnet50", "--image-weights", __file__]) == 2
    assert "--image-weights-name" in capsys.readouterr().err
    assert features.main(["--run", run, "--no-such-flag"]) == 2


def test_command_line(tmp_path, image_root, weights_file, capsys):
    run = make_run(tmp_path)
    argv = ["--run", run, "--image-root", str(image_root), "--image-encoder", IMAGE_ENCODER]
    argv += ["--image-weights", weights_file, "--image-weights-name", WEIGHTS_NAME]
    assert features.main([*argv, "--device", "cpu"]) == 0
    assert f"pictures computed {COMPUTED}" in capsys.readouterr().out
    assert len(records_of(run)) == 6


def test_flags():
    assert [field.name for field in dataclasses.fields(FeaturesConfig)] == [
        "run", "image_root", "vocabulary", "image_encoder", "image_weights", "image_weights_name",
        "image_weights_sha256", "image_encoder_folder", "image_dtype", "text_encoder", "text_encoder_folder",
        "text_dtype", "device", "reuse_from", "verify_images", "max_picture_bytes", "max_picture_pixels",
    ]  # fmt: skip


def test_many_items_and_few_contents(tmp_path, image_root, run_features):
    """Equal pictures are encoded once, however many batches and buckets lie between them."""
    names = ["red.png", "green.png", "new.png", "cut.png"]
    rows = [
        item(f"item {n:03d}", "x" if n % 5 else None, *(names[(n + k) % 4] for k in range(n % 4))) for n in range(200)
    ]
    listed = Counter(uri for row in rows for uri in row["images"])
    counts = run_features(make_run(tmp_path, rows))["counts"]
    contents = {(bucket_of(row["item_id"], NUM_BUCKETS), uri) for row in rows for uri in row["images"]}
    computed = sum(uri != "cut.png" for _, uri in contents)
    assert counts["pictures_computed"] == computed == 3 * NUM_BUCKETS
    assert counts["pictures_quarantined"] == listed["cut.png"] > 50
    assert counts["pictures_listed"] == listed.total()
    assert counts["pictures_reused"] == listed.total() - listed["cut.png"] - computed
    assert counts["items_written"] + counts["rows_quarantined"] == counts["items_read"] == 200


def test_pictures_are_streamed(tmp_path, image_root, run_features, monkeypatch):
    """Never more than a bounded number of encoded pictures between the file system and the encoder."""
    folder = tmp_path / "many"
    folder.mkdir()
    names = []
    for number in range(150):
        names.append(f"{number}.png")
        Image.new("RGB", (40, 40), (number, 255 - number, 7)).save(folder / names[-1])
    rows = [item(f"item {n:03d}", "x", *names[n * 10 : n * 10 + 10]) for n in range(15)]
    done, ahead = [0], []
    read, encode = resolve_pictures.read_picture_file, ImageEncoder._encode_batch

    def counted_read(*args):
        ahead.append(1)
        done.append(len(ahead) - done[0])
        return read(*args)

    def counted_encode(self, part_BHWC):
        done[0] += len(part_BHWC)
        return encode(self, part_BHWC)

    monkeypatch.setattr("pipelines.features.resolve_pictures.read_picture_file", counted_read)
    monkeypatch.setattr(ImageEncoder, "_encode_batch", counted_encode)
    counts = run_features(make_run(tmp_path / "run", rows, num_buckets=1), image_root=str(folder))["counts"]
    assert counts["pictures_computed"] == 150
    assert max(done[1:]) < 100
