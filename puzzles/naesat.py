"""Latents-and-observations NAE-SAT: sequences that a network makes up from nothing, and that must agree.

A sequence is N latents, fair bits, and P observations. Observation j is NAE(a, b, c) of three latents: 1, or
0 where all three are equal. Which three is drawn once, for all sequences alike. So where the latents come
first, they are free and the observations a function of them; in another order a network has to guess, and may
contradict itself.

Source: L&O-NAE-SAT of Kim et al. (arXiv 2502.06768, Section 3.3, Table 1, Appendices C.2.1 and D.1.1). They
take "randomly chosen (prefixed) triples" and measure "the accuracy in predicting the observation tokens";
numbers of steps, of samples and noise are given for their other tasks alone. What else they leave open:

* Values and triples. We take bits and three different latents, because then "naive guessing leads to 75%
  accuracy", as they say; with replacement it would be 72% at N = 25. Triples are independent, so that two
  observations may have the same one.
* What a prediction is compared with. We take all cells as generated, so that an observation can only be
  compared with the latents generated beside it. Their 62.84% for vanilla inference at N = 100 agrees: drawn
  by its frequency alone, an observation is right in 0.75 * 0.75 + 0.25 * 0.25 = 62.5%.
* Padding. They add 212 tokens of a third value to their 300, up to the length that their network takes. Those
  are the same in every sequence and tell nothing; our networks take 300 cells, so there are none here. One
  thing differs: T steps over 512 cells fill more cells each. If theirs decode the padding as well, which they
  do not say, then 300 T / 512 steps here are T of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import gcd
from pathlib import Path

import numpy as np

from puzzles.base import LOGIC, AbstractFamily, ConstraintGraph, EdgeSet, PuzzleBatch, UserInputError
from puzzles.naesat_kernels import count_sequences_many
from puzzles.naesat_text import SYMBOLS, read_clues, render
from puzzles.seeding import check_stream, fill_chunks, stream_keys

LATENT, OBSERVATION, SEARCH = 1, 2, 3
"""Technique ids: a latent that no given observation is about, so that any value will do; an observation, once
its latents are known; a latent that a given observation is about."""
CHUNK = 4096


class NaeSat(AbstractFamily):
    """Sequences of ``latents`` bits and ``observations`` of three of them each; value 1 is bit 0, 2 is bit 1.

    A puzzle has no clue: every puzzle is the same, and a batch holds sampled sequences as ``solution``. The
    splits are streams of independent samples; by chance two may hold the same one, the likelier the smaller
    2^N. The grid that heat maps show has whole rows of latents, and then of observations.
    """

    technique_names = ("given", "latent", "observation", "search")
    tiers = (LOGIC,)
    n_values = 2
    unique = False
    judged_name = "observations"
    headline = "cell"
    usual_n = 75

    def __init__(self, name: str, latents: int, observations: int, seed: int = 0) -> None:
        """A family with triples of its own.

        Args:
            name: of the registry.
            latents: N, at least 3.
            observations: P, at least 1; all cells together are at most 32767.
            seed: of the triples, from 0; the data id names it where it is not 0.

        Raises:
            UserInputError: a number out of range.
        """
        for what, value, least in (
            ("latents", latents, 3),
            ("observations", observations, 1),
            ("seed", seed, 0),
        ):
            if value < least:
                raise UserInputError(f"{what}={value} of {name}: expected {least} or more")
        if latents + observations > np.iinfo(np.int16).max:
            raise UserInputError(
                f"{latents} + {observations} cells of {name}: expected at most 32767; ask for fewer"
            )
        self.name, self.version = name, f"{name}-v1" + (f"-seed{seed}" if seed else "")
        self.latents, self.observations, self.n_cells = latents, observations, latents + observations
        self.triples = draw_triples(latents, observations, seed)
        columns = _columns(latents, observations)
        self.grid = (self.n_cells // columns, columns)

    def graph(self) -> ConstraintGraph:
        """An edge an observation: its three latents, then itself. Swapping 0 and 1 everywhere breaks it."""
        own = np.arange(self.latents, self.n_cells)[:, None]
        cells = np.concatenate([self.triples, own], axis=1).astype(np.int16)
        clause = EdgeSet("clause", cells, ("latent", "latent", "latent", "observation"))
        return ConstraintGraph(self.n_cells, self.n_values, (clause,), values_interchangeable=False)

    def generate(
        self,
        split: str,
        tier: str,
        n: int,
        *,
        start: int = 0,
        workers: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> PuzzleBatch:
        """Sequences of a split, by index, without clues; see `AbstractFamily.generate`.

        Sequence i takes the next ``ceil(N / 64)`` keys of the stream, and its latents are their bits from the
        lowest on.

        Raises:
            UserInputError: an unknown split or tier, or a negative number.
        """
        check_stream(self, split, tier, n, start, workers)
        words = -(-self.latents // 64)
        keys = stream_keys(self.version, split, tier, start * words, n * words).reshape(n, words)
        solution = np.empty((n, self.n_cells), np.int8)

        def fill(part: slice) -> None:
            words = keys[part].astype("<u8")
            bits = np.unpackbits(words.view(np.uint8), axis=1, count=self.latents, bitorder="little")
            rows = solution[part]
            rows[:, : self.latents] = bits + 1
            rows[:, self.latents :] = self.observe(rows)

        fill_chunks(fill, n, CHUNK, workers, progress)
        return self.rate(np.zeros_like(solution), solution, np.arange(start, start + n, dtype=np.int64))

    def observe(self, cells: np.ndarray) -> np.ndarray:
        """int8 ``[batch, observations]``: what the latents of ``cells [batch, cells]`` make of them.

        2 where not all three latents are equal, 1 where they are, 0 where one is blank.
        """
        a, b, c = (cells[:, self.triples[:, place]] for place in range(3))
        known = (a > 0) & (b > 0) & (c > 0)
        return np.where(known, 1 + ((a != b) | (b != c)), 0).astype(np.int8)

    def is_valid(self, cells: np.ndarray, clues: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
        """bool ``[batch]``: all cells filled, all observations as their latents say, all clues unchanged."""
        kept = (clues == 0) | (clues == cells)
        found: np.ndarray = (kept & self.right(cells, cells)).all(axis=1)
        return found

    def right(self, cells: np.ndarray, solution: np.ndarray) -> np.ndarray:
        """bool ``[batch, cells]``: latents that are filled, observations that agree with their latents.

        The latents are those of ``cells``; ``solution``, one of many, is not asked.
        """
        right: np.ndarray = np.isin(cells, (1, 2))
        right[:, self.latents :] &= cells[:, self.latents :] == self.observe(cells)
        return right

    def judged(self) -> np.ndarray:
        """bool ``[cells]``: the observations, so that cell accuracy is that of the source."""
        return np.arange(self.n_cells) >= self.latents

    def count_solutions(
        self, clues: np.ndarray, limit: int = 2, edges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `AbstractFamily.count_solutions`; the first has the least values, latent by latent.

        A search with propagation: at worst exponential in the number of blank latents.
        """
        good = np.all((clues >= 0) & (clues <= self.n_values), axis=1)
        count, first = np.zeros(len(clues), np.int64), np.zeros(clues.shape, np.int8)
        asked = np.where(good[:, None], clues, 0).astype(np.int8)
        count_sequences_many(asked, self.triples, limit, count, first[:, : self.latents])
        count[~good], first[~good] = 0, 0
        first[:, self.latents :] = self.observe(first)
        return count, first

    def rate(
        self,
        clues: np.ndarray,
        solution: np.ndarray,
        index: np.ndarray | None = None,
        edges: np.ndarray | None = None,
    ) -> PuzzleBatch:
        """The order of Definition 3.1: blank latents one after the other, then blank observations."""
        blank = clues == 0
        rank = np.where(blank, np.cumsum(blank, axis=1, dtype=np.int16) - 1, -1).astype(np.int16)
        technique = blank * np.where(self.judged(), OBSERVATION, LATENT).astype(np.int8)
        asked = np.flatnonzero(~blank[:, self.latents :].all(axis=1))
        bound = self._bound(clues[asked]) & blank[asked, : self.latents]
        technique[asked, : self.latents] = np.where(bound, SEARCH, technique[asked, : self.latents])
        index = np.arange(len(clues)) if index is None else index
        hardest = technique.max(axis=1, initial=0)
        return PuzzleBatch(self.version, clues, solution, rank, technique, hardest, index, unique=False)

    def _bound(self, clues: np.ndarray) -> np.ndarray:
        """bool ``[batch, latents]``: which latents stand in an observation that is given."""
        stands = np.zeros((self.observations, self.latents), np.float32)
        stands[np.arange(self.observations)[:, None], self.triples] = 1
        found: np.ndarray = (clues[:, self.latents :] > 0).astype(np.float32) @ stands > 0
        return found

    def tier(self, batch: PuzzleBatch) -> np.ndarray:
        """All are of one tier."""
        return np.full(len(batch), LOGIC)

    def augment(self, batch: PuzzleBatch, rng: np.random.Generator) -> PuzzleBatch:
        """All latents flipped, or none, by a fair coin a puzzle; observations do not change by it.

        It maps the distribution to itself. Permutations of latents do not, unless they keep the triples.
        """
        flip = rng.random(len(batch)) < 0.5
        return replace(
            batch, clues=self._flipped(batch.clues, flip), solution=self._flipped(batch.solution, flip)
        )

    def _flipped(self, cells: np.ndarray, flip: np.ndarray) -> np.ndarray:
        """The cells with the filled latents of some rows flipped."""
        out = cells.copy()
        latents = out[:, : self.latents]
        latents[(latents > 0) & flip[:, None]] ^= 3  # 1 and 2 change places
        return out

    def canonical(self, clues: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
        """int8 ``[batch, cells]``: of the clues and their flip, that whose first given latent is 1.

        Apart from the symmetries of the graph, which are not looked for.
        """
        latents = clues[:, : self.latents]
        first = np.take_along_axis(latents, (latents > 0).argmax(axis=1)[:, None], axis=1)
        return self._flipped(clues, first[:, 0] == 2)

    def read(self, path: Path) -> PuzzleBatch:
        """Puzzles of a text file (see `naesat_text`); ``solution`` is the first sequence that agrees.

        Raises:
            UserInputError: the file cannot be read, a line is malformed, or no sequence agrees with it.
        """
        clues, places = read_clues(Path(path), self.latents, self.observations)
        count, solution = self.count_solutions(clues, limit=1)
        if not count.all():
            row = int(count.argmin())
            places[row].refuse(f"no sequence agrees with its cells; {self._clash(clues[row])}")
        return self.rate(clues, solution)

    def _clash(self, clues: np.ndarray) -> str:
        """What is wrong with clues ``[cells]`` that no sequence agrees with."""
        meant, given = self.observe(clues[None])[0], clues[self.latents :]
        wrong = np.flatnonzero((meant > 0) & (given > 0) & (meant != given))
        if not len(wrong):
            return "expected observations that some latents have: blank or correct one"
        said = self.say(self.latents + int(wrong[0]), int(given[wrong[0]]))
        return f"{said}; expected {SYMBOLS[meant[wrong[0]]]} by its latents: correct it"

    def say(self, cell: int, value: int) -> str:
        """A filled cell in words, e.g. "latent 3 is 0"; latents and observations count from 1."""
        if cell < self.latents:
            return f"latent {cell + 1} is {SYMBOLS[value]}"
        a, b, c = self.triples[cell - self.latents] + 1
        return f"observation {cell - self.latents + 1} (of latents {a}, {b}, {c}) is {SYMBOLS[value]}"

    def render(
        self, cells: np.ndarray, clues: np.ndarray | None = None, edges: np.ndarray | None = None
    ) -> str:
        """Latents, then observations; dots are blanks, an apostrophe marks a cell that is no clue.

        An exclamation mark stands before an observation that its latents, all filled, disagree with.
        """
        return render(cells, clues, self.observe(cells[None])[0])


def draw_triples(latents: int, observations: int, seed: int) -> np.ndarray:
    """int64 ``[observations, 3]``: three different latents each, ascending; independent and uniform.

    A key of the stream "naesat-N-P/triples/seed" modulo N (N - 1) (N - 2) numbers the ordered triples.
    """
    name, n = f"naesat-{latents}-{observations}", latents
    keys = stream_keys(name, "triples", str(seed), 0, observations)
    number = (keys % np.uint64(n * (n - 1) * (n - 2))).astype(np.int64)
    a, b, c = number // ((n - 1) * (n - 2)), number // (n - 2) % (n - 1), number % (n - 2)
    b += b >= a  # the b-th of those that are not a
    c += c >= np.minimum(a, b)
    c += c >= np.maximum(a, b)
    return np.sort(np.stack([a, b, c], axis=1), axis=1)


def _columns(latents: int, observations: int) -> int:
    """Of the grid: rows hold cells of one kind; the fewest that are no fewer than the rows, if there are."""
    common = gcd(latents, observations)
    wide = [d for d in range(1, common + 1) if common % d == 0 and d * d >= latents + observations]
    return wide[0] if wide else common
