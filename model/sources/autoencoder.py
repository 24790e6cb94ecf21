"""Denoising auto-encoder of side information: an item's attributes to a vector, and back to all of its attributes,
those that were hidden from it too (Vincent et al. 2008; One Embedding To Do Them All, arXiv 1906.12120, level 1).

    x      sparse ones: model.sources.side_information        x_corrupt   each one hidden with probability `noise`
    Enc    z = W_a x + W_c gelu(W_b x + b) + c
    Dec    x' = U_a z + U_c gelu(U_b z + b') + c'
    J      = 1 / (2 |P|) sum over the items P of |x - Dec(Enc(x_corrupt))|^2

Start: W_a and U_a are the best linear map down and up again (a truncated singular value decomposition of the training
rows), W_c and U_c are 0. So training begins at the linear auto-encoder, which is the baseline, and its first validation
is that baseline's; the weights of the best validation are kept, the start's among them.

The encoder's rows are read by the ones of an item (an embedding bag), so nothing of N x V is ever dense; a decoded
batch is, of batch_size x V.

Deviations: the papers say nothing of the network's depth or of a start. An item's vector is z minus the mean of the
training items' z, of norm 1: what all items share tells nothing of any of them.

Legend: N items, P training items, V attribute columns, H hidden, D dimension, B batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor, nn

from model.machine.ordered_map import single_threaded_pool
from model.sources.side_information import AttributeVocabulary
from model.sources.store import Folder, check_shapes, read_source_model, save_source_model
from model.sources.unit_rows import unit_or_zero
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.hashing import seed_of
from schemas.quarantine import quote

KIND = "autoencoder"
#: Items that are encoded at once: a fixed shape.
ENCODE_BATCH = 256
MIN_ITEMS = 10
_BUCKETS = 1_000


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """noise: probability that a one is hidden. validation_share: of the items, by the hash of their ids; they choose
    the epoch. epochs: at most so many, and no more than begin before max_rows training rows were seen, which bounds the
    time of a large catalogue. patience: epochs without a better validation before training ends. start: see the
    module."""

    output_dim: int = 128
    hidden_dim: int = 512
    noise: float = 0.3
    epochs: int = 100
    max_rows: int = 400_000
    patience: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3
    validation_share: float = 0.1
    start: str = "linear"
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = (self.output_dim, self.hidden_dim, self.batch_size, self.patience, self.max_rows)
        if min(sizes) < 1 or self.epochs < 0:
            raise UsageError(f"expected dimensions, batch_size, patience, max_rows >= 1 and epochs >= 0, got {self}")
        if not (0 <= self.noise < 1 and 0 < self.validation_share < 1 and self.learning_rate > 0):
            raise UsageError(f"expected noise in [0, 1), validation_share in (0, 1), a learning rate > 0, got {self}")
        if self.start not in ("linear", "random"):
            raise UsageError(f"expected start linear or random, got {self.start!r}")


class Autoencoder(nn.Module):
    """Enc and Dec of the module's docstring. mean_D: what is taken off a vector before it is scaled to norm 1."""

    mean_D: Tensor

    def __init__(self, config: AutoencoderConfig, num_columns: int):
        super().__init__()
        hidden_dim, output_dim = config.hidden_dim, config.output_dim
        self.straight_VD = nn.Parameter(torch.zeros(num_columns, output_dim))
        self.hidden_VH = nn.Parameter(torch.zeros(num_columns, hidden_dim))
        self.hidden_bias_H = nn.Parameter(torch.zeros(hidden_dim))
        self.encoded = nn.Linear(hidden_dim, output_dim)
        self.decoded_straight = nn.Linear(output_dim, num_columns)
        self.decoded_hidden = nn.Linear(output_dim, hidden_dim)
        self.decoded = nn.Linear(hidden_dim, num_columns, bias=False)
        self.register_buffer("mean_D", torch.zeros(output_dim))

    def encode(self, columns: Tensor, offsets_B: Tensor) -> Tensor:
        """float32 [B, D] of the columns (int64) that rows have, one row after the other from its offset on."""
        bags = (F.embedding_bag(columns, table, offsets_B, mode="sum") for table in (self.straight_VD, self.hidden_VH))
        straight_BD, hidden_BH = bags
        return straight_BD + self.encoded(F.gelu(hidden_BH + self.hidden_bias_H))

    def decode(self, vectors_BD: Tensor) -> Tensor:
        """float32 [B, V]: how much each column is there."""
        return self.decoded_straight(vectors_BD) + self.decoded(F.gelu(self.decoded_hidden(vectors_BD)))


