"""`itemsage train`: what is refused before work and after training; what is said."""

import doctest
import json
import subprocess
import sys
from dataclasses import fields

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from python_process import ENVIRONMENT
from train_runs import DATE, ENCODER, TINY, models_of, run_train, training_folder, write_catalogue, write_log

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.items.store import load_model, load_start
from model.text.vocabulary import Vocabulary
from model.training import step_choice
from model.training.config import TrainingConfig, TrainingResult, Validation
from model.training.losses import LossConfig
from pipelines.console.jobs import narrow, parse
from pipelines.train import job as train
from pipelines.train import report as train_report
from pipelines.train.prepared_run import PreparedRun
from schemas.columns import mapping as columns
from schemas.days import end_of_day_us
from schemas.hashing import fingerprint
from schemas.tables import ENGAGEMENTS

FLAGS = {field.name: field for field in fields(train.TrainConfig)}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--epochs", "0"), "epochs > 0"),
        (("--epochs", "nan"), "epochs > 0"),
        (("--epochs", "inf"), "epochs > 0"),
        (("--min-steps", "-1"), "min_steps >= 0"),
        (("--batch-size", "0"), "batch_size >= 1"),
        (("--pseudo-queries", "0"), "--engagements or --pseudo-queries above 0, got neither"),
        (("--pseudo-share", "0"), "a pseudo share above 0"),
        (("--typo-share", "1.5"), "a typo share from 0 to 1"),
        (("--dropout", "1"), "a dropout from 0 to below 1"),
        (("--no-in-batch-negatives", "--no-random-negatives"), "got neither"),
        (("--no-use-text", "--no-use-pictures"), "got neither"),
        (("--dropout", ".1", "--aggregator", "sum"), "dropout 0 for the aggregator sum"),
        (("--num-hashes", "4"), "num_hashes from 1 to 3"),
        (("--output-dim", "0"), "output_dim >= 1, got 0"),
        (("--heads", "0"), "heads >= 1, got 0"),
        (("--nested-dims", "64,256"), "nested_dims below the 256 dimensions"),
        (("--nested-dims", "0"), "nested_dims of at least 1"),
        (("--nested-dims", "8,x"), "--nested-dims of whole numbers separated by commas, got '8,x'"),
        (("--test-fraction", "2"), "test and validation fractions"),
        (("--max-quarantined-pictures", "2"), "--max-quarantined-pictures from 0 to 1"),
        (("--min-quarantined", "-1"), "--min-quarantined >= 0"),
        (("--accept", "quarantine_pictures"), "--accept and --because together"),
        (("--accept", "no_such_gate", "--because", "x"), "'no_such_gate'"),
    ],
    ids=str,
)
def test_a_wrong_number_is_refused_before_any_work(tmp_path, capsys, flags, message):
    write_catalogue(tmp_path)
    assert run_train(tmp_path, *ENCODER, *flags) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


FIGURES = {"recall": 0.5, "reciprocal_rank": 0.5, "num_pairs": 24, "num_items": 40}

CELLS = {"seen item": {"recall": 0.6, "num_pairs": 20}, "new item": {"recall": 0.25, "num_pairs": 4}}


def test_every_switch_of_the_loss_and_the_tasks_is_a_flag():
    argv = "--catalog=c --store=s --date=2026-06-30 --tasks=search/click,search/save --task-mix=natural --joint "
    argv += "--no-random-negatives --correction=yi2019 --no-use-pictures --num-layers=2 --start=random"
    config, _ = parse(train.TrainConfig, argv.split(), "itemsage train", "")
    training = config.training_config()
    assert (training.tasks, training.task_mix) == (("search/click", "search/save"), "natural")
    assert training.loss() == LossConfig(correction="yi2019", joint=True, in_batch=True, random=False)
    model = narrow(ItemSageConfig, config, vocabulary_size=9, picture_dim=3)
    assert (model.use_text, model.use_pictures, model.num_layers, model.start) == (True, False, 2, "random")
    assert (training.num_negatives, training.frozen, training.mask_known) == (None, (), True)
    argv += " --num-negatives=64 --frozen=text_tower,item_encoder.cls --no-mask-known --width=64 --no-field-layer-norm"
    config, _ = parse(train.TrainConfig, argv.split(), "itemsage train", "")
    training, model = config.training_config(), narrow(ItemSageConfig, config, vocabulary_size=9, picture_dim=3)
    assert (training.num_negatives, training.mask_known) == (64, False)
    assert training.frozen == ("text_tower", "item_encoder.cls")
    assert (model.width, model.field_layer_norm) == (64, False)


