"""Events whose values at one place are texts, lists and objects by turns."""

import itertools
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hang_guard import ends
from hypothesis import given
from hypothesis import strategies as st

from schemas.columns.mapping import table_columns
from schemas.events import led_to
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import ENGAGEMENTS
from schemas.validation.log import validate_engagements

pytestmark = pytest.mark.medium

FORMS = st.sampled_from(["x", ["x"], {"q": "x"}, [{"q": "x"}], [], {}])
OBJECTS = st.fixed_dictionaries(dict.fromkeys("abc", FORMS))
WITH_GAPS = st.fixed_dictionaries({}, optional={name: st.one_of(st.none(), FORMS) for name in "abc"})


def have_an_array(values: list[Any]) -> bool:
    try:
        pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True


@given(values=st.lists(WITH_GAPS, min_size=1, max_size=12))
def test_a_group_has_an_array_and_an_event_one_group(values: list[Any]) -> None:
    groups = led_to._alike(values, list(range(len(values))))
    assert sorted(itertools.chain(*groups)) == list(range(len(values)))
    assert all(have_an_array([values[event] for event in group]) for group in groups)
    assert len(groups[0]) == max(map(len, groups))


@given(values=st.lists(OBJECTS, min_size=1, max_size=12))
def test_no_two_groups_have_an_array_together(values: list[Any]) -> None:
    """Where no place is empty; beside an empty one both groups may."""
    if any(inner in ([], {}) for value in values for inner in value.values()):
        return
    groups = led_to._alike(values, list(range(len(values))))
    for one, other in itertools.combinations(groups, 2):
        assert not have_an_array([values[event] for event in (*one, *other)])


@pytest.mark.parametrize("num_events", [12, 3_000])
def test_what_paths_lead_to_in_each_form(tmp_path: Path, num_events: int) -> None:
    """Six fields of three forms each: nearly every event has a form of its own."""
    forms = ["x", ["x"], {"q": "user"}]
    events = []
    for number in range(num_events):
        fields = {name: forms[number // 3**place % 3] for place, name in enumerate("abcdef")}
        events.append({"timestamp": "2026-06-20", "action": "click", "p": {"item": f"i{number}", **fields}})
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    sources = [f"p.{name}.q" for name in "abcdef"]
    mapping = table_columns(
        {"engagements": {"user_id": sources, "item_id": "p.item", "surface": {"constant": "home"}}}, "engagements"
    )
    (part,) = plan_slices([str(tmp_path / "log.jsonl")])
    found: dict[str, list[Any]] = {"item_id": [], "user_id": []}
    with ends(within_cpu_s=30):
        for raw in read_slice(part, mapping, ENGAGEMENTS):
            good, _, _ = validate_engagements(raw, part)
            found = {name: values + good[name].to_pylist() for name, values in found.items()}
    has_user = [any(isinstance(event["p"][name], dict) for name in "abcdef") for event in events]
    expected = {f"i{number}": "user" for number, has in enumerate(has_user) if has}
    assert {item: user for item, user in zip(found["item_id"], found["user_id"], strict=True) if user} == expected
