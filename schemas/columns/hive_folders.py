"""Columns that the folders of a path give to the rows of its file, as Hive and Spark write a table in partitions:
`products/category=Chairs/part-0.parquet`."""

import os
from urllib.parse import unquote

_NULL = "__HIVE_DEFAULT_PARTITION__"


def folder_values(path: str) -> dict[str, str | None]:
    """Name of a `key=value` folder of the path -> its value, in the order of the folders.

    >>> folder_values("/shop/season=2026/category=Arm%20Chairs/part-0.csv")
    {'season': '2026', 'category': 'Arm Chairs'}
    """
    folders = [part.partition("=") for part in os.path.dirname(os.path.abspath(path)).split(os.sep)]
    return {key: None if unquote(value) == _NULL else unquote(value) for key, equals, value in folders if equals}
