"""The smallest model that the run folder of tests/model trains, and how it is trained for a moment."""

from model.itemsage_config import ItemSageConfig
from model.training_config import TrainingConfig

SMALL = ItemSageConfig(
    vocabulary_size=500,
    picture_dim=16,
    hash_rows=300,
    hash_dim=24,
    width=32,
    heads=4,
    ffn_dim=48,
    mlp_dim=48,
    output_dim=32,
)
SHORT = TrainingConfig(
    batch_size=48, epochs=0.1, min_steps=14, learning_rate=3e-3, evaluate_every=4, checkpoint_every=5, log_every=1
)
