"""Siamese picture network: pictures of one product near each other, of different ones apart (One Embedding To Do Them
All, arXiv 1906.12120, level 1; triplet loss and semi-hard negatives of FaceNet, model.sources.triplets).

    v  vector of a frozen backbone, of norm 1     z = W (v - m) [+ W_2 gelu(W_1 (v - m) + b_1)],  of norm 1

    batch   `products` handfuls of `pictures` pictures of one product each   (fewer where it has no more)

Start: W and m by one of the starts, W_2 = 0. Training begins at the quality of the raw vectors or of their whitening,
and ends with the weights of the best validation, if they are shown to be better than the start's there (the 95 %
interval of the difference of reciprocal ranks, over products, leaves 0 out), else with the start's:

    identity       W = I, m = 0: the backbone's own cosines
    whitened       m the mean, W a whitening of all training pictures (model.sources.picture_starts)
    within         W a whitening of what varies among pictures of one product
    discriminant   its directions of most variance: linear discriminant analysis
    best           whichever of the four is best on validation products

Validation is retrieval among pictures of products that are not trained on (model.measures.same_product). The papers
say nothing of a start, a validation or how few pictures may do; a pull of the weights towards their start (Li et al.
2018, L2-SP) is ours, for shops of few pictures.

A picture's product may be the item that it is a picture of, or, for a picture query, the item that was clicked.

Legend: P pictures, B of a batch, D dimension of the backbone, E of the network, Q queries.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.machine.blas_threads import one_blas_thread
from model.machine.ordered_map import single_threaded_pool
from model.measures.evaluation import with_interval
from model.measures.same_product import retrieval_ranks
from model.sources.picture_starts import STARTS, start_map
from model.sources.store import Folder, check_shapes, read_source_model, save_source_model
from model.sources.triplets import semi_hard_triplets, squared_distances, triplet_loss
from model.sources.unit_rows import has_vector, unit_or_zero
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.hashing import seed_of
from schemas.quarantine import quote

KIND = "siamese"
BEST = "best"
#: Pictures that are encoded at once: a fixed shape.
ENCODE_BATCH = 256
#: Of the products that validate: more cost time and choose no better.
MAX_VALIDATION_PICTURES = 5_000
_BUCKETS = 1_000


@dataclass(frozen=True, kw_only=True)
class SiameseConfig:
    """margin: of the triplet loss, on squared distances of unit vectors (FaceNet: .2). pull: weight of the squared
    distance of W from its start. shrink: e of a whitening, in mean variances. directions: of "discriminant".
    hidden_dim 0: no second layer. validation_share: of the products with several pictures, by the hash of their names.
    An epoch shows every picture once; patience: epochs without a better validation before training ends."""

    start: str = BEST
    margin: float = 0.2
    hidden_dim: int = 0
    products: int = 32
    pictures: int = 4
    epochs: int = 60
    patience: int = 10
    learning_rate: float = 3e-4
    pull: float = 0.0
    shrink: float = 0.3
    directions: int = 128
    validation_share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.start not in (*STARTS, BEST):
            raise UsageError(f"expected a start of {', '.join((*STARTS, BEST))}, got {self.start!r}")
        if min(self.products, self.pictures) < 2 or min(self.patience, self.directions) < 1:
            raise UsageError(f"expected products and pictures >= 2, patience and directions >= 1, got {self}")
        if min(self.epochs, self.hidden_dim) < 0:
            raise UsageError(f"expected epochs and hidden_dim >= 0, got {self.epochs} and {self.hidden_dim}")
        if not (min(self.margin, self.learning_rate, self.shrink) > 0 <= self.pull and 0 < self.validation_share < 1):
            raise UsageError(
                f"expected margin, learning_rate and shrink > 0, pull >= 0, validation_share in (0, 1), got {self}"
            )


class PictureNetwork(nn.Module):
    """z of the module's docstring, not scaled to norm 1."""

    mean_D: Tensor

    def __init__(self, dim: int, output_dim: int, hidden_dim: int):
        super().__init__()
        self.register_buffer("mean_D", torch.zeros(dim))
        self.map = nn.Linear(dim, output_dim, bias=False)
        if hidden_dim:
            self.hidden = nn.Linear(dim, hidden_dim)
            self.second = nn.Linear(hidden_dim, output_dim, bias=False)
            nn.init.zeros_(self.second.weight)
        self.hidden_dim = hidden_dim

    def forward(self, vectors_BD: Tensor) -> Tensor:
        centred_BD = vectors_BD - self.mean_D
        mapped_BE = self.map(centred_BD)
        return mapped_BE + self.second(F.gelu(self.hidden(centred_BD))) if self.hidden_dim else mapped_BE


