"""`itemsage init` of JSON files that are no lines of objects: what is read, and what is said of those without rows."""

import json
from pathlib import Path

import pytest
from init_calls import refused, write_csv, written

ROWS = [{"sku": "A-1", "name": "Red wool scarf"}, {"sku": "A-2", "name": "Blue enamel mug"}]
EVENTS = [{"ts": f"2026-06-2{number}T10:00:00Z", "user_id": "u", "event": "view", "sku": "A-1"} for number in range(2)]


@pytest.mark.parametrize("text", ["".join(json.dumps(row, indent=2) for row in ROWS), "".join(map(json.dumps, ROWS))])
def test_objects_one_behind_the_other_are_a_catalogue(text):
    Path("c.json").write_text(text)
    assert written("c.json")["columns"]["item_id"] == "sku"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (json.dumps({row["sku"]: row for row in ROWS}), "got one object of objects, by their ids in c.json"),
        (json.dumps({name: [row[name] for row in ROWS] for name in ROWS[0]}), "got a list for each column"),
        (json.dumps([["sku", "name"], ["A-1", "Mug"]]), "got lists in a list, the first of names"),
        (f"var products = {json.dumps(ROWS)};", "got JavaScript around it"),
        ('{"index": {"_id": "A-1"}}\n{"name": "Red mug"}\n', "got lines of Elasticsearch's _bulk"),
    ],
)
def test_json_of_another_shape_is_named_with_the_line_that_makes_rows(capsys, text, told):
    Path("c.json").write_text(text)
    message = refused(capsys, "c.json")
    assert told in message
    assert "This makes rows of it: " in message


@pytest.mark.parametrize(("name", "text", "got"), [("c.json", "[]", "an empty list"), ("c.csv", "", "an empty file")])
def test_what_is_empty_is_called_so(capsys, name, text, got):
    Path(name).write_text(text)
    assert f"expected rows in {name}, got {got}: was the export written to its end?" in refused(capsys, name)


def test_a_graph_of_schema_org_is_a_list_of_rows():
    members = [{"@type": "ListItem", "position": n, "item": {"@type": "Product", **row}} for n, row in enumerate(ROWS)]
    graph = {"@context": "https://schema.org", "@type": "ItemList", "itemListElement": members}
    Path("c.json").write_text(json.dumps(graph, indent=1))
    columns = written("c.json")["columns"]
    assert (columns["item_id"], columns["title"]) == ("item.sku", "item.name")


def test_the_list_of_a_log_beside_its_columns_is_read_untold():
    write_csv("c.csv", "sku,name", *(",".join(row.values()) for row in ROWS))
    columns = [{"name": name, "type": "String"} for name in EVENTS[0]]
    Path("log.json").write_text(json.dumps({"meta": columns, "data": EVENTS, "rows": 2}))
    assert written("--from", "ga4", "log.json", "--catalog", "c.csv")["engagements"] == "log.json"


def test_a_list_that_the_config_says_is_of_the_log_alone(capsys):
    Path("c.json").write_text(json.dumps({"goods": ROWS}))
    Path("log.json").write_text(json.dumps({"others": EVENTS[:1], "hours": EVENTS}))
    call = ("--from", "ga4", "log.json", "--catalog", "c.json")
    assert "list = 'hours' (for init, which has none yet, on two lines of a file, say form.toml" in refused(
        capsys, *call
    )
    Path("form.toml").write_text('[format.engagements]\nlist = "hours"\n')
    config = written(*call, "--config", "form.toml")
    assert config["format"] == {"engagements": {"list": "hours"}}
    assert "2 rows, 0 events that are none" in capsys.readouterr().out


def test_numbers_that_are_none_say_nothing_of_the_others(capsys):
    Path("c.jsonl").write_text(
        '{"sku": "A-1", "name": "Mug", "size": NaN}\n{"sku": "A-2", "name": "Cup", "size": 38.0}\n'
    )
    assert written("c.jsonl")["columns"]["size"] == "size"
    assert "holds objects" not in capsys.readouterr().out
    Path("c.jsonl").write_text('{"sku": "A-1", "name": "Mug", "size": NaN}\n{"sku": "A-2", "name": "Cup"}\n')
    written("c.jsonl")
    assert "holds objects" not in capsys.readouterr().out


def test_lines_that_spark_could_not_read_are_told(capsys):
    lines = [*ROWS, {"_corrupt_record": '{"sku": "A-3", "na'}]
    Path("c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    written("c.jsonl")
    assert "? _corrupt_record: Spark could not read 1 lines" in capsys.readouterr().out
