import json

from made_store import MODEL, OTHER_MODEL, make_run, move

from pipelines.operations.runs import format_runs, list_runs, main
from pipelines.store.run_files import size_of
from schemas.files import write_json


def states(store):
    return {info.run: info.state for info in list_runs(str(store))}


def test_every_state_is_told_newest_first(tmp_path, capsys):
    runs = [make_run(tmp_path, f"2026-06-{day}", day) for day in (25, 26, 27)]
    unpublished = make_run(tmp_path, "2026-06-28", 28)
    unfinished = make_run(tmp_path, "2026-06-29", 29, finished=False)
    failed = make_run(tmp_path, "2026-06-30", 30, finished=False)
    gates = [{"name": "rows", "status": "failed"}, {"name": "recall", "status": "passed"}]
    write_json(failed / "gates.json", {"gates": gates})
    for run, hours in zip(runs, (72, 48, 24), strict=True):
        move(tmp_path, run, hours_ago=hours)
    infos = list_runs(str(tmp_path))
    assert [(info.date[-2:], info.state) for info in infos] == [
        ("30", "failed gates"),
        ("29", "unfinished"),
        ("28", "finished, never published"),
        ("27", "CURRENT"),
        ("26", "published before"),
        ("25", "published before"),
    ]
    assert infos[0].gates == {"failed": ["rows"], "passed": ["recall"]}
    assert (infos[3].rows, infos[3].model_id, infos[3].seconds) == (3, MODEL, 1.5)
    assert infos[3].superseded is None
    assert infos[5].superseded is not None
    assert infos[3].bytes == size_of(runs[2])[0] > 1000
    assert main(["--store", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "1 failed, 1 passed" in shown
    assert "failed: rows" in shown
    assert main(["--store", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [entry["run"] for entry in told] == [info.run for info in infos]
    assert unpublished.name in shown
    assert unfinished.name in shown


def test_a_run_that_readers_were_taken_back_from_is_told_with_the_reason(tmp_path):
    runs = [make_run(tmp_path, f"2026-06-{day}", day) for day in (28, 29)]
    for run in runs:
        move(tmp_path, run)
    move(tmp_path, runs[0], why="rolled back", reason="prices \x1b[31m")
    infos = list_runs(str(tmp_path))
    assert [(info.state, info.reason) for info in infos] == [("rolled back", "prices \x1b[31m"), ("CURRENT", None)]
    assert infos[0].superseded is not None
    assert "    rolled back: 'prices \\x1b[31m'" in format_runs(infos).splitlines()
    move(tmp_path, runs[1], why="republished")
    assert [info.state for info in list_runs(str(tmp_path))] == ["CURRENT", "published before"]


def test_broken_runs_are_listed_as_broken(tmp_path):
    runs = [make_run(tmp_path, "2026-06-30", number, model=OTHER_MODEL) for number in range(8)]
    (runs[0] / "manifest.json").unlink()
    (runs[1] / "manifest.json").write_text("[]")
    (runs[2] / "manifest.json").write_text("{}")
    (runs[3] / "times.json").write_text('{"total": "long"}')
    (runs[4] / "gates.json").write_text('{"gates": 5}')
    (runs[5] / "manifest.json").write_bytes(b"\xff\x00")
    (tmp_path / "runs" / "2026-06-30" / "notes \x1b[31m").mkdir()
    (tmp_path / "runs" / "2026-07-01").symlink_to(tmp_path / "runs" / "2026-06-30")
    found = states(tmp_path)
    for run in runs[:6]:
        assert found[f"runs/2026-06-30/{run.name}"] == "broken", run
        assert found[f"runs/2026-07-01/{run.name}"] == "broken", run
    assert found[f"runs/2026-06-30/{runs[6].name}"] == "finished, never published"
    assert found["runs/2026-06-30/notes \x1b[31m"] == "broken"
    assert "\x1b" not in format_runs(list_runs(str(tmp_path)))


def test_hostile_text_in_a_manifest_is_quoted(tmp_path):
    run = make_run(tmp_path, model="itemsage-\x1b]0;owned\x07")
    write_json(
        run / "gates.json", {"gates": [{"name": "x\n\x1b[2J", "status": "failed"}, {"name": "y", "status": "\x1b"}]}
    )
    shown = format_runs(list_runs(str(tmp_path)))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert len(shown.splitlines()) == 3


def test_a_pointer_to_a_run_that_is_gone_is_told(tmp_path):
    run = make_run(tmp_path)
    move(tmp_path, run)
    (run / "COMPLETED").unlink()
    (info,) = list_runs(str(tmp_path))
    assert (info.state, info.problem) == ("broken", "CURRENT names it, but it is not finished")
    run.rename(run.parent / ".hidden")
    (info,) = list_runs(str(tmp_path))
    assert info.state == "broken"
    assert "no such run" in info.problem


def test_an_empty_store_and_none(tmp_path, capsys):
    assert main(["--store", str(tmp_path)]) == 0
    assert "no runs" in capsys.readouterr().out
    assert main(["--store", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()
