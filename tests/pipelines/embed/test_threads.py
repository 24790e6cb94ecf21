"""Workers that are threads of one process share what they open, and write what one worker writes."""

from pathlib import Path

import pytest
from at_once import THREADED_WORKERS, recorded
from embed_runs import embedded, files_of, shop_of, write_features

from pipelines.console.jobs import beam_options
from pipelines.embed import job as embed
from pipelines.run import opened_models

pytestmark = pytest.mark.medium


def test_threads_open_one_model_and_write_equal_bytes(
    tmp_path: Path, models: list[Path], small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shop_of(200)
    embedded(write_features(tmp_path / "alone", shop, num_buckets=12), models[0])
    run, opened = write_features(tmp_path / "threads", shop, num_buckets=12), []
    recorded(monkeypatch, opened_models, "load_item_encoder", opened)
    embed.run(embed.EmbedConfig(run=str(run), model=str(models[0])), beam_options(THREADED_WORKERS))
    assert opened == ["load_item_encoder"]
    assert files_of(run) == files_of(tmp_path / "alone")
    assert len(files_of(run)) > 4