NUMBERS = sorted({field.name for field in fields(TrainingConfig) if field.type in (int, float)} & FLAGS.keys())


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_of_the_training_is_a_flag_that_reaches_it(name):
    value = FLAGS[name].type(1 if FLAGS[name].type is int else 0.25)
    argv = ["--catalog=c", "--store=s", "--date=2026-06-30", f"--{name.replace('_', '-')}={value}"]
    config, _ = parse(train.TrainConfig, argv, "itemsage train", "")
    assert getattr(config.training_config(), name) == value != FLAGS[name].default
    assert {"pseudo_share", "drop_tokens", "drop_fields", "drop_pictures", "drop_modalities", "weight_decay"} < {
        *NUMBERS
    }


def test_a_whole_number_is_the_same_training_from_a_flag_a_file_and_python(tmp_path):
    """Which folder a training has is told by the text of its values: 2 and 2.0 would be two."""
    write_catalogue(tmp_path)
    given = {"catalog": f"{tmp_path}/catalog.parquet", "store": f"{tmp_path}/store", "date": DATE}
    argv = [f"--{name}={value}" for name, value in given.items()]
    (tmp_path / "train.toml").write_text("epochs = 2\ntest_days = 3\n")
    configs = [
        parse(train.TrainConfig, [*argv, "--epochs=2", "--test-days=3"], "itemsage train", "")[0],
        parse(train.TrainConfig, [*argv, f"--config={tmp_path}/train.toml"], "itemsage train", "")[0],
        train.TrainConfig(**given, epochs=2, test_days=3),
    ]
    assert len({fingerprint(train.identity(config)) for config in configs}) == 1
    assert type(configs[-1].epochs) is float


@pytest.mark.slow
def test_training_starts_from_the_importances_of_the_catalogues_tokens(tmp_path):
    """With rates of 0 the model is its start."""
    write_catalogue(tmp_path, images=None)
    rates = ("--learning-rate", "0", "--table-learning-rate", "0", "--importance-learning-rate", "0")
    assert run_train(tmp_path, "--image-encoder", "none", "--accept-untrained", *rates) == 0
    (model_id,) = models_of(tmp_path)
    folder = tmp_path / "store" / "models" / model_id
    embedder, vocabulary = load_model(folder).hash_embedder, Vocabulary.load(folder / "vocabulary")
    plain = ItemSage(load_model(folder).config).hash_embedder
    importance_V = (embedder.weights / plain.weights).detach()[:, 0]
    (of_all, of_some, of_one) = (float(importance_V[vocabulary.encode(word)[0]]) for word in ("mug", "red", "7"))
    assert 0 < of_all < 0.05 < of_some < of_one / 1.5


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Image", "is it 'Image'?"),
        ("foto", "is it 'foto'?"),
        ("seen", "expected pictures for the image encoder resnet50, got a catalogue that lists none"),
    ],
)
def test_an_image_encoder_for_a_catalogue_without_a_column_of_pictures_is_a_wrong_call(tmp_path, capsys, name, hint):
    """Told before any work, and before the default encoder's weights are fetched."""
    write_catalogue(tmp_path, images=None, **{name: [["a.png"]] * 40})
    assert run_train(tmp_path) == 2
    shown = capsys.readouterr().err
    assert hint in shown
    assert "[columns] images = " in shown
    assert not (tmp_path / "store").exists()


