"""What is costly is opened once a process, however many threads ask, and freed when the job is done."""

import time

import numpy as np
import pytest
from at_once import NUM_THREADS, at_once

from model.text.vocabulary import TokenCounts, Vocabulary
from pipelines.console.progress import Progress
from pipelines.features.picture_vectors import VectorCache
from pipelines.run.opened_models import open_vocabulary
from pipelines.run.shared import Shared, closed_after_job

pytestmark = pytest.mark.medium


class Opened:
    """A value that takes its time to open."""

    def __init__(self, key: str):
        time.sleep(0.01)
        self.key = key


@pytest.fixture
def opened() -> list[str]:
    """The keys that were opened."""
    return []


@pytest.fixture
def shared(opened) -> Shared[str, Opened]:
    return Shared(lambda key: opened.append(key) or Opened(key))


def test_threads_that_ask_together_get_one_value(shared, opened):
    for number in range(20):
        values = at_once(lambda: shared.get(str(number)))  # noqa: B023 (called in this round)
        assert {id(value) for value in values} == {id(values[0])}
        assert values[0].key == str(number)
    assert opened == list(map(str, range(20)))


def test_another_key_is_another_value_and_the_last_one_is_held(shared, opened):
    first = shared.get("a")
    assert shared.get("a") is first
    assert shared.get("b").key == "b"
    assert shared.get("a") is not first
    assert opened == ["a", "b", "a"]


def test_what_cannot_be_opened_is_tried_again_by_the_next_thread():
    keys = []

    def fail_once(key: str) -> str:
        keys.append(key)
        if len(keys) == 1:
            raise OSError("not yet")
        return key

    shared = Shared(fail_once)
    with pytest.raises(OSError, match="not yet"):
        shared.get("a")
    assert shared.get("a") == "a"
    assert keys == ["a", "a"]


def test_a_job_frees_what_it_opened_and_keeps_what_was_open(opened):
    kept, freed = (Shared(lambda key: opened.append(key) or key) for _ in range(2))
    kept.get("kept")
    for _ in range(2):
        with closed_after_job():
            kept.get("kept")
            freed.get("freed")
    assert (kept.is_open, freed.is_open) == (True, False)
    assert opened == ["kept", "freed", "freed"]


def test_a_vocabulary_that_was_built_again_is_opened_again(tmp_path):
    for text in ("red shoe", "blue shoe"):
        counts = TokenCounts()
        counts.add_text(text)
        built = Vocabulary.from_counts(counts.table())
        built.save(tmp_path)
        assert open_vocabulary(str(tmp_path)).id == built.id
    assert open_vocabulary(str(tmp_path)) is open_vocabulary(str(tmp_path))


def test_threads_that_share_a_vocabulary_get_the_same_tokens(monkeypatch):
    monkeypatch.setattr("model.text.vocabulary._MAX_REMEMBERED_PIECES", 10)  # forgotten all the time
    texts = [f"shoe {number} of {number % 7} colours" for number in range(200)]
    counts = TokenCounts()
    for text in texts:
        counts.add_text(text)
    expected = [Vocabulary.from_counts(counts.table()).encode(text).tolist() for text in texts]
    vocabulary = Vocabulary.from_counts(counts.table())
    for got in at_once(lambda: [vocabulary.encode(text).tolist() for text in texts]):
        assert got == expected


def test_threads_share_a_cache_of_vectors_within_its_bytes():
    cache = VectorCache(max_bytes=50 * 8)

    def use() -> None:
        for number in range(2_000):
            digest = bytes([number % 199])
            found = cache.get(digest)
            assert found is None or (found == number % 199).all()
            cache.add(digest, np.full(4, number % 199, np.float16))

    at_once(use)
    assert cache.num_bytes == sum(vector.nbytes for vector in cache._vectors.values()) == 50 * 8


def test_threads_move_one_bar():
    def work() -> Progress:
        progress = Progress.shared("at once", "units")
        for _ in range(20_000):
            progress.advance()
        return progress

    bars = at_once(work)
    Progress.close_shared("at once")
    assert {id(bar) for bar in bars} == {id(bars[0])}
    assert bars[0].done == 20_000 * NUM_THREADS
