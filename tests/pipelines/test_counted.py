"""What a runner shows of each DoFn: elements, bytes and time, whatever the DoFn's author wrote."""

import inspect
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.internal import cloudpickle_pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.ingest.config import IngestConfig
from pipelines.ingest.job import build
from pipelines.run import counted
from pipelines.run.counted import CountedDoFn, _read_once, num_bytes

RUNNERS = ["FnApiRunner", "BundleBasedDirectRunner"]


class Repeat(CountedDoFn):
    """number -> as many (number, b"ab"), and once for each the number with a tag."""

    def metrics_namespace(self) -> str:
        return "repeat"

    def process(self, number: int, most: int, moment: Any = beam.DoFn.TimestampParam) -> Iterator[tuple[int, bytes]]:
        assert moment is not None
        for _ in range(min(number, most)):
            yield number, b"ab"
            yield beam.pvalue.TaggedOutput("numbers", number)  # type: ignore[misc]


class Slowly(CountedDoFn):
    """(number, bytes) -> the bytes at the end of the bundle, which take a while."""

    def metrics_namespace(self) -> str:
        return "slowly"

    def start_bundle(self) -> None:
        self.waiting: list[bytes] = []

    def process(self, element: tuple[int, bytes]) -> Iterator[bytes]:
        time.sleep(0.01)
        self.waiting.append(element[1])
        yield b"!"

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from map(GlobalWindows.windowed_value, self.waiting)


def metrics_of(result: Any) -> dict[str, Any]:
    """namespace.name -> number; of a distribution its sum."""
    found = result.metrics().query()
    counters = {
        f"{metric.key.metric.namespace}.{metric.key.metric.name}": metric.result for metric in found["counters"]
    }
    return counters | {
        f"{metric.key.metric.namespace}.{metric.key.metric.name}": metric.result.sum
        for metric in found["distributions"]
    }


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_runner_shows_elements_bytes_and_time_of_each_dofn(runner):
    pipeline = beam.Pipeline(runner=runner, options=PipelineOptions([]))
    most = pipeline | "Most" >> beam.Create([3])
    repeated = (
        pipeline
        | beam.Create([1, 2, 5])
        | beam.ParDo(Repeat(), beam.pvalue.AsSingleton(most)).with_outputs("numbers", main="pairs")
    )
    assert repeated.pairs.element_type == beam.typehints.Tuple[int, bytes]
    slowly = repeated.pairs | beam.ParDo(Slowly())
    assert_that(slowly, equal_to([b"!"] * 6 + [b"ab"] * 6))
    result = pipeline.run()
    result.wait_until_finish()
    metrics = metrics_of(result)
    assert metrics["repeat.milliseconds"] >= 0
    assert metrics["slowly.milliseconds"] >= 60
    assert [metrics[f"repeat.{name}"] for name in ("elements_in", "elements_out", "bytes_out")] == [3, 12, 12]
    assert [metrics[f"slowly.{name}"] for name in ("elements_in", "bytes_in", "elements_out")] == [6, 12, 12]
    assert (metrics["slowly.bytes_out"], "repeat.bytes_in" in metrics) == (18, False)


@pytest.mark.medium
@pytest.mark.parametrize("runner", RUNNERS)
def test_what_one_stage_of_a_job_puts_out_the_next_takes_in(runner, tmp_path):
    titles = [f"mug {i}" for i in range(200)]
    ids = [f"item-{i}" for i in range(200)]
    pq.write_table(pa.table({"item_id": ids, "title": titles, "images": [["a.jpg"]] * 200}), tmp_path / "c.parquet")
    config = IngestConfig(catalog=str(tmp_path / "c.parquet"), run=str(tmp_path / "run"), num_buckets=8)
    pipeline = beam.Pipeline(runner=runner, options=PipelineOptions([]))
    build(pipeline, config)
    result = pipeline.run()
    result.wait_until_finish()
    metrics = metrics_of(result)
    assert metrics["run.bucket_rows.bytes_out"] == metrics["ingest.write_items.bytes_in"] > 1_000
    assert (metrics["run.bucket_rows.elements_in"], metrics["run.bucket_rows.elements_out"]) == (1, 8)
    assert (metrics["ingest.write_items.elements_in"], metrics["ingest.write_items.elements_out"]) == (8, 8)
    assert min(metrics["run.bucket_rows.milliseconds"], metrics["ingest.write_items.milliseconds"]) > 0