def test_an_image_encoder_for_a_catalogue_whose_pictures_are_all_empty_is_a_wrong_call(tmp_path, capsys):
    write_catalogue(tmp_path, images=pa.array([[]] * 40, pa.list_(pa.string())))
    assert run_train(tmp_path, *ENCODER) == 2
    assert "expected pictures for the image encoder efficientnet_lite0" in capsys.readouterr().err
    assert not (training_folder(tmp_path) / "vocabulary").exists()


@pytest.mark.slow
def test_a_model_that_is_no_better_than_its_start_is_not_installed(tmp_path, capsys):
    """Nor is it trained again to say so once more, or to be installed all the same."""
    write_catalogue(tmp_path, images=None)
    ruined = ("--image-encoder", "none", "--learning-rate", "1")
    assert run_train(tmp_path, *ruined) == 3
    shown = capsys.readouterr()
    assert (
        "error: expected a training with a step that validation finds better than its start, got a score of"
        in shown.err
    )
    assert "--accept-untrained installs the start" in shown.err
    assert "The model is not installed: the store has none. To do: " in shown.err
    lines = [line for line in shown.out.splitlines() if line.startswith("train:")]
    assert lines[0].startswith("train: no --engagements: queries made from the catalogue's own text ")
    assert lines[1] == "train: 5 steps, 1 epoch"
    assert "pseudo-queries validate: too few to choose a step by" in lines[2]
    assert lines[3].startswith("train: start: search/pseudo: Recall@10 among 40 items ")
    assert lines[3].endswith(", 12 pairs")
    assert lines[-1] == "train: best step 0 of 5: the start, no step was better"
    assert not (tmp_path / "store" / "models").exists()

    (checkpoint,) = training_folder(tmp_path).glob("checkpoints/*/checkpoint.safetensors")
    curve, made_ns = (checkpoint.parent / "metrics.jsonl").read_bytes(), checkpoint.stat().st_mtime_ns
    assert run_train(tmp_path, *ruined) == 3
    again = capsys.readouterr()
    assert again.err.splitlines()[-1] == shown.err.splitlines()[-1]  # before it lines of progress, on a slow machine
    assert "train: continued: 5 of 5 steps were taken before" in again.out
    assert lines[3] in again.out
    assert run_train(tmp_path, *ruined, "--accept-untrained") == 0
    assert "WARNING: an untrained model is installed (--accept-untrained)" in capsys.readouterr().out
    assert ((checkpoint.parent / "metrics.jsonl").read_bytes(), checkpoint.stat().st_mtime_ns) == (curve, made_ns)
    ((model_id, model),) = models_of(tmp_path).items()
    assert (tmp_path / "store" / "models" / "CURRENT").read_text().strip() == model_id
    assert model["better_than_start"] is False
    assert (model["metrics"]["best_step"], model["metrics"]["steps"]) == (0, 5)
    assert [validation["step"] for validation in model["metrics"]["validations"]] == [0, 5]

    other = ("--image-encoder", "none", "--learning-rate", "2")
    assert run_train(tmp_path, *other) == 3
    assert models_of(tmp_path).keys() == {model_id}
    assert (tmp_path / "store" / "models" / "CURRENT").read_text().strip() == model_id


