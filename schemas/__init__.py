"""Tables, records, manifests and validation: the contracts between stages. Knows neither torch nor Beam."""