@dataclass(frozen=True, eq=False)
class TrainedSiamese:
    """A network in evaluation mode. start: the one that was taken. curve: {"epoch", "loss", "mrr", "recall@1"} on
    validation products, epoch 0 the start; best_epoch: the one whose weights these are."""

    network: PictureNetwork
    config: SiameseConfig
    start: str
    curve: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0

    @property
    def dim(self) -> int:
        """D."""
        return self.network.mean_D.shape[0]

    @property
    def output_dim(self) -> int:
        """E."""
        return self.network.map.out_features


def train_siamese(vectors_PD: np.ndarray, products_P: Sequence[str], config: SiameseConfig) -> TrainedSiamese:
    """Trains on pictures, each of the product named; in one thread: equal input, equal bytes, whatever the cores.

    vectors_PD: of the backbone, of any norm; rows of zeros are left out. Raises UsageError for other shapes or numbers
    that are not finite, ThresholdError unless two products with several pictures each are there to train on and two to
    validate on.
    """
    if len(products_P) != len(vectors_PD):
        raise UsageError(f"expected a product of each of {len(vectors_PD)} pictures, got {len(products_P)}")
    unit_PD = unit_or_zero(vectors_PD)
    with single_threaded_pool(1) as pool, one_blas_thread():
        return pool.submit(_train, unit_PD, list(products_P), config).result()


def _train(unit_PD: np.ndarray, products_P: list[str], config: SiameseConfig) -> TrainedSiamese:
    training, validation = split_products(unit_PD, products_P, config)
    label_P = np.unique(products_P, return_inverse=True)[1].reshape(-1)
    checked = _Validation(torch.from_numpy(unit_PD[validation]), label_P[validation])
    name, network = _started(unit_PD[training], label_P[training], checked, config)
    start_state, start_Q = _copy(network), checked.reciprocal_ranks(network)
    best, best_state, best_Q = 0, start_state, start_Q
    curve = [{"epoch": 0.0, **_figures(start_Q)}]
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    for epoch in range(1, config.epochs + 1):
        loss = _train_epoch(network, optimizer, unit_PD[training], label_P[training], start_state, config, epoch)
        found_Q = checked.reciprocal_ranks(network)
        curve.append({"epoch": float(epoch), "loss": loss, **_figures(found_Q)})
        if curve[epoch]["mrr"] > curve[best]["mrr"]:
            best, best_state, best_Q = epoch, _copy(network), found_Q
        elif epoch - best >= config.patience:
            break
    if best and not checked.shows(best_Q, start_Q):
        best, best_state = 0, start_state
    network.load_state_dict(best_state)
    return TrainedSiamese(network.eval(), config, name, curve, best)


class _Validation:
    """Pictures of products that are not trained on."""

    def __init__(self, unit_PD: Tensor, label_P: np.ndarray):
        self.unit_PD, self.label_P = unit_PD, label_P

    def reciprocal_ranks(self, network: PictureNetwork) -> np.ndarray:
        """float64 [Q]: see retrieval_ranks."""
        with torch.inference_mode():
            _, ranks_Q = retrieval_ranks(F.normalize(network(self.unit_PD), dim=1).numpy(), self.label_P)
        return 1 / ranks_Q

    def shows(self, found_Q: np.ndarray, start_Q: np.ndarray) -> bool:
        """Whether the difference's interval, over products, is above 0. All pictures are queries: each product has
        several."""
        cluster_Q = np.unique(self.label_P, return_inverse=True)[1].reshape(-1)
        return with_interval("more", found_Q - start_Q, cluster_Q)["more_low"] > 0


