"""The logical solver against a slow twin on sets of candidates, written from the rules of each technique."""

from itertools import combinations

import numpy as np
import pytest

from puzzles.sudoku.logical import solve_logically

# Random minimal puzzles: hardest technique of the textbook, of the engine, clues; below them the solution.
KNOWN = """
1 1 020809004000000000000200067002000090007036000150000000006095830010070002800003040
723869514461357289589214367632781495947536128158942673276495831314678952895123746
1 1 000000910003000000000004507001000090900600800200005000050300060000900030006210080
475862913123579648689134527541783296937621854268495371752348169814956732396217485
2 2 205010000000000008100700060800600400000800900000253000060000001700400502000000037
285916374679342158134785269857691423326874915491253786962537841713468592548129637
2 2 500870009080000000100039060000300000045000093096007100050080000000002300903100002
534876219689215437127439865712398654845621793396547128251783946468952371973164582
3 3 005100000006005000000800570300004067080010200540000000030607001001980002000000000
475132698896475123123896574319524867687319245542768319234657981761983452958241736
3 3 000090500420000300000000008060800900010300600905400030607000082240000090000001000
183294576426578319759136248362817954814359627975462831637945182241683795598721463
4 4 009801000800005020600000000006700010203000000500000907000010730000068050000000009
359821674847695123621473895986754312273189546514236987465912738792368451138547269
4 4 300000400000078090009000000000000002003504700070390005000010000004802006805000070
357169428126478593489235167541786932963524781278391645632917854794852316815643279
4 5 051000908200000000000705006000000030000120500400079000060030080000900100890000400
651243978279861345348795216912456837736128594485379621164532789527984163893617452
5 5 000030700190000082002000050000904008050000001080000200200600000000500000906042003
548231769197465382362789154721954638659328471483176295215693847834517926976842513
5 5 160005000030070100008002500000900002000756040000004005000000379005000600003400000
162835497534679128978142536456983712219756843387214965641528379725391684893467251
6 6 008000070140000009300109208001500600070000023500700040004067000000000000002800700
298635174145278369367149258481523697679481523523796841854367912736912485912854736
6 6 000080000085042009000500000010000790000000004706050002001020580093000400002001030
924786153385142679167593248218634795539217864746958312471329586693875421852461937
6 8 000030090230051000400000020805900000090045030000060500670000000040007001500004300
187236495239451768456789123865973214792145836314862579673518942948327651521694387
6 8 500060013009050600060034002701000050403005000000080000000002879000040000800000301
542968713379251684168734592791326458483175926256489137634512879917843265825697341
6 8 000001630008000259000700000900207000006090000047305900050000000090804010003000005
429581637178436259365729148981247563536198724247365981654913872792854316813672495
7 7 900004006000080050450000170080200010005400000000070048000010780030800000060037005
927154836316789254458326179684293517175468392293571648549612783732845961861937425
7 7 000000503079000001100850400090102004000603000080000000230000700000501800007000000
468217593579436281123859467695182374712643958384795126231968745946571832857324619
7 8 000900400200060000480000007003700050610390800000000006070001900300005008000000010
136957482257468139489123567943786251615392874728514396874631925391275648562849713
8 8 001080002400600300089005100000000005800020090000009000070400000960203040004000500
631984752457612389289735164792348615816527493543169278378451926965273841124896537
8 8 006009400000000500000040030003090000065300001180020007090000002510600000000003700
256739418431268579879145236723891654965374821184526397398457162517682943642913785
"""


