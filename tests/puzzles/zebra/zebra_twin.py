"""The rules and the logical solver of Zebra once more, plainly: sets of houses, and every case tried."""

from __future__ import annotations

from itertools import product

from zebra_rules import MEANING

from puzzles.zebra.clues import KINDS, MOST, N_CELLS, ROWS

Domains = list[set[int]]
Clue = list[int]
ROW_CELLS = [range(row * MOST, row * MOST + MOST) for row in range(ROWS)]
CLUE, ELIMINATION, HIDDEN_SINGLE, NAKED_PAIR, SEARCH = range(1, 6)


def mask(houses: set[int]) -> int:
    """A domain as the kernels hold it."""
    return sum(1 << (house - 1) for house in houses)


def unmask(domain: int) -> set[int]:
    """The houses of a domain of the kernels."""
    return {house for house in range(1, MOST + 1) if domain >> (house - 1) & 1}


def clues_of(edges: object) -> list[Clue]:
    """Edges without padding, each a kind and its members alone."""
    return [[e[0], *e[1 : 1 + len(KINDS[e[0]].roles)]] for e in edges.tolist() if e[0] >= 0]  # type: ignore[attr-defined]


def first_domains(given: list[int]) -> Domains:
    """What stands in cells keeps its house; the rest of its row have the others."""
    domains: Domains = []
    for cells in ROW_CELLS:
        taken = {given[cell] for cell in cells if given[cell]}
        free = set(range(1, MOST + 1)) - taken
        domains += [{given[cell]} if given[cell] else set(free) for cell in cells]
    return domains


def supported(clue: Clue, domains: Domains, truth: bool = True) -> Domains:
    """The houses of each member for which the others have some with which the clue is true (or false)."""
    kind, *cells = clue
    if KINDS[kind].name == "ends" and truth:  # of the house numbers nothing is asked
        return [domains[cells[0]] & (domains[cells[1]] | domains[cells[2]]), *(domains[c] for c in cells[1:])]
    meaning = MEANING[KINDS[kind].name]
    good = [houses for houses in product(*(domains[c] for c in cells)) if bool(meaning(*houses)) == truth]
    return [{houses[member] for houses in good} for member in range(len(cells))]


def use_clue(clue: Clue, domains: Domains) -> set[int]:
    """Strikes what a clue leaves without support; the cells that changed."""
    changed = set()
    for cell, kept in zip(clue[1:], supported(clue, domains), strict=True):
        if kept != domains[cell]:
            domains[cell] = set(kept)
            changed.add(cell)
    return changed


def eliminate(cell: int, twin: int, domains: Domains) -> set[int]:
    """Strikes a cell's houses from its row, itself and ``twin`` excepted; the cells that changed."""
    changed = set()
    for other in ROW_CELLS[cell // MOST]:
        if other not in (cell, twin) and domains[other] & domains[cell]:
            domains[other] = domains[other] - domains[cell]
            changed.add(other)
    return changed


def hidden(cell: int, domains: Domains) -> set[int]:
    """The houses of an open cell that no other of its row can have."""
    others = set().union(*(domains[c] for c in ROW_CELLS[cell // MOST] if c != cell))
    return domains[cell] - others if len(domains[cell]) > 1 else set()


def pairs(domains: Domains) -> list[tuple[int, int]]:
    """The naked pairs, in the order of their cells."""
    return [
        (a, b)
        for cells in ROW_CELLS
        for a in cells
        for b in cells
        if a < b and len(domains[a]) == 2 and domains[a] == domains[b]
    ]


def fixpoint(clues: list[Clue], domains: Domains, naked_pairs: bool) -> Domains:
    """All rules until none changes anything, in no order that anybody thought about."""
    while True:
        before = [set(d) for d in domains]
        for clue in clues:
            use_clue(clue, domains)
        for cell in range(N_CELLS):
            if len(domains[cell]) == 1:
                eliminate(cell, -1, domains)
            domains[cell] = hidden(cell, domains) or domains[cell]
        for a, b in pairs(domains) if naked_pairs else ():
            eliminate(a, b, domains)
        if domains == before:
            return domains


class Solve:
    """The logical solver: of the rules that change something the easiest, its first instance, and again."""

    def __init__(self, given: list[int], clues: list[Clue], rules: int = NAKED_PAIR) -> None:
        """Solves; ``rules`` is the hardest rule that it may use."""
        self.given, self.clues, self.rules = given, clues, rules
        self.domains = first_domains(given)
        self.worst = [CLUE] * N_CELLS
        self.order: list[int] = []
        self.technique = [0] * N_CELLS
        while True:
            self._place()
            if not self._step():
                break
        self.finished = len(self.order) == given.count(0)
        for cell in range(N_CELLS):
            if not given[cell] and cell not in self.order:
                self.order.append(cell)
                self.technique[cell] = SEARCH

    def _place(self) -> None:
        for cell, houses in enumerate(self.domains):
            if len(houses) == 1 and not self.given[cell] and cell not in self.order:
                self.order.append(cell)
                self.technique[cell] = self.worst[cell]

    def _step(self) -> bool:
        rules = (self._clue, self._elimination, self._hidden_single, self._naked_pair)
        for rule in range(CLUE, self.rules + 1):
            changed = rules[rule - 1]()
            for cell in changed:
                self.worst[cell] = max(self.worst[cell], rule)
            if changed:
                return True
        return False

    def _clue(self) -> set[int]:
        return next(filter(None, (use_clue(clue, self.domains) for clue in self.clues)), set())

    def _elimination(self) -> set[int]:
        placed = [cell for cell in range(N_CELLS) if self.given[cell] or cell in self.order]
        return next(filter(None, (eliminate(cell, -1, self.domains) for cell in placed)), set())

    def _hidden_single(self) -> set[int]:
        for cell in range(N_CELLS):
            if only := hidden(cell, self.domains):
                self.domains[cell] = only
                return {cell}
        return set()

    def _naked_pair(self) -> set[int]:
        return next(filter(None, (eliminate(a, b, self.domains) for a, b in pairs(self.domains))), set())