@pytest.mark.slow
def test_a_model_that_is_better_than_its_start_is_installed_and_what_was_found_is_shown(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(step_choice, "MIN_PAIRS", 20)
    monkeypatch.setattr(step_choice, "MIN_QUERIES", 2)
    write_catalogue(tmp_path, images=None)
    write_log(tmp_path)
    log = ("--engagements", f"{tmp_path}/log.parquet", "--pseudo-queries", "0", "--split", "time")
    long = ("--image-encoder", "none", "--min-steps", "200", "--batch-size", "64", "--learning-rate", "0.003")
    assert run_train(tmp_path, *log, *long, "--no-interpolate") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("train:")]
    assert lines[0] == "train: 5 steps would be 1 epoch; --min-steps 200 makes it 40 epochs"
    assert lines[1].startswith("train: validation: 24 pairs of 5 queries")
    assert lines[2].startswith("train: start: search/click: Recall@10 among 40 items 0.")
    assert lines[5].startswith("train: stopped early after ")
    (model,) = models_of(tmp_path).values()
    metrics = model["metrics"]
    best = f"train: best step {metrics['best_step']} of {metrics['steps']}: "
    assert lines[6].startswith(f"{best}search/click: Recall@10 among 40 items 1.000")
    assert lines[7] == f"{best}Recall@10 of seen items 1.000 (24 pairs)"
    assert lines[8].startswith(f"{best}score ")
    score = max(found["score"] for found in metrics["validations"])
    block, attention = (metrics["without"][part]["score"] for part in ("block", "attention"))
    above = model["above_start"]
    assert above["score"] == pytest.approx(score - metrics["validations"][0]["score"])
    more = f"{above['score']:+.4f} [{above['score_low']:+.4f}, {above['score_high']:+.4f}]"
    assert lines[9].startswith(f"train: above the start: {more} (95 % interval")
    assert model["within_noise"] is False
    assert lines[10] == (
        f"train: score without the transformer block {block:.4f} ({block - score:+.4f}), with equal attention "
        f"{attention:.4f} ({attention - score:+.4f})"
    )
    assert lines[11].startswith("train: moved from the start: table 0.0")
    assert " of its start's deviation, " in lines[11]
    assert metrics["movement"]["text_tower"]["relative"] > 0
    assert model["better_than_start"] is True
    assert model["log_end_us"] == end_of_day_us(DATE)
    assert model["refit"] is False  # there is a test part
    assert metrics["validation"]["search/click"]["num_items"] == 40
    assert "accept" not in json.dumps(model["accepted"])


def test_a_step_that_chance_alone_may_have_put_above_the_start_is_told():
    result = TrainingResult(
        **dict.fromkeys(("steps", "planned_steps", "steps_per_epoch", "best_step"), 5),
        share=0.5,
        restored=Validation(step=5, score=0.54, num_pairs=24, tasks={"search/click": FIGURES}, cells=CELLS),
        validation={},
        validations=tuple(
            Validation(step=step, score=0.5 + step / 100, num_pairs=24, tasks={"search/click": FIGURES}, cells=CELLS)
            for step in (0, 5)
        ),
        above_start={"score": 0.05, "score_low": -0.01, "score_high": 0.11},
        without={},
        field_weights={"title": 2.0, "brand": 1.0, "description": 0.5},
        movement={},
        num_pairs_by_task={},
    )
    assert result.is_better_than_start
    assert result.is_within_noise
    lines = train_report.end_lines(result)
    assert lines[-1] == "text fields weigh title 2, description 0.5"  # no item has a brand
    assert (
        "50% of the way from the start to the best step 5 of 5: a score of 0.5400, which validation cannot tell from "
        "0.5500 of the whole way; what the start knew of new queries is kept so"
    ) in lines
    cells = "Recall@10 of seen items 0.600 (20 pairs), new items 0.250 (4 pairs)"
    assert f"50% of the way from the start to the best step 5 of 5: {cells}" in lines
    (line,) = [line for line in lines if "above the start" in line]
    assert line.startswith("WARNING: above the start: +0.0500 [-0.0100, +0.1100]")


@pytest.mark.slow
def test_a_model_of_another_shape_is_trained_and_installed(tmp_path):
    write_catalogue(tmp_path, images=None)
    shape = ("--aggregator", "mlp_concat_mlp", "--num-hashes", "3", "--nested-dims", "64,128")
    assert run_train(tmp_path, "--image-encoder", "none", "--validation-fraction", "0", *shape) == 0
    (model_id,) = models_of(tmp_path)
    model = load_model(tmp_path / "store" / "models" / model_id)
    start = load_start(tmp_path / "store" / "models" / model_id)
    began = PreparedRun.open(training_folder(tmp_path)).start(model.config).state_dict()
    assert all(torch.equal(value, began[name]) for name, value in start.state_dict().items())
    assert not torch.equal(start.hash_embedder.table, model.hash_embedder.table)
    assert (model.config.aggregator, model.config.num_hashes) == ("mlp_concat_mlp", 3)
    assert model.hash_embedder.weights.shape[1] == 3


