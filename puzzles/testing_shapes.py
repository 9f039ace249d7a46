"""The part of `puzzles.testing` that looks at a family's facts, its graph, and the arrays of its batches."""

from __future__ import annotations

import numpy as np

from puzzles.base import ROW_FIELDS, AbstractFamily, PuzzleBatch

_DTYPES = {"rank": np.int16, "index": np.int64}  # int8 otherwise


def need(family: AbstractFamily, good: bool | np.ndarray | np.bool_, promise: str) -> None:
    """Raises unless all of ``good`` holds; the first False row of ``[batch, ...]`` is named."""
    rows = np.asarray(good)
    if not rows.all():
        which = ""
        if rows.ndim:
            at = int(np.argwhere(~rows)[0, 0])
            which = f" (puzzle {at} of {len(rows)})"
        raise AssertionError(f"{family.name}: {promise}{which}")


def check_facts(family: AbstractFamily) -> None:
    """Version, grid, techniques, tiers and judged cells fit together."""
    names = family.technique_names
    need(
        family,
        family.version.startswith(f"{family.name}-"),
        f"version {family.version!r} begins with the name",
    )
    need(family, family.grid[0] * family.grid[1] == family.n_cells, f"grid {family.grid} shows every cell")
    need(family, names[0] == "given" and names[-1] == "search", "techniques run from given to search")
    need(family, len(family.tiers) == len(set(family.tiers)) > 0, "tiers are there, and differ")
    judged = family.judged()
    fits = judged.shape == (family.n_cells,) and judged.dtype == bool
    need(family, fits, f"judged is bool [{family.n_cells}], not {judged.dtype} {judged.shape}")
    need(family, not family.unique or judged.all(), "all cells are judged where solutions are unique")
    need(family, family.headline in ("exact", "cell"), f"headline {family.headline!r} is exact or cell")


def check_graph(family: AbstractFamily) -> None:
    """The graph is the family's, and its edges name its cells."""
    graph = family.graph()
    need(family, graph.n_cells == family.n_cells, "the graph has the family's cells")
    need(family, graph.n_values == family.n_values, "the graph has the family's values")
    for edges in graph.edges:
        cells = edges.cells
        need(family, cells.dtype == np.int16, f"edges {edges.kind} are int16, not {cells.dtype}")
        inside = (cells >= -1) & (cells < family.n_cells)
        need(family, inside, f"edges {edges.kind} name cells from 0 to {family.n_cells - 1}, or -1")
        twice = np.diff(np.sort(cells, axis=-1), axis=-1) == 0
        need(
            family, ~twice | (np.sort(cells, axis=-1)[..., 1:] < 0), f"edges {edges.kind} name no cell twice"
        )
        fits = not edges.roles or len(edges.roles) == cells.shape[-1]
        need(family, fits, f"edges {edges.kind} have a role for every place")
    names = [kind.name for kind in graph.puzzle_kinds]
    need(family, len(names) == len(set(names)), "kinds of puzzle edges differ")
    need(family, all(kind.roles for kind in graph.puzzle_kinds), "kinds of puzzle edges have roles")


def check_fields(family: AbstractFamily, batch: PuzzleBatch, n: int) -> None:
    """A batch of ``n`` puzzles has the shapes and types of `PuzzleBatch`."""
    need(family, batch.family == family.version, f"batches carry {family.version!r}, not {batch.family!r}")
    need(family, batch.unique == family.unique, f"batches carry unique={family.unique}")
    for name in ROW_FIELDS:
        array = getattr(batch, name)
        shape = (n,) if name in ("hardest", "index") else (n, family.n_cells)
        need(family, array.shape == shape, f"{name} has shape {shape}, not {array.shape}")
        dtype = np.dtype(_DTYPES.get(name, np.int8))
        need(family, array.dtype == dtype, f"{name} is {dtype}, not {array.dtype}")
    _check_edges(family, batch.edges, n)


def _check_edges(family: AbstractFamily, edges: np.ndarray | None, n: int) -> None:
    """Puzzle edges are there exactly where the graph has kinds for them, and keep to the kinds' roles."""
    kinds = family.graph().puzzle_kinds
    need(family, (edges is None) == (not kinds), "puzzles have edges where the graph has kinds of them")
    if edges is None:
        return
    most = max(len(kind.roles) for kind in kinds)
    fits = edges.ndim == 3 and len(edges) == n and edges.shape[2] == 1 + most and edges.dtype == np.int16
    need(family, fits, f"edges are int16 [{n}, edges, {1 + most}], not {edges.dtype} {edges.shape}")
    known = (edges[..., 0] >= -1) & (edges[..., 0] < len(kinds))
    need(family, known.all(axis=1), f"edges have kinds from 0 to {len(kinds) - 1}, or -1")
    roles = np.array([len(kind.roles) for kind in kinds] + [0])[edges[..., 0]]
    named = np.arange(most) < roles[..., None]
    inside = np.where(named, (edges[..., 1:] >= 0) & (edges[..., 1:] < family.n_cells), edges[..., 1:] == -1)
    need(family, inside.all(axis=(1, 2)), "edges name a cell for every role, and -1 beyond")
    alike = edges[..., 1:, None] == edges[..., None, 1:]
    twice = (alike & named[..., None] & named[..., None, :]).sum(axis=(2, 3)) > roles
    need(family, ~twice.any(axis=1), "edges name no cell twice")
