"""In which number format and on which device an encoder computes, and how near to float32 its vectors must stay."""

import warnings

import numpy as np
import torch

from schemas.errors import UsageError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
#: Of the vectors of a faster number format with those of float32.
MIN_PARITY_COSINE = 0.999


def settle_device(device: str) -> str:
    """The device of this machine that "auto", "cpu", "cuda" or "cuda:1" names. Raises UsageError for another."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = device.partition(":")[0]
    if kind not in ("cpu", "cuda") or (kind == "cuda" and not torch.cuda.is_available()):
        raise UsageError(f"expected device auto, cpu or an available cuda, got {device!r}")
    return device


def settle_dtype(dtype: str, device: str) -> str:
    """The number format, of DTYPES, that "auto" or its name means on a device. Raises UsageError for another."""
    if dtype == "auto":
        return "bfloat16" if has_fast_bfloat16(device) else "float32"
    if dtype not in DTYPES:
        raise UsageError(f"expected dtype auto, {' or '.join(DTYPES)}, got {dtype!r}")
    return dtype


def has_fast_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def smallest_cosine(a_BD: np.ndarray, b_BD: np.ndarray) -> float:
    """The smallest cosine between a row and the same row of the other matrix; -1 if one is not finite."""
    norms_B = np.linalg.norm(a_BD, axis=1) * np.linalg.norm(b_BD, axis=1)
    cosines_B = (a_BD * b_BD).sum(axis=1) / np.maximum(norms_B, np.finfo(np.float32).tiny)
    return float(np.nan_to_num(cosines_B, nan=-1.0).min())


def refuse_or_warn(name: str, dtype: str, least_cosine: float, got: str, may_fall_back: bool) -> None:
    """Says that the encoder's vectors in a faster number format are too far from float32: a warning, after which the
    caller computes in float32, or UsageError. got: the cosine, or what went wrong."""
    message = f"expected {dtype} vectors of {name} within cosine {least_cosine} of float32, got {got}"
    if not may_fall_back:
        raise UsageError(f"{message}: use dtype float32 or auto")
    warnings.warn(f"{message}: float32 is used, slower", stacklevel=5)
