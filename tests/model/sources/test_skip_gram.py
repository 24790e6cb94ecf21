"""Skip-gram against the loss as the paper writes it, pair by pair; what it learns; equal bytes."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.sources.corpus import corpus_of, walks_corpus
from model.sources.embedding_rows import Noise, RowAdagrad, one_torch_thread
from model.sources.skip_gram import Blocks, SkipGramConfig, gradients, kept_share, train_skip_gram
from schemas.errors import ThresholdError, UsageError
from schemas.records.clickstream import SEQUENCES

GENERATOR = np.random.default_rng(0)


def table_of(sequences, weights=None) -> pa.Table:
    rows = [
        {
            "sequence_id": f"s{number:03d}",
            "item_ids": items,
            "times": list(range(len(items))),
            "weights": weights[number] if weights else [1] * len(items),
        }
        for number, items in enumerate(sequences)
    ]
    return pa.Table.from_pylist(rows, schema=SEQUENCES)


def naive_loss(vectors, contexts, tokens, sequence, weight, window, noise, negatives) -> torch.Tensor:
    loss = torch.zeros((), dtype=torch.float64)
    log_sigmoid = torch.nn.functional.logsigmoid
    for i in range(len(tokens)):
        for j in range(len(tokens)):
            if i != j and abs(i - j) <= window and sequence[i] == sequence[j] and tokens[i] != tokens[j]:
                u = vectors[tokens[i]]
                noise_term = log_sigmoid(-contexts[noise] @ u).mean()
                pair = log_sigmoid(u @ contexts[tokens[j]]) + negatives * noise_term
                loss = loss - min(weight[i], weight[j]) * pair
    return loss


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=7), st.integers(1, 20), st.integers(0, 99), st.booleans())
def test_gradients_are_those_of_the_loss_pair_by_pair(lengths, window, seed, is_weighted):
    generator = np.random.default_rng(seed)
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    tokens, noise = generator.integers(7, size=len(sequence)), generator.integers(7, size=3)
    weight = generator.integers(1, 3, len(tokens)).astype(np.float32) / 2 if is_weighted else np.ones(len(tokens), "f")
    tables = [torch.tensor(generator.normal(size=(7, 4)), requires_grad=True) for _ in range(2)]
    (naive_loss(*tables, tokens, sequence, weight, window, noise, 2.5) + 0 * tables[0].sum()).backward()
    got = [torch.zeros(7, 4), torch.zeros(7, 4)]
    vectors, contexts = (table.detach().float() for table in tables)
    blocks = Blocks(tokens, sequence, weight, window)
    for first in range(0, len(blocks), 2):
        step = blocks.step(first, first + 2)
        centers = torch.from_numpy(step.tokens[blocks.size : -blocks.size])
        rows = torch.from_numpy(step.tokens)
        found = gradients(vectors[centers], contexts[rows], contexts[noise], step.weight_BbC, 2.5)
        for table, places, gradient in zip((0, 1, 1), (centers, rows, torch.from_numpy(noise)), found, strict=True):
            got[table].index_add_(0, places, gradient)
    for table, gradient in zip(tables, got, strict=True):
        expected = torch.zeros(7, 4) if table.grad is None else table.grad.float()
        assert torch.allclose(gradient, expected, atol=1e-4)


def test_an_update_by_hand():
    adagrad = RowAdagrad(torch.tensor([[1.0, 1.0], [5.0, 5.0], [2.0, 0.0]]))
    adagrad.step_(np.array([0, 2, 0]), torch.tensor([[1.0, 0.0], [3.0, 4.0], [2.0, 4.0]]), 0.5)
    # row 0: g = (3, 4), mean square 12.5; row 2 the same
    moved = 0.5 * np.array([3, 4]) / np.sqrt(12.5)
    assert adagrad.matrix_VD.numpy() == pytest.approx(np.array([1 - moved, [5, 5], [2, 0] - moved]))
    adagrad.step_(np.array([0]), torch.tensor([[6.0, 0.0]]), 0.5)
    assert adagrad.matrix_VD[0].numpy() == pytest.approx(1 - moved - [0.5 * 6 / np.sqrt(12.5 + 18), 0])


def test_noise_is_drawn_by_counts_to_the_power():
    counts = np.array([0, 1, 16, 0, 81])
    noise = Noise(counts, 0.75)
    assert noise.share_V == pytest.approx(np.array([0, 1, 8, 0, 27]) / 36)
    drawn = np.bincount(noise.draw(np.random.default_rng(1), 200_000), minlength=5) / 200_000
    assert drawn == pytest.approx(noise.share_V, abs=0.004)
    assert drawn[[0, 3]].tolist() == [0, 0]
    assert Noise(counts, -1).share_V == pytest.approx(np.array([0, 1, 1 / 16, 0, 1 / 81]) / (1 + 1 / 16 + 1 / 81))
    for bad in ([0, 0], [np.nan, 1], [-1, 2]):
        with pytest.raises(UsageError, match="finite counts"):
            Noise(np.array(bad), 0.75)


def test_frequent_tokens_are_left_out_as_word2vec_does():
    shares = kept_share(np.array([10, 90, 9900]), 1e-3)
    assert shares == pytest.approx([1, np.sqrt(1 / 9) + 1 / 9, np.sqrt(1 / 990) + 1 / 990])
    assert kept_share(np.array([10, 90]), 0).tolist() == [1, 1]


def two_worlds(num_sequences: int = 300):
    """Sequences of items of one of two worlds; the last two items of each world are rare."""
    sequences = []
    for number in range(num_sequences):
        world = "ab"[number % 2]
        items = GENERATOR.permutation(8)[:4].tolist() + ([8] if number < 12 else [])
        sequences.append([f"{world}{item}" for item in items])
    return sequences


SMALL = SkipGramConfig(dim=8, window=4, num_epochs=15, tokens_a_step=64, noise_a_step=16, subsample=0)


def cosines(matrix_ND: np.ndarray) -> np.ndarray:
    unit_ND = matrix_ND / np.linalg.norm(matrix_ND, axis=1, keepdims=True)
    return unit_ND @ unit_ND.T


def test_items_of_one_world_are_near_each_other():
    vectors = train_skip_gram(corpus_of(table_of(two_worlds()), min_count=2), SMALL)
    assert vectors.item_ids == [f"{world}{item}" for world in "ab" for item in range(9)]
    near = cosines(vectors.matrix_ND)
    np.fill_diagonal(near, np.nan)
    own = np.nanmin(near[:8, :8]), np.nanmin(near[9:17, 9:17])
    assert min(own) > near[:9, 9:].max()
    assert vectors.counts_N[0] > vectors.counts_N[8] > 0


def test_an_item_is_near_what_shares_its_attribute():
    """Ten items that are all seen with the same two others; five are of one brand, five of another."""
    sequences = [["x", f"{brand}{GENERATOR.integers(5)}", "y"] for brand in "ab" for _ in range(150)]
    attributes = {f"{brand}{number}": [f"brand={brand}"] for brand in "ab" for number in range(5)}
    corpus = corpus_of(table_of(sequences), min_count=1, attributes=attributes)
    assert corpus.names[-2:] == ["brand=a", "brand=b"]
    with_brand = cosines(train_skip_gram(corpus, SMALL).matrix_ND)[:10, :10]
    without = cosines(train_skip_gram(corpus_of(table_of(sequences), min_count=1), SMALL).matrix_ND)[:10, :10]

    def lead(near):
        return near[:5, :5].mean() - near[:5, 5:].mean()

    assert lead(with_brand) > 0.3
    assert lead(with_brand) > 2 * lead(without)


def test_tokens_of_an_item_follow_it_and_baskets_are_shuffled():
    table = table_of([["p", "q", "r"], ["p", "q"]])
    times = pa.array([[5, 5, 5], [7, 7]], SEQUENCES.field("times").type)
    at_once = table.set_column(2, SEQUENCES.field("times"), times)
    attributes = {"p": ["c=1", "c=2"], "q": ["c=1"], "r": ["c=9"]}
    corpus = corpus_of(at_once, min_count=1, attributes=attributes)
    assert corpus.names == ["p", "q", "r", "c=1"]  # c=2 and c=9 say no more than their only item
    assert corpus.token_counts().tolist() == [2, 2, 1, 4]
    orders = set()
    for seed in range(30):
        tokens, sequence, _ = corpus.epoch(np.random.default_rng(seed))
        assert (np.diff(sequence) >= 0).all()
        words = "".join(corpus.names[token][0] for token in tokens)
        assert words.replace("pc", "").replace("qc", "") == "r"
        orders.add(words)
    assert len(orders) > 6
    ordered = corpus_of(table, min_count=1).epoch(np.random.default_rng(0))[0]
    assert ordered.tolist() in ([0, 1, 2, 0, 1], [0, 1, 0, 1, 2])


def test_rare_items_have_no_token_and_are_counted():
    corpus = corpus_of(table_of([["a", "b", "c"], ["a", "b"], ["a", "d"]]), min_count=2)
    assert corpus.names == ["a", "b"]
    assert corpus.items_T.tolist() == [0, 1, 0, 1]
    assert corpus.facts["tokens_of_rare_items"] == 3


def test_weights_are_shares_of_the_largest():
    corpus = corpus_of(table_of([["a", "b"], ["a", "b"]], [[1, 4], [2, 4]]), min_count=1)
    assert corpus.weight_T.tolist() == [0.25, 1, 0.5, 1]


def test_equal_bytes_twice_on_any_number_of_threads_and_in_any_order_of_rows():
    table = table_of(two_worlds(60))
    first = train_skip_gram(corpus_of(table, min_count=2), SMALL)
    shuffled = table.take(pa.array(GENERATOR.permutation(table.num_rows)))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    again = train_skip_gram(corpus_of(shuffled, min_count=2), SMALL)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert again.vectors_VD.tobytes() == first.vectors_VD.tobytes()
    assert again.contexts_VD.tobytes() == first.contexts_VD.tobytes()


def test_one_thread_is_given_back_after_an_error():
    before = torch.get_num_threads()
    inside = []

    def fail():
        with one_torch_thread():
            inside.append(torch.get_num_threads())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert inside == [1]
    assert torch.get_num_threads() == before


def test_walks_are_a_corpus():
    walks = np.array([[0, 1, 3], [3, -1, -1], [1, 0, -1]])
    corpus = walks_corpus(walks, ["a", "b", "c", "d"], {"a": ["x"], "d": ["x"]})
    assert corpus.names == ["a", "b", "d", "x"]
    assert corpus.items_T.tolist() == [0, 1, 2, 2, 1, 0]
    assert corpus.counts_N.tolist() == [2, 2, 2]
    assert train_skip_gram(corpus, SMALL).matrix_ND.shape == (3, 8)


def test_too_little_to_learn_from_and_bad_configs_are_told():
    with pytest.raises(ThresholdError, match="got 0"):
        corpus_of(table_of([]))
    with pytest.raises(ThresholdError, match="got 0"):
        corpus_of(table_of([["a", "a", "a"]]), min_count=4)
    with pytest.raises(ThresholdError, match="got 1"):
        walks_corpus(np.array([[1, -1]]), ["a", "b"], {})
    with pytest.raises(UsageError, match="min_count >= 1"):
        corpus_of(table_of([["a", "b"]]), min_count=0)
    with pytest.raises(UsageError, match="dim=0"):
        SkipGramConfig(dim=0)
    with pytest.raises(UsageError, match="nan"):
        SkipGramConfig(learning_rate=float("nan"))
    corpus = corpus_of(table_of([["a", "b"]] * 9), min_count=1)
    with pytest.raises(ThresholdError, match="learning rate"):
        train_skip_gram(corpus, SkipGramConfig(dim=2, learning_rate=3e38, num_epochs=3, tokens_a_step=16))
