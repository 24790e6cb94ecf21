"""`itemsage init` of logs whose action or time is not where it looks: values decide, and what lacks is said."""

import json
from pathlib import Path

import pytest
from init_calls import refused, write_csv, written

CALL = ("--from", "ga4", "log.csv", "--catalog", "c.csv")
DAYS = ("2026-06-20 10:00:00", "2026-06-20 11:00:00", "2026-06-21 12:00:00")


@pytest.fixture(autouse=True)
def _catalogue():
    write_csv("c.csv", "sku,name", "A-1,Red wool scarf", "A-2,Blue enamel mug")


def log_of(header, *rows):
    write_csv("log.csv", header, *rows)
    return written(*CALL)["columns"]["engagements"]


def test_a_column_with_another_value_in_each_row_is_no_action():
    rows = [f"e{number},u,{day},product_viewed,A-1" for number, day in enumerate(DAYS)]
    assert log_of("event_id,user_id,time,event_table_name,product_sku", *rows)["action"]["source"] == "event_table_name"


def test_of_columns_not_called_so_the_one_with_actions_is_taken_and_a_constant_is_none():
    rows = [f"custom,u,{day},{name},A-1" for day, name in zip(DAYS, ("viewed_product", "buy", "buy"), strict=True)]
    columns = log_of("event_type,user_id,time,name,product_sku", *rows)
    assert columns["action"]["source"] == "name"
    assert columns["action"]["values"]["buy"] == "checkout"


def test_columns_of_several_values_are_named_where_no_action_is_known(capsys):
    rows = [f"custom,u,{day},{name},A-1" for day, name in zip(DAYS, ("VwPr", "Xy", "Xy"), strict=True)]
    write_csv("log.csv", "event_type,user_id,time,metric,product_sku", *rows)
    assert "that one is the action: 'metric'?" in refused(capsys, *CALL, code=3)


@pytest.mark.parametrize(("more", "cell", "action"), [("", "", "click"), (",price", ",9.90", "checkout")])
def test_a_log_without_actions_has_one_which_is_asked_about(capsys, more, cell, action):
    columns = log_of(f"user_id,date,article_id{more}", *(f"u,{day},A-1{cell}" for day in DAYS))
    assert columns["action"] == {"constant": action}
    assert f"? action: no column says what somebody did: every row counts as {action}" in capsys.readouterr().out


@pytest.mark.parametrize("header", ["order_id,product_id", "household_key,DAY,PRODUCT_ID,TRANS_TIME"])
def test_a_log_without_times_is_told_and_no_column_is_taken_for_one(capsys, header):
    write_csv("log.csv", header, *(",".join(["1631", "7", "9", "1631"][: header.count(",") + 1]) for _ in DAYS))
    message = refused(capsys, *CALL)
    assert "no event_timestamp (when). Name" in message
    assert 'timestamp = {constant = "2026-06-30T12:00:00Z"}' in message


def test_the_time_that_is_told_for_such_a_log_is_read():
    from pipelines.init.rehearsal import rehearse_log

    write_csv("log.csv", "user,sku", "u,A-1")
    columns = {"timestamp": {"constant": "2026-06-30T12:00:00Z"}, "user_id": "user", "item_id": "sku"}
    assert rehearse_log(["log.csv"], columns).items == {"A-1": 1}


@pytest.mark.parametrize("names", ["Datum;Uhrzeit;Kunde;Artikelnummer;Aktion", "fecha;hora;customer;sku;acción"])
def test_a_day_and_a_clock_in_other_languages_are_one_time(names):
    columns = log_of(names, "20.06.2026;00:04:18;u;A-1;Ansicht", "21.06.2026;00:04:18;u;A-1;Kauf")
    assert columns["timestamp"]["source"] == names.split(";")[:2]
    assert columns["action"]["values"]["Kauf"] == "checkout"


def test_objects_of_an_event_are_items():
    events = [{"eventType": "view", "userToken": "u", "timestamp": f"{day}Z", "objectIDs": ["A-1"]} for day in DAYS]
    Path("log.csv").write_text("")
    Path("log.json").write_text(json.dumps({"events": events}))
    columns = written("--from", "ga4", "log.json", "--catalog", "c.csv")["columns"]["engagements"]
    assert columns["item_id"] == {"source": "objectIDs", "separator": ","}
