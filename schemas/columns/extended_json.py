"""MongoDB's extended JSON, in which an object with one key that begins with `$` stands for one value.

{"$oid": "65f0c0ffee"}                        the id
{"$date": "2026-06-20T10:00:00Z"}             the time, as text or as milliseconds since 1970
{"$numberDecimal": "9.90"}                    the number, of whatever type
"""

from typing import Any

from schemas.cells.keyed_texts import keyed
from schemas.columns.localised_texts import OF_ALL, texts_by_language
from schemas.columns.wrapped_lists import unwrapped

#: Keys of objects that stand for the value behind it.
_VALUES = frozenset(
    (
        *("$oid", "$date", "$numberDecimal", "$numberLong", "$numberInt", "$numberDouble", "$uuid", "$symbol"),
        "$undefined",
    )
)

#: What objects that are values by names call these, and the values: Shopify's options and metafields, Magento's
#: custom_attributes, WooCommerce's attributes.
NAMES = ("name", "key", "attribute_code", "code", "attribute", "label", "property", "slug")
VALUES_OF_NAMES = ("values", "value", "options", "data")
#: How the fields of an object end that has one value in the field of its type, as BigQuery's parameters do.
_OF_A_TYPE = ("_value", "Value")


def plain_value(value: Any) -> Any:
    """A value of parsed JSON with each of these objects as what it stands for, wherever it is; {"$undefined": true} is
    null.

    >>> plain_value({"_id": {"$oid": "65f0"}, "at": [{"$date": {"$numberLong": "1781949600000"}}]})
    {'_id': '65f0', 'at': ['1781949600000']}
    """
    if isinstance(value, list):
        return [plain_value(member) if isinstance(member, dict | list) else member for member in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (key := next(iter(value))) in _VALUES:
        return None if key == "$undefined" else plain_value(value[key])
    return {key: plain_value(inner) if isinstance(inner, dict | list) else inner for key, inner in value.items()}


def value_at(row: dict[str, Any], source: str) -> Any:
    """What a source of the config leads to in a row: the value of that key, else by its dots what is in objects, and of
    a list of objects the list of what is in each, or, where none has that key, the values of those that are called so
    (`name` beside `value` and the like, see NAMES), of one alone its value, and of texts in several languages the one
    in that language (see schemas.columns.localised_texts); None where there is nothing. A text that holds values by
    keys is what it holds (see schemas.cells.keyed_texts), a list that an object wraps is the list. Names that begin
    with `$` lead to the value that stands there already.

    >>> value_at({"a.b": 1, "a": {"b": 2}}, "a.b"), value_at({"a": {"b": 2}}, "a.b"), value_at({"a": 1}, "a.b")
    (1, 2, None)
    >>> value_at({"a": [{"b": 1}, {}, {"b": 3}]}, "a.b"), value_at({"_id": "65f0"}, "_id.$oid")
    ([1, 3], '65f0')
    >>> value_at({"options": [{"name": "Size", "values": ["S", "M"]}, {"name": "Fit", "value": "x"}]}, "options.Size")
    ['S', 'M']
    >>> value_at({"a": "b=Red"}, "a.b"), value_at({"a": [{"key": "b", "value": {"int_value": 7}}]}, "a.b")
    ('Red', 7)
    >>> value_at({"a": [{"locale": "en", "data": "Mug"}, {"locale": "de", "data": "Becher"}]}, "a.de")
    'Becher'
    """
    if source in row or "." not in source:
        return row.get(source)
    value: Any = row
    for name in source.split("."):
        value = value if name.startswith("$") and not isinstance(value, dict) else _inner(value, name)
    return value


def _inner(value: Any, name: str) -> Any:
    if isinstance(value, str):
        value = keyed(value)
    if isinstance(value, dict) and name not in value:
        value = unwrapped(value)
    in_languages = texts_by_language(value) if isinstance(value, list) else None
    if in_languages is not None and (name in in_languages or not _has_field(value, name)):
        return in_languages.get(name, in_languages.get(OF_ALL))
    if isinstance(value, list):
        has_key = _has_field(value, name)
        found = [_inner(member, name) if has_key else _called(member, name) for member in value]
        there = [member for member in found if member is not None]
        if len(there) == 1 and not has_key:
            return there[0]
        flat = [one for member in there for one in (member if isinstance(member, list) else [member])]
        return [one for one in flat if one is not None] or None
    return value.get(name) if isinstance(value, dict) else None


def _has_field(members: list[Any], name: str) -> bool:
    return any(name in member for member in members if isinstance(member, dict))


def _called(member: Any, name: str) -> Any:
    """The value of an object that is called so; of a list, what is in its members."""
    if isinstance(member, dict):
        named = named_value(member, name)
        return None if named is None else named[1]
    return _inner(member, name) if isinstance(member, list) else None


def named_value(member: Any, name: str | None = None) -> tuple[str, Any] | None:
    """(name, value) of an object that is a value by its name; None of any other. name: the one that is looked for among
    what the object has of NAMES, None: the first that is a text.

    >>> named_value({"attribute_code": "color", "value": "red"}), named_value({"name": "red", "price": 9})
    (('color', 'red'), None)
    """
    if not isinstance(member, dict) or member.keys().isdisjoint(VALUES_OF_NAMES):
        return None
    given = [member[key] for key in NAMES if isinstance(member.get(key), str)]
    called = next((one for one in given if name in (None, one)), None)
    if called is None:
        return None
    value = next((member[key] for key in VALUES_OF_NAMES if member.get(key) is not None), None)
    return called, _of_its_type(value)


def _of_its_type(value: Any) -> Any:
    if isinstance(value, dict) and value and all(key.endswith(_OF_A_TYPE) for key in value):
        return next((one for one in value.values() if one is not None), None)
    return value
