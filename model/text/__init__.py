"""Text to tokens and vectors: tokeniser, vocabulary, frozen sentence encoders, queries made from texts."""