class Twin:
    """One puzzle in plain Python; `fills` lists (cell, technique) in order."""

    def __init__(self, clues, solution, box_rows, box_cols, faithful):
        self.side, self.faithful = box_rows * box_cols, faithful
        self.clues, self.solution = clues, solution
        self.board = dict(enumerate(clues))
        side, span = self.side, range(self.side)
        rows = [[r * side + c for c in span] for r in span]
        columns = [[r * side + c for r in span] for c in span]
        boxes = [
            [r * side + c for r in range(top, top + box_rows) for c in range(left, left + box_cols)]
            for top in range(0, side, box_rows)
            for left in range(0, side, box_cols)
        ]
        self.boxes, self.units = boxes, rows + columns + boxes
        self.peers = {
            cell: {other for unit in self.units if cell in unit for other in unit} - {cell}
            for cell in self.board
        }
        self.fills = []
        self.pencil()
        self.run()

    def pencil(self):
        self.may = {
            cell: set(range(1, self.side + 1)) - {self.board[peer] for peer in self.peers[cell]}
            for cell, value in self.board.items()
            if not value
        }

    def run(self):
        worst = 0
        while self.may:
            single = self.lone_single() or self.hidden_single()
            if single and single[1] == self.solution[single[0]]:
                technique, cell = single[2], single[0]
            elif not single and (found := self.eliminate()):
                worst = max(worst, found)
                continue
            else:
                technique, cell = 8, self.give_up()
            self.fill(cell)
            self.fills.append((cell, max(worst, technique)))
            worst = 0

    def fill(self, cell):
        self.board[cell] = self.solution[cell]
        del self.may[cell]
        for peer in self.peers[cell] & self.may.keys():
            self.may[peer].discard(self.solution[cell])

    def give_up(self):
        if any(self.solution[cell] not in values for cell, values in self.may.items()):
            self.pencil()
        return min(sorted(self.may), key=lambda cell: len(self.may[cell]))

    def lone_single(self):
        return next(((c, *self.may[c], 1) for c in sorted(self.may) if len(self.may[c]) == 1), None)

    def hidden_single(self):
        for unit in self.units:
            for cell in unit:
                for value in sorted(self.may.get(cell, ())):
                    if sum(value in self.may.get(other, ()) for other in unit) == 1:
                        return cell, value, 2
        return None

    def prune(self, cells, values):
        hit = [cell for cell in cells if cell in self.may and self.may[cell] & values]
        for cell in hit:
            self.may[cell] -= values
        return bool(hit)

    def common(self, *cells):
        return set.intersection(*(self.peers[cell] for cell in cells))

    def eliminate(self):
        rules = {3: self.pairs, 4: self.triples, 5: self.locked, 6: self.wings, 7: self.rectangles}
        return next((t for t, rule in rules.items() if any(self.prune(*found) for found in rule())), 0)

    def pairs(self):
        for unit in self.units:
            for a, b in combinations([c for c in unit if len(self.may.get(c, ())) == 2], 2):
                if self.may[a] == self.may[b]:
                    yield self.common(a, b), set(self.may[a])

    def triples(self):
        for unit in self.units:
            for trio in combinations([c for c in unit if c in self.may], 3):
                sets = [self.may[c] for c in trio]
                values = set.union(*sets)
                if len(values) != 3 or not all(sets):
                    continue
                if not self.faithful or sets[0] == sets[1] or sets[0] == sets[2] or sets[1] == sets[2]:
                    yield self.common(*trio), values

    def reading_order(self, values):
        if not self.faithful or self.side != 9 or len(values) > 4:
            return sorted(values)
        return [int(v) for v in ("812345697" if 1 in values else "891234567") if int(v) in values]

    def locked(self):
        for unit in self.units:
            appearing = [v for c in unit if c in self.may for v in self.reading_order(self.may[c])]
            for value in dict.fromkeys(appearing):
                places = {c for c in unit if value in self.may.get(c, ())}
                if len(places) == 2 or (len(places) > 2 and not self.faithful):
                    for other in self.units:
                        if other != unit and places <= set(other):
                            yield set(other) - set(unit), {value}

    def wings(self):
        two = [c for c in sorted(self.may) if len(self.may[c]) == 2]
        for pivot in two:
            for a, b in combinations([c for c in two if c in self.peers[pivot]], 2):
                joint = self.may[a] & self.may[b]
                if (
                    len(joint) != 1
                    or joint & self.may[pivot]
                    or self.may[a] | self.may[b] != joint | self.may[pivot]
                ):
                    continue
                if not self.faithful:
                    yield self.common(a, b), joint
                elif b not in self.peers[a]:
                    first, _, last = sorted((pivot, a, b))
                    yield self.common(first, last), self.may[first] & self.may[last]

    def rectangles(self):
        side = self.side
        for top, bottom in combinations(range(side), 2):
            for left, right in combinations(range(side), 2):
                corners = [r * side + c for r in (top, bottom) for c in (left, right)]
                if (
                    any(self.clues[c] for c in corners)
                    or sum(bool(set(corners) & set(b)) for b in self.boxes) != 2
                ):
                    continue
                for corner in corners:
                    rest = [frozenset(self.may.get(c, ())) for c in corners if c != corner]
                    if len(set(rest)) == 1 and len(rest[0]) == 2:
                        yield {corner}, set(rest[0])


