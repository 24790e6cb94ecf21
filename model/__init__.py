"""ItemSage and what surrounds it: tokeniser, encoders, losses, training, index. Knows no Beam."""