def _figures(reciprocal_Q: np.ndarray) -> dict[str, float]:
    return {"mrr": float(reciprocal_Q.mean()), "recall@1": float((reciprocal_Q == 1).mean())}


def split_products(
    unit_PD: np.ndarray, products_P: Sequence[str], config: SiameseConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of pictures to train on and to validate on, of different products; a product of one picture trains only
    (others are apart from it), a row of zeros is in no part."""
    rows = np.flatnonzero(has_vector(unit_PD))
    names, label_R, counts = np.unique(
        [products_P[row] for row in rows.tolist()], return_inverse=True, return_counts=True
    )
    share = np.array([seed_of("siamese part", config.seed, name) % _BUCKETS for name in names]) / _BUCKETS
    validates = (counts > 1) & (share < config.validation_share)
    order = np.argsort(np.where(validates, share, 1), kind="stable")
    validates[order[np.cumsum(counts[order]) > MAX_VALIDATION_PICTURES]] = False
    num_training, num_validation = int(((counts > 1) & ~validates).sum()), int(validates.sum())
    if num_training < 2 or num_validation < 2:
        raise ThresholdError(
            f"expected products of several pictures, 2 to train on and 2 to validate on, got {num_training} and "
            f"{num_validation}: leave this source out, or give products more pictures"
        )
    return rows[~validates[label_R]], rows[validates[label_R]]


def _started(
    unit_PD: np.ndarray, label_P: np.ndarray, checked: _Validation, config: SiameseConfig
) -> tuple[str, PictureNetwork]:
    """(name, network) of the start, of equal ones the first."""
    names = STARTS if config.start == BEST else (config.start,)
    networks = {name: started(unit_PD, label_P, name, config) for name in names}
    scores = {name: checked.reciprocal_ranks(network).mean() for name, network in networks.items()}
    best = max(names, key=lambda name: scores[name])
    return best, networks[best]


def started(unit_PD: np.ndarray, label_P: np.ndarray, start: str, config: SiameseConfig) -> PictureNetwork:
    """The network of a start, fitted on unit rows with the number of each one's product."""
    mean_D, map_ED = start_map(unit_PD, label_P, start, config.shrink, config.directions)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("siamese", config.seed))
        network = PictureNetwork(unit_PD.shape[1], len(map_ED), config.hidden_dim)
    with torch.no_grad():
        network.mean_D.copy_(torch.from_numpy(mean_D.astype(np.float32)))
        network.map.weight.copy_(torch.from_numpy(map_ED.astype(np.float32)))
    return network


def _train_epoch(
    network: PictureNetwork,
    optimizer: torch.optim.Optimizer,
    unit_PD: np.ndarray,
    label_P: np.ndarray,
    start_state: dict[str, Tensor],
    config: SiameseConfig,
    epoch: int,
) -> float:
    losses = []
    for rows in batches(label_P, config, epoch):
        labels_B = torch.from_numpy(label_P[rows])
        distances_BB = squared_distances(F.normalize(network(torch.from_numpy(unit_PD[rows])), dim=1))
        triplets_T3 = semi_hard_triplets(distances_BB.detach(), labels_B, config.margin)
        counts = np.unique(label_P[rows], return_counts=True)[1]
        loss = triplet_loss(distances_BB, triplets_T3, config.margin, int((counts * (counts - 1)).sum()))
        if config.pull:
            loss = loss + config.pull * (network.map.weight - start_state["map.weight"]).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def batches(label_P: np.ndarray, config: SiameseConfig, epoch: int) -> Iterator[np.ndarray]:
    """Rows of each batch of an epoch, which shows every picture once: each product's, in a new order, are cut into
    handfuls of at most config.pictures, and config.products of these are a batch. The last batch is the rest; a single
    handful goes with the batch before."""
    generator = np.random.default_rng(seed_of("siamese batches", config.seed, epoch))
    by_product = np.split(np.argsort(label_P, kind="stable"), np.cumsum(np.bincount(label_P))[:-1])
    handfuls = []
    for rows in by_product:
        shuffled = generator.permutation(rows)
        handfuls += [shuffled[start : start + config.pictures] for start in range(0, len(rows), config.pictures)]
    order = generator.permutation(len(handfuls))
    starts = list(range(0, len(order), config.products))
    if len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        yield np.concatenate([handfuls[number] for number in order[start:end]])