def scrambled_grids(n, box_rows, box_cols, rng):
    """Solved grids: the cyclic one with values renamed, rows shuffled within bands, columns within stacks."""
    side = box_rows * box_cols
    row, column = np.indices((side, side))
    cyclic = (box_cols * (row % box_rows) + row // box_rows + column) % side
    grids = []
    for _ in range(n):
        rows = np.concatenate([i + rng.permutation(box_rows) for i in range(0, side, box_rows)])
        columns = np.concatenate([i + rng.permutation(box_cols) for i in range(0, side, box_cols)])
        grids.append((rng.permutation(side) + 1)[cyclic[rows][:, columns]].ravel())
    return np.array(grids, np.int8)


def known_puzzles():
    """Hardest technique by variant, clues and solutions of `KNOWN`."""
    lines = KNOWN.split()
    textbook, engine = (np.array(lines[i::4], int) for i in (0, 1))
    clues, solution = (np.array([list(line) for line in lines[i::4]]).astype(np.int8) for i in (2, 3))
    return {"textbook": textbook, "dokusan": engine}, clues, solution


def compare(clues, solution, box_rows, box_cols, variant):
    """Runs both and returns the techniques that filled a cell."""
    solve = solve_logically(clues, solution, box_rows, box_cols, variant)
    for i in range(len(clues)):
        twin = Twin(clues[i].tolist(), solution[i].tolist(), box_rows, box_cols, variant == "dokusan")
        rank, technique = np.full(len(clues[i]), -1), np.zeros(len(clues[i]), int)
        for place, (cell, by) in enumerate(twin.fills):
            rank[cell], technique[cell] = place, by
        np.testing.assert_array_equal(solve.rank[i], rank)
        np.testing.assert_array_equal(solve.technique[i], technique)
        assert solve.hardest[i] == technique.max()
        assert solve.solved[i] == (8 not in technique)
    return set(solve.technique[clues == 0].tolist())


@pytest.mark.parametrize("variant", ["textbook", "dokusan"])
@pytest.mark.parametrize(
    ("box_rows", "box_cols", "n", "shown", "seen"),
    [
        (2, 2, 60, 0.27, {1, 2, 8}),
        (2, 3, 60, 0.28, {1, 2, 3, 7, 8}),
        (3, 2, 20, 0.28, {1, 2, 8}),
        (3, 3, 15, 0.33, {1, 2, 3, 4, 8}),
        (4, 4, 1, 0.42, {1, 2, 8}),
    ],
)
def test_kernel_does_what_the_twin_does_on_random_clues(box_rows, box_cols, n, shown, seen, variant):
    # Such clues allow several solutions: both must go wrong, back out and search in the same cells.
    rng = np.random.default_rng(box_rows * 10 + box_cols)
    solution = scrambled_grids(n, box_rows, box_cols, rng)
    clues = np.where(rng.random(solution.shape) < shown, solution, 0).astype(np.int8)
    assert seen <= compare(clues, solution, box_rows, box_cols, variant)


@pytest.mark.parametrize("variant", ["textbook", "dokusan"])
def test_kernel_does_what_the_twin_does_on_known_puzzles(variant):
    _, clues, solution = known_puzzles()
    assert compare(clues, solution, 3, 3, variant) == {1, 2, 3, 4, 5, 6, 7, 8}


@pytest.mark.parametrize("variant", ["textbook", "dokusan"])
def test_known_puzzles_need_their_technique(variant):
    hardest, clues, solution = known_puzzles()
    np.testing.assert_array_equal(solve_logically(clues, solution, 3, 3, variant).hardest, hardest[variant])
