"""Counter-based random numbers: every draw is a pure function of what it is for.

SplitMix64's finaliser (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", with the
constants of Stafford's variant 13) folds seed, puzzle, step, stream and cell into 64 bits. There is no
state, so batch size, row order and device do not change a draw, and integer arithmetic gives equal bits on
CPU and CUDA.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import torch

GOLDEN = 0x9E3779B97F4A7C15
FIRST = 0xBF58476D1CE4E5B9
SECOND = 0x94D049BB133111EB


def signed(word: int) -> int:
    """A 64-bit word as the int64 of the same bits; integers of any size are taken modulo 2**64."""
    word &= (1 << 64) - 1
    return word - (1 << 64) if word >> 63 else word


def shift(bits: torch.Tensor, by: int) -> torch.Tensor:
    """Logical right shift of int64 (torch's own keeps the sign)."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def mix(bits: torch.Tensor) -> torch.Tensor:
    """One SplitMix64 step on int64 words of any shape: a bijection in which every bit stirs all others."""
    bits = bits + signed(GOLDEN)
    bits = (bits ^ shift(bits, 30)) * signed(FIRST)
    bits = (bits ^ shift(bits, 27)) * signed(SECOND)
    return bits ^ shift(bits, 31)


def fold(key: torch.Tensor, word: torch.Tensor | int) -> torch.Tensor:
    """The key that follows ``key`` for ``word`` (int64, broadcast)."""
    return mix(key ^ (signed(word) if isinstance(word, int) else word))


@lru_cache(maxsize=256)
def stream_word(stream: str) -> int:
    """A stream's name as 64 bits, equal on every machine and in every process."""
    return int.from_bytes(blake2b(stream.encode(), digest_size=8).digest(), "little")


def row_keys(
    clues: torch.Tensor, seed: int, edges: torch.Tensor | None = None, index: torch.Tensor | None = None
) -> torch.Tensor:
    """int64 ``[batch]``: one key a puzzle from the seed, int64 ``clues [batch, cells]`` and its own edges.

    Equal puzzles have equal keys wherever they stand, in whatever order their ``edges`` (int64 ``[batch,
    edges, 1 + members]``, pads -1) are listed; repeat a puzzle under another seed to draw anew. Where puzzles
    have many solutions, of which each row is to be a draw of its own, its ``index`` (int64 ``[batch]``) tells
    it from its equals.
    """
    cells = torch.arange(clues.shape[1], device=clues.device)
    words = mix(fold(mix(cells), clues)).sum(1)
    if edges is not None:
        said = edges[..., 0]
        for member in edges[..., 1:].unbind(-1):
            said = fold(said, member)
        words = words + said.masked_fill(edges[..., 0] < 0, 0).sum(1)
    key = fold(words, clues.shape[1])
    return fold(key if index is None else fold(key, index), seed)


def to_unit(bits: torch.Tensor) -> torch.Tensor:
    """float64 strictly inside (0, 1) from int64 words: 52 bits, so that neither end can be rounded to."""
    return (shift(bits, 12).double() + 0.5) * 2.0**-52


def gumbel(uniform: torch.Tensor) -> torch.Tensor:
    """Standard Gumbel numbers of uniform ones, by their inverse distribution function."""
    return -(-uniform.log()).log()


@dataclass(frozen=True)
class Uniforms:
    """The ``uniform`` of a `StepView`.

    Attributes:
        keys: int64 ``[batch]``, from `row_keys`.
        step: int64 ``[batch]``, the reverse step.
        n_cells: number of cells.
    """

    keys: torch.Tensor
    step: torch.Tensor
    n_cells: int

    def __call__(self, stream: str, *extra: int) -> torch.Tensor:
        """float64 ``[batch, cells, *extra]`` in (0, 1) of a named stream."""
        key = fold(fold(self.keys, self.step), stream_word(stream))[:, None]
        for size in (self.n_cells, *extra):
            key = fold(key, torch.arange(size, device=key.device))[..., None]
        return to_unit(key[..., 0])