@dataclass(frozen=True, eq=False)
class TrainedAutoencoder:
    """A model, in evaluation mode, with what it was made of. curve: {"epoch", "training", "validation"} losses J, epoch
    0 the start; best_epoch: the one whose weights these are."""

    model: Autoencoder
    config: AutoencoderConfig
    vocabulary: AttributeVocabulary
    curve: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0


def reconstruction_loss(rows_BV: Tensor, reconstructed_BV: Tensor) -> Tensor:
    """J of a batch: half the squared distance of a row and its reconstruction, on average.

    >>> reconstruction_loss(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.zeros(2, 2)).item()
    0.5
    """
    return (rows_BV - reconstructed_BV).square().sum(dim=1).mean() / 2


def train_autoencoder(
    item_ids: Sequence[str],
    rows_NV: sparse.csr_matrix,
    vocabulary: AttributeVocabulary,
    config: AutoencoderConfig,
    advance: Callable[[int], None] = lambda num_rows: None,
) -> TrainedAutoencoder:
    """Trains on the items that have any attribute, in one thread: equal input, equal bytes, whatever the cores.
    advance: told of the training rows that were seen since.

    Raises UsageError for rows of another shape than ids and vocabulary say, ThresholdError for fewer than MIN_ITEMS
    items with attributes or none to validate on.
    """
    if rows_NV.shape != (len(item_ids), len(vocabulary)):
        raise UsageError(f"expected rows of [{len(item_ids)}, {len(vocabulary)}], got {list(rows_NV.shape)}")
    with single_threaded_pool(1) as pool:
        return pool.submit(_train, item_ids, rows_NV, vocabulary, config, advance).result()


