"""Baselines by the vectors of the picture network."""

import numpy as np
import pytest

from model.measures.picture_baselines import (
    MAX_PROBE_WORK,
    LogisticProbe,
    NearestPhoto,
    NearestPicture,
    PictureVote,
    mean_picture_vectors,
    unit,
    why_no_probe,
)


def photos_of(num_items: int, num_each: int, dim: int = 16) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(num_items), num_each)
    centres = generator.standard_normal((num_items, dim))
    vectors = centres[labels] + 0.5 * generator.standard_normal((len(labels), dim))
    return unit(vectors.astype(np.float32)), labels


def test_mean_picture_vectors_are_unit_means_of_unit_vectors():
    pictures = [np.array([[2, 0], [0, 5]], np.float16), np.zeros((0, 2), np.float16)]
    assert mean_picture_vectors(pictures, 2) == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [0, 0]]))


def test_the_nearest_photo_is_the_best_of_all_photos_of_an_item():
    photos, labels = photos_of(6, 4)
    shuffled = np.random.default_rng(1).permutation(len(labels))
    catalogue = unit(np.random.default_rng(2).standard_normal((9, 16)).astype(np.float32))
    scores = NearestPhoto(photos[shuffled], labels[shuffled] + 2, catalogue).scores(photos[:5])
    expected = [[max(query @ photo for photo in photos[labels == item]) for item in range(6)] for query in photos[:5]]
    assert scores[:, 2:8] == pytest.approx(np.array(expected), abs=1e-6)
    assert scores[:, [0, 1, 8]] == pytest.approx(photos[:5] @ catalogue[[0, 1, 8]].T - 2, abs=1e-6)
    assert scores[:, [0, 1, 8]].max() < scores[:, 2:8].min()
    assert scores.dtype == np.float32


def test_every_training_photo_votes_for_its_item_the_more_the_nearer():
    """In the order of the sums of exp((cosine - 1) / .03), items that nothing votes for below, by their catalogue."""
    photos, labels = photos_of(6, 4)
    shuffled = np.random.default_rng(1).permutation(len(labels))[:20]
    photos, labels = photos[shuffled], labels[shuffled] + 2
    queries = unit(np.random.default_rng(3).standard_normal((7, 16)).astype(np.float32))
    queries[0] = -photos[0]  # the furthest photo that there can be
    catalogue = unit(np.random.default_rng(2).standard_normal((9, 16)).astype(np.float32))
    catalogue[8] = queries[1]  # and the nearest catalogue picture
    scores = PictureVote(photos, labels, catalogue).scores(queries)
    for query, scores_of_query in zip(queries.astype(np.float64), scores, strict=True):
        votes = np.zeros(9)
        for photo, label in zip(photos, labels, strict=True):
            votes[label] += np.exp((query @ photo - 1) / 0.03)
        assert scores_of_query[2:8] == pytest.approx(1 + 0.03 * np.log(votes[2:8]), abs=1e-5)
        rest = [0, 1, 8]
        assert scores_of_query[rest] == pytest.approx(catalogue[rest] @ query - 2, abs=1e-5)
        assert scores_of_query[rest].max() < scores_of_query[2:8].min()
    assert scores.dtype == np.float32


def test_two_photos_a_little_further_outvote_the_nearest_one():
    photos = unit(np.array([[1, 0.05], [1, 0.1], [1, -0.1]], np.float32))
    args = photos, np.array([0, 1, 1]), np.zeros((2, 2), np.float32)
    query = np.array([[1, 0]], np.float32)
    assert NearestPhoto(*args).scores(query).argmax() == 0
    assert PictureVote(*args).scores(query).argmax() == 1


def test_the_nearest_picture_is_of_training_or_of_the_catalogue(monkeypatch):
    monkeypatch.setattr("model.measures.picture_baselines._BLOCK_PICTURES", 3)
    generator = np.random.default_rng(4)
    photos, photo_labels = unit(generator.standard_normal((10, 8)).astype(np.float32)), generator.integers(0, 5, 10)
    pictures, picture_labels = generator.standard_normal((11, 8)).astype(np.float16), generator.integers(2, 6, 11)
    queries = unit(generator.standard_normal((4, 8)).astype(np.float32))
    scores = NearestPicture((photos, photo_labels), (pictures, picture_labels), 7).scores(queries)
    expected = np.full((4, 7), -2.0)
    for row, query in enumerate(queries):
        for photo, label in zip(photos, photo_labels, strict=True):
            expected[row, label] = max(expected[row, label], query @ photo)
        for picture, label in zip(pictures.astype(np.float64), picture_labels, strict=True):
            expected[row, label] = max(expected[row, label], query @ picture / np.linalg.norm(picture))
    assert scores == pytest.approx(expected, abs=1e-6)
    assert (scores[:, 6] == -2).all()
    assert scores.dtype == np.float32


def test_the_probe_knows_its_items_and_no_others():
    photos, labels = photos_of(5, 12)
    known = np.arange(len(labels)) % 3 > 0
    probe = LogisticProbe(photos[known], labels[known] + 1, 7)
    scores = probe.scores(photos[~known])
    assert (scores.argmax(axis=1) == labels[~known] + 1).all()
    assert np.exp(scores).sum(axis=1) == pytest.approx(np.ones(len(scores)), rel=1e-5)
    assert (scores[:, [0, 6]] == -np.inf).all()
    assert (
        probe.scores(photos[~known]) == LogisticProbe(photos[known], labels[known] + 1, 7).scores(photos[~known])
    ).all()


def test_two_items_are_enough_for_a_probe_one_is_not():
    photos, labels = photos_of(2, 6)
    assert why_no_probe(photos, labels) is None
    assert (LogisticProbe(photos, labels, 2).scores(photos).argmax(axis=1) == labels).all()
    assert why_no_probe(photos[:6], labels[:6]) == "expected training photos of at least 2 items, got 1"


def test_too_much_work_for_a_probe_is_told():
    photos = np.broadcast_to(np.float32(0), (10_000, 2_000))
    told = why_no_probe(photos, np.arange(10_000))
    assert told == f"expected items x photos x dimension of at most {MAX_PROBE_WORK:,}, got 10,000 x 10,000 x 2,000"


def test_items_of_one_photo_each_print_nothing(recwarn):
    photos = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    LogisticProbe(photos, np.arange(30), 30)
    assert not [str(warning.message) for warning in recwarn if "unique classes" in str(warning.message)]
