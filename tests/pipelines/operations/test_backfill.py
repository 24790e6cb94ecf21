import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from train_runs import SMALL_MODEL

from pipelines.console.jobs import beam_options, parse_alone
from pipelines.daily.config import DailyConfig
from pipelines.operations.backfill import BackfillConfig, config_of_day, days, main, run, with_flags
from pipelines.store import history, store
from pipelines.train import job as train
from schemas.errors import UsageError
from schemas.files import read_sealed_json


def catalogue(folder, *dates, count=40):
    """A catalogue a date; each has an item that the others have not."""
    for date in dates:
        ids = [f"item-{number:03d}" for number in range(count)] + [f"only-{date}"]
        titles = [f"{('red', 'green', 'blue')[number % 3]} mug number {number}" for number in range(count + 1)]
        folder.mkdir(parents=True, exist_ok=True)
        images = pa.array([[]] * len(ids), pa.list_(pa.string()))
        pq.write_table(pa.table({"item_id": ids, "title": titles, "images": images}), folder / f"{date}.parquet")


def call(folder, first, last, *flags):
    return [
        *("--from", first, f"--to={last}", "--catalog", f"{folder}/catalog/{{date}}.parquet"),
        *("--image-root", str(folder), "--store", f"{folder}/store", *flags),
    ]


def test_every_flag_of_daily_but_its_date(capsys):
    arguments = with_flags(["--from", "2026-06-29", "--to", "2026-06-30", "--catalog", "c/{date}/x", "--store", "s"])
    config = parse_alone(BackfillConfig, [*arguments, "--attempt=3"], "itemsage backfill", "")
    day = config_of_day(config, "2026-06-30")
    assert day == DailyConfig(catalog="c/2026-06-30/x", store="s", date="2026-06-30", attempt=3)
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--verify-images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("first", "last"), [("2026-06-30", "2026-06-29"), ("30.06.2026", "2026-06-30"), ("2026-06-29", "2026-02-30")]
)
def test_dates_that_are_none_are_refused(tmp_path, first, last):
    with pytest.raises(UsageError, match="expected"):
        days(first, last)
    assert main(call(tmp_path, first, last)) == 2
    assert not (tmp_path / "store").exists()


def test_days_without_a_catalogue_are_skipped(tmp_path, capsys):
    assert main(call(tmp_path, "2026-06-29", "2026-06-30")) == 0
    assert capsys.readouterr().out.count("skipped") == 4  # a line each, and the table
    assert main(call(tmp_path, "2026-06-29", "2026-06-30", "--strict")) == 2


def test_the_first_day_that_fails_ends_the_call_unless_it_is_to_go_on(tmp_path, capsys):
    """There is no model: every day fails."""
    catalogue(tmp_path / "catalog", "2026-06-28", "2026-06-30")
    assert main(call(tmp_path, "2026-06-27", "2026-06-30")) == 2
    shown = capsys.readouterr()
    assert "itemsage train" in shown.err
    assert "failed, exit code 2" in shown.out
    assert "2 more days were not tried" in shown.out
    assert main(call(tmp_path, "2026-06-27", "2026-06-30", "--keep-going")) == 2
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if "failed" in line] == [
        "2026-06-28",
        "2026-06-30",
    ]


def test_one_catalogue_for_all_days_is_a_warning(tmp_path, capsys):
    arguments = ["--from", "2026-06-29", "--to", "2026-06-29", "--catalog", "none.parquet", "--store", str(tmp_path)]
    assert main(arguments) == 0
    assert "all days get the same" in capsys.readouterr().err


@pytest.mark.slow
def test_days_are_run_in_order_and_never_take_readers_back(tmp_path, capsys):
    folder = tmp_path / "store"
    catalogue(tmp_path / "catalog", "2026-06-27", "2026-06-28", "2026-06-30")
    train.run(
        train.TrainConfig(
            catalog=f"{tmp_path}/catalog/2026-06-27.parquet",
            image_root=str(tmp_path),
            store=str(folder),
            date="2026-06-27",
            image_encoder="none",
            pseudo_queries=1,
            epochs=0.1,
            min_steps=2,
            accept_untrained=True,  # two steps make it worse
            batch_size=16,
            **SMALL_MODEL,
        ),
        beam_options([]),
    )
    assert main(call(tmp_path, "2026-06-28", "2026-06-30")) == 0
    table = capsys.readouterr().out.splitlines()[-4:]
    assert [line.split()[:2] for line in table[1:]] == [
        ["2026-06-28", "published"],
        ["2026-06-29", "skipped:"],
        ["2026-06-30", "published"],
    ]
    newest = store.current_run(str(folder))
    config = parse_alone(
        BackfillConfig, with_flags(call(tmp_path, "2026-06-27", "2026-06-28")), "itemsage backfill", ""
    )
    results = run(config, beam_options([]))
    assert [result.what for result in results] == ["finished, readers stay"] * 2
    assert store.current_run(str(folder)) == newest
    assert newest.parent.name == "2026-06-30"
    (oldest,) = (folder / "runs" / "2026-06-27").iterdir()
    assert read_sealed_json(oldest / "started.json")["previous"] is None
    assert [move.to_run.split("/")[1][-2:] for move in history.moves(str(folder))] == ["28", "30"]


def test_a_day_that_is_no_date_is_told_under_its_own_flag(tmp_path, capsys):
    assert main(call(tmp_path, "2026-06-29", "yesterday")) == 2
    assert "expected --to YYYY-MM-DD, got 'yesterday'" in capsys.readouterr().err
