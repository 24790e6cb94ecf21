import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_store import OTHER_MODEL, make_run, unit_vectors

from pipelines.operations.diff import compare, main, with_flags
from pipelines.run.changes import compare_embeddings

OLD, NEW = "2026-06-29", "2026-06-30"


def told(store, capsys, *flags):
    assert main([OLD, NEW, "--store", str(store), "--json", *flags]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_is_new_gone_and_moved_most(tmp_path, capsys):
    make_run(tmp_path, OLD, 1, items={"a": 0, "b": 10, "c": 20, "d": 30}, reasons={"no_content": 3, "bad_id": 1})
    make_run(tmp_path, NEW, 2, items={"a": 0, "b": 70, "c": 50, "e": 5, "f": 6}, reasons={"no_content": 5, "bad_id": 1})
    found = told(tmp_path, capsys)
    assert found["rows"] == [4, 5]
    assert (found["new"], found["gone"], found["changed"], found["unchanged"]) == (2, 1, 2, 1)
    assert found["gone_items"] == [{"item_id": "d", "title": "title of d"}]
    assert found["new_items"][1] == {"item_id": "f", "title": "title of f"}
    assert [item["item_id"] for item in found["moved_most"]] == ["b", "c"]
    assert found["moved_most"][0]["distance"] == pytest.approx(1 - np.cos(np.radians(60)), abs=1e-5)
    assert found["counts"] == {"rows_published": [4, 5], "quarantined for no_content": [3, 5]}
    found = told(tmp_path, capsys, "--top", "1")
    assert (found["new"], len(found["new_items"]), len(found["moved_most"])) == (2, 1, 1)
    assert main([OLD, "--store", str(tmp_path), NEW, "--top=1"]) == 0
    shown = capsys.readouterr().out
    assert "2 new, 1 gone, 2 changed, 1 unchanged" in shown
    assert "1 of 2" in shown
    assert "0.500000" in shown
    assert "title of b" in shown


def test_a_flag_before_the_runs_is_no_run():
    assert with_flags(["--vectors", "unified", OLD, NEW]) == ["--vectors", "unified", f"--old={OLD}", f"--new={NEW}"]


def test_vectors_of_two_models_are_not_compared(tmp_path, capsys):
    make_run(tmp_path, OLD, 1)
    make_run(tmp_path, NEW, 2, model=OTHER_MODEL, items={"a": 90})
    found = told(tmp_path, capsys)
    assert found["moved_most"] is None
    assert main([OLD, NEW, "--store", str(tmp_path)]) == 0
    assert "different models" in capsys.readouterr().out


def test_titles_are_no_reason_to_fail(tmp_path, capsys):
    make_run(tmp_path, OLD, 1)
    run = make_run(tmp_path, NEW, 2, items={"a": 90})
    (run / "items" / "bucket-00000-of-00001.parquet").write_bytes(b"PAR1 broken PAR1")
    assert told(tmp_path, capsys)["moved_most"][0]["title"] is None


def test_hostile_ids_and_titles_do_not_act_on_a_terminal(tmp_path, capsys):
    make_run(tmp_path, OLD, 1)
    make_run(tmp_path, NEW, 2, items={"\x1b[31m\nx": 90})
    assert main([OLD, NEW, "--store", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\\x1b[31m\\nx" in shown


@pytest.mark.parametrize(
    "argv",
    [[OLD], [], [OLD, NEW, "2026-07-01"], [OLD, "2026-06-01"], [OLD, NEW, "--top", "-1"], [OLD, "2026-07-02"]],
)
def test_wrong_calls_exit_2(tmp_path, argv, capsys):
    make_run(tmp_path, OLD, 1)
    make_run(tmp_path, NEW, 2)
    make_run(tmp_path, "2026-07-02", 3, finished=False)
    assert main([*argv, "--store", str(tmp_path)]) == 2
    assert "expected" in capsys.readouterr().err


def test_one_date_is_one_too_few(tmp_path, capsys):
    make_run(tmp_path, OLD, 1)
    assert main([OLD, "--store", str(tmp_path)]) == 2
    assert "expected two runs or dates" in capsys.readouterr().err


def test_a_damaged_run_is_an_error_not_a_result(tmp_path, capsys):
    make_run(tmp_path, OLD, 1)
    run = make_run(tmp_path, NEW, 2)
    path = run / "embeddings" / "part-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert main([OLD, NEW, "--store", str(tmp_path)]) == 1
    (run / "manifest.json").write_text('{"counts": []}')
    assert main([OLD, NEW, "--store", str(tmp_path)]) == 1
    assert "manifest" in capsys.readouterr().err


@given(
    st.dictionaries(st.text(max_size=2), st.sampled_from([0.0, 10.0, 20.0]), max_size=8),
    st.dictionaries(st.text(max_size=2), st.sampled_from([0.0, 10.0, 20.0]), max_size=8),
    st.integers(0, 9),
)
def test_compare_equals_the_table_of_changes_and_a_loop(old, new, top):
    columns = [(pa.array(sorted(run), pa.string()), unit_vectors(run)) for run in (old, new)]
    found = compare(*columns[0], *columns[1], top=top, same_model=True)
    table, counts = compare_embeddings(*columns[0], *columns[1])
    assert [found.num_changed, found.num_unchanged] == [counts["changed"], counts["unchanged"]]
    rows = table.to_pylist()
    assert found.new.to_pylist() == [row["item_id"] for row in rows if row["change"] == "new"]
    assert found.gone.to_pylist() == [row["item_id"] for row in rows if row["change"] == "deleted"]
    far = sorted(
        (-(1 - np.cos(np.radians(new[name] - old[name]))).round(5), name)
        for name in new
        if old.get(name, new[name]) != new[name]
    )
    assert [round(distance, 5) for _, distance in found.moved] == pytest.approx([-d for d, _ in far[:top]], abs=2e-5)
    assert {name for name, _ in found.moved} <= {name for _, name in far}