@pytest.mark.slow
def test_pseudo_queries_beside_a_log_are_there_by_default_and_choose_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(step_choice, "MIN_PAIRS", 20)
    monkeypatch.setattr(step_choice, "MIN_QUERIES", 2)
    write_catalogue(tmp_path, images=None)
    write_log(tmp_path)
    places = ("--catalog", f"{tmp_path}/catalog.parquet", "--engagements", f"{tmp_path}/log.parquet", "--date", DATE)
    tiny = ("--split", "time", "--epochs", "0.1", "--min-steps", "3", "--batch-size", "32", "--device", "cpu")
    rest = ("--store", f"{tmp_path}/store", "--image-encoder", "none", "--accept-untrained", *tiny)
    assert train.main([*places, *rest]) == 0
    shown = capsys.readouterr().out
    assert "train: validation: 24 pairs of 5 queries; " in shown
    assert " are measured beside them and decide nothing" in shown
    assert "train: start: search/pseudo: Recall@10 among 40 items " in shown
    assert "over 24 pairs, each query alike, each ranked among 40 items" in shown
    assert "no --engagements" not in shown
    (model,) = models_of(tmp_path).values()
    assert set(model["towers"]["text"]) == {"search/click", "search/pseudo"}
    assert 60 < model["towers"]["text"]["search/pseudo"] <= 80


@pytest.mark.slow
def test_a_log_without_queries_leaves_pseudo_queries_alone_and_that_is_said(tmp_path, capsys):
    """Purchases alone, as of a shop that logs no search: they are of use to users, not to the model."""
    write_catalogue(tmp_path, images=None)
    write_log(tmp_path)
    rows = pq.read_table(tmp_path / "log.parquet").to_pylist()
    rows = [{**row, "surface": "home", "query": None, "user_id": "u", "action": "checkout"} for row in rows]
    pq.write_table(pa.Table.from_pylist(rows, schema=ENGAGEMENTS), tmp_path / "log.parquet")
    log = ("--engagements", f"{tmp_path}/log.parquet", "--image-encoder", "none", "--accept-untrained")
    assert run_train(tmp_path, *log) == 0
    assert f"train: no search or closeup action in {tmp_path}/log.parquet: queries made " in capsys.readouterr().out
    assert run_train(tmp_path, *log, "--pseudo-queries", "0") == 3
    assert "expected engagements with a query to split, got 0 rows" in capsys.readouterr().err


@pytest.mark.slow
def test_a_training_that_cannot_be_compared_says_so(tmp_path, capsys):
    write_catalogue(tmp_path, images=None)
    assert run_train(tmp_path, "--image-encoder", "none", "--validation-fraction", "0") == 0
    assert "train: WARNING: there are no validation pairs" in capsys.readouterr().out
    (model,) = models_of(tmp_path).values()
    assert model["better_than_start"] is None


def test_the_examples_are_right():
    for module in (train, train_report, columns):
        found = doctest.testmod(module)
        assert found.attempted >= 1
        assert found.failed == 0


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize(("flags", "code"), [((), 1), (("--accept-untrained",), 0)])
def test_two_processes_refuse_together(tmp_path, flags, code):
    """code: torchrun's own for processes that failed."""
    write_catalogue(tmp_path, images=None)
    places = ("--catalog", f"{tmp_path}/catalog.parquet", "--image-root", str(tmp_path), "--store", f"{tmp_path}/store")
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "-m",
        "pipelines.train",
    ]
    ruined = ("--date", DATE, *TINY, "--image-encoder", "none", "--learning-rate", "1")
    environment = {**ENVIRONMENT, "OMP_NUM_THREADS": "1"}
    command = [*torchrun, *places, *ruined, *flags]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == code, ended.stderr[-3000:]
    assert ("a step that validation finds better than its start" in ended.stderr) == (code == 1)
    assert bool(models_of(tmp_path)) == (code == 0)