def encode_pictures(trained: TrainedSiamese, vectors_PD: np.ndarray) -> np.ndarray:
    """float32 [P, E] of norm 1, zeros for a row of zeros. Computed in batches of one shape, the last one padded, in one
    thread: a row's bytes depend on its picture alone. Raises UsageError for another dimension or numbers that are not
    finite."""
    if vectors_PD.ndim != 2 or vectors_PD.shape[1] != trained.dim:
        raise UsageError(
            f"expected vectors of {trained.dim} dimensions, got an array of shape {list(vectors_PD.shape)}"
        )
    unit_PD = unit_or_zero(vectors_PD)
    with single_threaded_pool(1) as pool:
        encoded_PE = pool.submit(_encoded, trained.network, unit_PD).result()
    encoded_PE[~has_vector(unit_PD)] = 0
    return unit_or_zero(encoded_PE)


def encode_items(trained: TrainedSiamese, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """float32 [N, E] of norm 1: the mean of each item's encoded pictures [n, D]; zeros for an item without any."""
    encoded_PE = encode_pictures(trained, np.concatenate([np.zeros((0, trained.dim), np.float32), *pictures]))
    ends_N = np.cumsum([len(vectors_PD) for vectors_PD in pictures])
    sums_NE = np.zeros((len(pictures), trained.output_dim))
    for row, (end, vectors_PD) in enumerate(zip(ends_N.tolist(), pictures, strict=True)):
        sums_NE[row] = encoded_PE[end - len(vectors_PD) : end].sum(axis=0, dtype=np.float64)
    return unit_or_zero(sums_NE)


def _encoded(network: PictureNetwork, unit_PD: np.ndarray) -> np.ndarray:
    encoded_PE = np.zeros((len(unit_PD), network.map.out_features), np.float32)
    with torch.inference_mode():
        for start in range(0, len(unit_PD), ENCODE_BATCH):
            part_BD = unit_PD[start : start + ENCODE_BATCH]
            padded_BD = torch.zeros(ENCODE_BATCH, unit_PD.shape[1])
            padded_BD[: len(part_BD)] = torch.from_numpy(part_BD)
            encoded_PE[start : start + len(part_BD)] = network(padded_BD)[: len(part_BD)].numpy()
    return encoded_PE


def save_siamese(trained: TrainedSiamese, folder: Folder) -> str:
    """Writes the model to a new or empty folder; returns its model id."""
    config = {
        "config": asdict(trained.config),
        "dim": trained.dim,
        "output_dim": trained.output_dim,
        "start": trained.start,
    }
    weights = {name: value.numpy() for name, value in trained.network.state_dict().items()}
    return save_source_model(folder, KIND, config, weights, {"curve": trained.curve, "best_epoch": trained.best_epoch})


def load_siamese(folder: Folder) -> TrainedSiamese:
    """Inverse of save_siamese, without the curve. Raises CorruptFileError for what is not as it was saved."""
    described, weights = read_source_model(folder, KIND)
    try:
        config, start = SiameseConfig(**described["config"]), str(described["start"])
        sizes = int(described["dim"]), int(described["output_dim"]), config.hidden_dim
        with torch.device("meta"):  # of no memory, whatever the config asks for
            state = PictureNetwork(*sizes).state_dict()
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CorruptFileError(f"expected the config of a {KIND} in {folder}, got {quote(str(error))}") from error
    check_shapes(weights, {name: tuple(value.shape) for name, value in state.items()}, folder)
    network = PictureNetwork(*sizes)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return TrainedSiamese(network.eval(), config, start)


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}