def test_outputs_are_made_as_they_are_taken():
    made = []

    class Lazy(CountedDoFn):
        def process(self, number: int) -> Iterator[int]:
            for i in range(number):
                made.append(i)
                yield i

    outputs = Lazy().process(3)
    assert (next(outputs), made) == (0, [0])
    assert (next(outputs), made) == (1, [0, 1])


def test_beam_sees_what_the_author_wrote():
    dofn = Repeat()
    assert list(inspect.signature(dofn.process).parameters) == ["number", "most", "moment"]
    assert dofn.get_type_hints().input_types[0][0] is int
    assert "min(number, most)" in inspect.getsource(dofn.process)


def test_a_class_that_is_sent_by_value_is_counted_once():
    class Once(CountedDoFn):
        def process(self, number: int) -> Iterator[int]:
            yield number

    sent = cloudpickle_pickler.loads(cloudpickle_pickler.dumps(Once()))
    assert type(sent) is not Once or sent.process.__func__ is Once.process
    assert inspect.isgeneratorfunction(sent.process.__func__.__wrapped__)
    again = type("Again", (CountedDoFn,), {"process": Once.process})
    assert again.process is Once.process


def test_a_process_that_returns_its_outputs_is_refused():
    with pytest.raises(TypeError, match=r"yields its outputs, got .*Returns\.process"):

        class Returns(CountedDoFn):
            def process(self, number: int) -> list[int]:
                return [number]


def test_a_finish_bundle_without_outputs_stays_as_it_is():
    class Closes(CountedDoFn):
        def process(self, number: int) -> Iterator[int]:
            yield number

        def finish_bundle(self) -> None:
            self.is_closed = True

    dofn = Closes()
    dofn.finish_bundle()
    assert dofn.is_closed


def test_time_is_that_of_the_dofn_alone_and_no_part_of_it_is_lost(monkeypatch):
    now_s, milliseconds = [0.0], []
    monkeypatch.setattr(counted, "perf_counter", lambda: now_s[0])
    monkeypatch.setattr(counted, "_distribution", lambda *_: SimpleNamespace(update=milliseconds.append))

    class Takes(CountedDoFn):
        def process(self, seconds: float) -> Iterator[int]:
            for number in range(2):
                now_s[0] += seconds
                yield number
            now_s[0] += seconds

    dofn = Takes()
    for seconds in (2.0, 0.0625):
        for _ in dofn.process(seconds):
            now_s[0] += 1_000
    assert milliseconds == [6_000, 187]
    for _ in range(1_000):
        list(dofn.process(0.0001))
    assert sum(milliseconds) in (6_487, 6_488)


def test_values_that_are_read_as_they_are_asked_for_are_not_read_to_be_counted():
    class Values:
        read = 0

        def __iter__(self) -> Iterator[bytes]:
            for value in (b"abc", b"d"):
                self.read += 1
                yield value

    (key, values), num_bytes_in = _read_once((7, given := Values()))
    assert (key, given.read, num_bytes_in()) == (7, 0, 0)
    assert (list(values), list(values), num_bytes_in()) == ([b"abc", b"d"], [b"abc", b"d"], 4)
    assert _read_once((7, [b"abc"]))[0] == (7, [b"abc"])


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        *((b"abc", 3), ("abc", 0), (7, 0), (None, 0), ((), 0), ((b"abc",), 3), ([], 0)),
        *(((7, b"abc"), 3), ((7, b"abc", {"rows": 1}), 3), ((7, (b"abc", b"")), 3), ((7, []), 0), ((7, ()), 0)),
        *(((7, [b"abc", b"", b"d"]), 4), ((7, [(b"abc", b""), (b"", b"d")]), 4), ((("h", "u"), (1, None)), 0)),
        (("host", [("url", 1, None), ("url", 2, "id")]), 0),
        (beam.pvalue.TaggedOutput("tag", b"abc"), 3),
        (beam.pvalue.TaggedOutput("tag", (7, b"abc")), 3),
        (GlobalWindows.windowed_value((7, b"abc")), 3),
    ],
)
def test_bytes_of_an_element(element, expected):
    assert num_bytes(element) == expected
