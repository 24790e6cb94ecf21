import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from model.items.itemsage import ItemSage, ItemSageConfig
from model.training.config import TrainingConfig
from model.training.data import TrainingData
from model.training.distributed import Processes, gather_rows
from model.training.train import train

pytestmark = pytest.mark.slow

MODEL = {
    "vocabulary_size": 500,
    "picture_dim": 16,
    "hash_rows": 300,
    "hash_dim": 24,
    "width": 32,
    "heads": 4,
    "ffn_dim": 48,
    "mlp_dim": 48,
    "output_dim": 32,
}
TRAINING = {
    "batch_size": 47,
    "epochs": 0.1,
    "min_steps": 6,
    "learning_rate": 3e-3,
    "evaluate_every": 3,
    "log_every": 1,
    "device": "cpu",
}

#: What torchrun starts: trains a small model for a few steps and saves the weights of each process.
_SCRIPT = f"""
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from model.training.distributed import process_group
from model.items.itemsage import ItemSage, ItemSageConfig
from model.training.refit import refit
from model.training.train import train
from model.training.config import TrainingConfig
from model.training.data import TrainingData

run, cache, out = sys.argv[1:]
model = ItemSage(ItemSageConfig(**{MODEL}))
with process_group("cpu") as processes:
    data = TrainingData.open(run, cache, picture_dim=16)
    chosen = train(model, data, TrainingConfig(**{TRAINING}), out)
    save_file(model.state_dict(), Path(out, f"rank-{{processes.rank}}.safetensors"))
    again = ItemSage(ItemSageConfig(**{MODEL}))
    refit(again, data, TrainingConfig(**{TRAINING}), chosen, Path(out, "refit"), cache)
    save_file(again.state_dict(), Path(out, f"refit-{{processes.rank}}.safetensors"))
"""


def test_two_processes_train_as_one(training_run: Path, tmp_path: Path) -> None:
    script, out, alone_folder = tmp_path / "script.py", tmp_path / "together", tmp_path / "alone"
    script.write_text(_SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*torchrun, str(script), str(training_run), str(tmp_path / "cache"), str(out)]
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr[-3000:]
    model = ItemSage(ItemSageConfig(**MODEL))
    train(
        model,
        TrainingData.open(training_run, tmp_path / "cache", picture_dim=16),
        TrainingConfig(**TRAINING),
        alone_folder,
    )

    refits = [load_file(out / f"refit-{rank}.safetensors") for rank in range(2)]
    assert all(torch.equal(refits[0][name], refits[1][name]) for name in refits[0])
    both = [load_file(out / f"rank-{rank}.safetensors") for rank in range(2)]
    together, alone = (
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (out, alone_folder)
    )
    assert [line["step"] for line in together] == [line["step"] for line in alone]
    steps = [[line for line in curve if "loss" in line] for curve in (alone, together)]
    assert len(steps[0]) == 6
    np.testing.assert_allclose([line["loss"] for line in steps[1]], [line["loss"] for line in steps[0]], rtol=1e-4)
    norms = [[line["gradient_norm"] for line in lines] for lines in steps]
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-3)
    assert together[-1]["without"].keys() == alone[-1]["without"].keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(both[0][name], both[1][name]), name
        torch.testing.assert_close(both[0][name], tensor, atol=2e-3, rtol=0, msg=name)


@pytest.mark.parametrize(("total", "world_size"), [(0, 2), (1, 2), (7, 2), (8, 3), (2, 5)])
def test_pieces_cover_all_rows_once_in_order(total: int, world_size: int) -> None:
    rows = list(range(total))
    pieces = [rows[Processes(rank, world_size).piece(total)] for rank in range(world_size)]
    assert [row for piece in pieces for row in piece] == rows
    assert max(map(len, pieces)) == -(-total // world_size)


def test_one_process_gathers_nothing() -> None:
    rows = torch.ones(3, 2, requires_grad=True)
    assert gather_rows(rows, 3, Processes()) is rows
