"""Workers that are threads of one process share what they open, and write what one worker writes."""

from pathlib import Path

import pytest
from at_once import THREADED_WORKERS, recorded
from features_runs import bytes_of, item, make_run
from features_shop import Shop, png

from model.pictures.image_encoder import ImageEncoder
from model.text.vocabulary import Vocabulary
from pipelines.console.jobs import beam_options
from pipelines.features import job as features

pytestmark = pytest.mark.medium


def test_threads_open_one_encoder_and_one_vocabulary_and_write_equal_bytes(
    tmp_path: Path, weights_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(tmp_path / "shop", weights_file)
    rows = [
        item(f"item-{number:02d}", f"shoe {number}", f"p{number}.png", f"p{number // 3}.png") for number in range(36)
    ]
    for number in range(36):
        shop.put(f"p{number}.png", png(number))
    opened: list[str] = []
    for name, workers in (("alone", []), ("threads", THREADED_WORKERS)):
        run = make_run(tmp_path / name, rows, num_buckets=12)
        with monkeypatch.context() as patch:
            recorded(patch, ImageEncoder, "__init__", opened)
            recorded(patch, Vocabulary, "load", opened)
            config = features.FeaturesConfig(run=run, image_root=str(shop.images), device="cpu", **shop.encoding)
            features.run(config, beam_options(workers))
        assert sorted(opened) == ["__init__", "load"]
        opened.clear()
    for folder in ("features", "fingerprints", "units/features"):
        assert bytes_of(str(tmp_path / "threads"), folder) == bytes_of(str(tmp_path / "alone"), folder)
