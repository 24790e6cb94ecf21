"""Workers that are threads of one process share what they open, and write what one worker writes."""

import shutil
from pathlib import Path

import pytest
from at_once import THREADED_WORKERS, recorded
from pairs_runs import make_log, make_run, run_pairs, write_log

from model.pictures.image_encoder import ImageEncoder
from model.text.vocabulary import Vocabulary
from pipelines.console.jobs import beam_options
from pipelines.pairs import job as pairs

pytestmark = pytest.mark.slow


@pytest.mark.soak
def test_threads_open_one_encoder_and_one_vocabulary_and_write_equal_bytes(
    tmp_path: Path, encoder_folder: Path, image_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run", num_buckets=16, encoder_folder=encoder_folder)
    log = write_log(tmp_path / "log.parquet", make_log(0, 2_000, with_pictures=True))
    flags = {"engagements": str(log), "image_root": str(image_root), "date": "2024-04-09"}
    alone = Path(shutil.copytree(run, tmp_path / "alone", symlinks=True))
    run_pairs(alone, **flags)
    opened: list[str] = []
    recorded(monkeypatch, ImageEncoder, "__init__", opened)
    recorded(monkeypatch, Vocabulary, "load", opened)
    pairs.run(pairs.PairsConfig(run=str(run), device="cpu", **flags), beam_options(THREADED_WORKERS))
    assert sorted(opened) == ["__init__", "load"]
    written = [
        {path.relative_to(folder): path.read_bytes() for path in (folder / "pairs").rglob("*") if path.is_file()}
        for folder in (run, alone)
    ]
    assert len(written[0]) > 30
    assert written[0] == written[1]