def _train(
    item_ids: Sequence[str],
    rows_NV: sparse.csr_matrix,
    vocabulary: AttributeVocabulary,
    config: AutoencoderConfig,
    advance: Callable[[int], None],
) -> TrainedAutoencoder:
    training_PV, validation = _parts(item_ids, rows_NV, config)
    model = started(training_PV, config)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    curve = [
        {"epoch": 0.0, "training": _loss(model, training_PV, training_PV), "validation": _loss(model, *validation)}
    ]
    best, best_state = 0, _copy(model)
    for epoch in range(1, min(config.epochs, -(-config.max_rows // training_PV.shape[0])) + 1):
        loss = _train_epoch(model, optimizer, training_PV, config, epoch, advance)
        curve.append({"epoch": float(epoch), "training": loss, "validation": _loss(model, *validation)})
        if curve[epoch]["validation"] < curve[best]["validation"]:
            best, best_state = epoch, _copy(model)
        elif epoch - best >= config.patience:
            break
    model.load_state_dict(best_state)
    mean_D = _encoded(model, training_PV).astype(np.float64).mean(axis=0)
    model.mean_D.copy_(torch.from_numpy(mean_D.astype(np.float32)))
    return TrainedAutoencoder(model.eval(), config, vocabulary, curve, best)


def _parts(
    item_ids: Sequence[str], rows_NV: sparse.csr_matrix, config: AutoencoderConfig
) -> tuple[sparse.csr_matrix, tuple[sparse.csr_matrix, sparse.csr_matrix]]:
    """Training rows, and validation rows corrupted and whole; items without attributes are in no part."""
    has_any_N = np.diff(rows_NV.indptr) > 0
    share_N = np.array([seed_of("autoencoder part", config.seed, name) % _BUCKETS for name in item_ids]) / _BUCKETS
    training = np.flatnonzero(has_any_N & (share_N >= config.validation_share))
    validation = np.flatnonzero(has_any_N & (share_N < config.validation_share))
    if len(training) + len(validation) < MIN_ITEMS or not len(training) or not len(validation):
        raise ThresholdError(
            f"expected at least {MIN_ITEMS} items with attributes, some of them to validate on, got {len(training)} to "
            f"train and {len(validation)} to validate on: map more attribute columns, or leave this source out"
        )
    whole = rows_NV[validation]
    return rows_NV[training], (corrupted(whole, config.noise, seed_of("validation noise", config.seed)), whole)


def corrupted(rows_BV: sparse.csr_matrix, noise: float, seed: int) -> sparse.csr_matrix:
    """The rows with each of their ones hidden with probability `noise`."""
    kept = np.random.default_rng(seed).random(rows_BV.nnz) >= noise
    offsets = np.concatenate([[0], np.cumsum(kept)])[rows_BV.indptr]
    return sparse.csr_matrix((rows_BV.data[kept], rows_BV.indices[kept], offsets), shape=rows_BV.shape)


def started(training_PV: sparse.csr_matrix, config: AutoencoderConfig) -> Autoencoder:
    """The model before its training. start "random": W_a and U_a are random too."""
    num_columns = training_PV.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("autoencoder", config.seed))
        model = Autoencoder(config, num_columns)
        scale = num_columns**-0.5
        nn.init.normal_(model.hidden_VH, std=scale)
        nn.init.normal_(model.straight_VD, std=scale)
    if config.start == "linear":
        with torch.no_grad():
            components_VD = torch.from_numpy(_linear_map(training_PV, config))
            model.straight_VD.copy_(components_VD)
            model.decoded_straight.weight.copy_(components_VD)
            for zeros in (model.encoded.weight, model.encoded.bias, model.decoded.weight, model.decoded_straight.bias):
                zeros.zero_()
    return model


def _linear_map(training_PV: sparse.csr_matrix, config: AutoencoderConfig) -> np.ndarray:
    """float32 [V, D]: the first right singular vectors, zeros where there are fewer."""
    from sklearn.decomposition import TruncatedSVD  # a second that who only encodes need not wait

    dims = min(config.output_dim, min(training_PV.shape) - 1)
    components_VD = np.zeros((training_PV.shape[1], config.output_dim), np.float32)
    if dims > 0:
        decomposition = TruncatedSVD(dims, n_iter=10, random_state=seed_of("linear map", config.seed) % 2**32)
        components_VD[:, :dims] = decomposition.fit(training_PV.astype(np.float64)).components_.T
    return components_VD


def _train_epoch(
    model: Autoencoder,
    optimizer: torch.optim.Optimizer,
    training_PV: sparse.csr_matrix,
    config: AutoencoderConfig,
    epoch: int,
    advance: Callable[[int], None],
) -> float:
    """One pass in a new order with new noise; the mean loss, weighted by rows."""
    order_P = np.random.default_rng(seed_of("order", config.seed, epoch)).permutation(training_PV.shape[0])
    noisy_PV = corrupted(training_PV, config.noise, seed_of("noise", config.seed, epoch))
    total = 0.0
    for start in range(0, len(order_P), config.batch_size):
        batch = order_P[start : start + config.batch_size]
        rows_BV = torch.from_numpy(training_PV[batch].toarray())
        loss = reconstruction_loss(rows_BV, model.decode(model.encode(*_bags(noisy_PV[batch]))))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
        advance(len(batch))
    return total / len(order_P)


def _loss(model: Autoencoder, noisy_NV: sparse.csr_matrix, whole_NV: sparse.csr_matrix) -> float:
    total = 0.0
    with torch.inference_mode():
        for rows in _blocks(whole_NV.shape[0]):
            decoded_BV = model.decode(model.encode(*_bags(noisy_NV[rows])))
            whole_BV = torch.from_numpy(whole_NV[rows].toarray())
            total += reconstruction_loss(whole_BV, decoded_BV).item() * len(whole_BV)
    return total / whole_NV.shape[0]


def encode_rows(trained: TrainedAutoencoder, rows_NV: sparse.csr_matrix) -> np.ndarray:
    """float32 [N, D] of norm 1; zeros for an item without attributes, which has no vector.

    Computed in batches of one shape, the last one padded, in one thread: a row's bytes depend on its item alone. Raises
    UsageError for rows of another vocabulary's width.
    """
    if rows_NV.shape[1] != len(trained.vocabulary):
        raise UsageError(f"expected rows of {len(trained.vocabulary)} columns, got {rows_NV.shape[1]}")
    with single_threaded_pool(1) as pool:
        vectors_ND = pool.submit(_encoded, trained.model, rows_NV).result()
    vectors_ND -= trained.model.mean_D.numpy()
    vectors_ND[np.diff(rows_NV.indptr) == 0] = 0
    return unit_or_zero(vectors_ND)


def _encoded(model: Autoencoder, rows_NV: sparse.csr_matrix) -> np.ndarray:
    """float32 [N, D]: Enc of each row, as it is."""
    vectors_ND = np.zeros((rows_NV.shape[0], model.mean_D.shape[0]), np.float32)
    with torch.inference_mode():
        for rows in _blocks(rows_NV.shape[0]):
            part = rows_NV[rows]
            columns, offsets_B = _bags(part)
            missing = ENCODE_BATCH - part.shape[0]  # empty bags at the end
            offsets_B = torch.cat([offsets_B, torch.full((missing,), len(columns))])
            vectors_ND[rows] = model.encode(columns, offsets_B)[: part.shape[0]].numpy()
    return vectors_ND


def _blocks(num_rows: int) -> Iterator[slice]:
    for start in range(0, num_rows, ENCODE_BATCH):
        yield slice(start, min(start + ENCODE_BATCH, num_rows))


def _bags(rows_BV: sparse.csr_matrix) -> tuple[Tensor, Tensor]:
    """(columns int64, offsets int64 [B]) as Autoencoder.encode takes them."""
    return torch.from_numpy(rows_BV.indices.astype(np.int64)), torch.from_numpy(rows_BV.indptr[:-1].astype(np.int64))


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def save_autoencoder(trained: TrainedAutoencoder, folder: Folder) -> str:
    """Writes the model to a new or empty folder; returns its model id."""
    config = {"config": asdict(trained.config), "vocabulary": trained.vocabulary.to_json()}
    weights = {name: value.numpy() for name, value in trained.model.state_dict().items()}
    return save_source_model(folder, KIND, config, weights, {"curve": trained.curve, "best_epoch": trained.best_epoch})


def load_autoencoder(folder: Folder) -> TrainedAutoencoder:
    """Inverse of save_autoencoder, without the curve. Raises CorruptFileError for what is not as it was saved."""
    described, weights = read_source_model(folder, KIND)
    try:
        config = AutoencoderConfig(**described["config"])
        vocabulary = AttributeVocabulary.from_json(described["vocabulary"])
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(f"expected the config of an {KIND} in {folder}, got {quote(str(error))}") from error
    check_shapes(weights, _shapes(config, len(vocabulary)), folder)
    model = Autoencoder(config, len(vocabulary))
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return TrainedAutoencoder(model.eval(), config, vocabulary)


def _shapes(config: AutoencoderConfig, num_columns: int) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):  # of no memory, whatever the config asks for
        state: dict[str, Any] = dict(Autoencoder(config, num_columns).state_dict())
    return {name: tuple(value.shape) for name, value in state.items()}
