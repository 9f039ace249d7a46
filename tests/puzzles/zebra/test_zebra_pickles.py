"""Pickles of lists, strings and numbers are read as Python reads them; nothing that they ask for is run."""

from __future__ import annotations

import datetime
import io
import os
import pickle
import pickletools
import struct
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zebra_files import ITEMS, ZEBRA, refusal

from puzzles.base import UserInputError
from puzzles.zebra.formats import read_puzzles
from puzzles.zebra.pickles import load_plain


class Hostile:
    """Runs a command when an ordinary reader meets it."""

    def __init__(self, call, *arguments):
        self.made_by = (call, arguments)

    def __reduce__(self):
        return self.made_by


def with_item(thing):
    """A file whose second item has something else in its order, where no format looks."""
    return [ITEMS[0], [*ITEMS[1][:2], thing]]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("where", ["alone", "in an item", "in a table"])
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path, protocol, where):
    mark = tmp_path / "harm"
    hostile = Hostile(os.system, f"touch {mark}")
    value = {
        "alone": hostile,
        "in an item": with_item(hostile),
        "in a table": [[ITEMS[0][0], [hostile], []]],
    }[where]
    path = tmp_path / "hostile.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    message = refusal(path)
    assert "holds more than plain lists" in message
    assert "system', which is not run; save lists of strings and numbers only" in message
    assert not mark.exists()
    pickle.loads(path.read_bytes())  # the fault is planted well: an ordinary reader runs it
    assert mark.exists()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "thing",
    [np.arange(3), np.int64(3), np.array([["a"]])],
    ids=["array", "number", "text"],
)
def test_numpy_is_refused_with_what_to_do(tmp_path, protocol, thing):
    path = tmp_path / "numpy.pkl"
    path.write_bytes(pickle.dumps(with_item(thing), protocol))
    message = refusal(path)
    assert "holds numpy arrays or numbers" in message
    assert "table.tolist()" in message


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "thing",
    [{1: 2}, {1}, frozenset([1]), b"bytes", OrderedDict(), datetime.date(2024, 1, 1), print, int, 1j, ...],
    ids=repr,
)
def test_everything_else_is_refused(tmp_path, protocol, thing):
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps(with_item(thing), protocol))
    assert "save lists of strings and numbers only" in refusal(path)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    lambda inner: st.lists(inner, max_size=5) | st.lists(inner, max_size=5).map(tuple),
    max_leaves=40,
)


@settings(max_examples=200, deadline=None)
@given(value=PLAIN, protocol=st.integers(0, 5))
def test_plain_values_are_read_as_python_reads_them(tmp_path_factory, value, protocol):
    assert load_plain(pickle.dumps(value, protocol), tmp_path_factory) == value


def test_values_that_are_used_again_are_read_once():
    words = ["a"] * 300
    value = [words, *([words, str(k)] for k in range(300))]
    for protocol in range(6):
        assert load_plain(pickle.dumps(value, protocol), None) == value


def bomb(index):
    """A pickle of nothing but an entry of the memo, far up: the table is as long as twice the number."""
    return b"\x80\x02]r" + struct.pack("<I", index) + b"."


@pytest.mark.parametrize(
    "content",
    [
        bomb(0x7FFFFFFF),
        bomb(5),
        b"]q\xff.",
        b"(lp2147483647\n.",
        b"(lp 2147483647\n.",
        b"(lp2_147_483_647\n.",
        b"(lp-2147483647\n.",
        b"\x80\x02" + b"X\x04\0\0\0nbr\x80" + bomb(0x7FFFFFFF)[2:],
    ],
)
def test_memo_numbers_cannot_ask_for_memory(tmp_path, content):
    path = tmp_path / "bomb.pkl"
    path.write_bytes(content)
    assert "or is damaged" in refusal(path)


BROKEN = {
    "cut": pickle.dumps(ITEMS)[:-1],
    "cut_more": pickle.dumps(ITEMS)[:1000],
    "short": b"\x80",
    "text_length": b"\x80\x04X\xff\xff\xff\xff.",
    "long_text_length": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
    "long_text_length_63": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x3f.",
    "frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f].",
    "empty_stack": b"\x80\x04.",
    "no_memo": b"\x80\x04h\x05.",
    "no_mark": b"\x80\x04]e.",
    "protocol": b"\x80\x09].",
    "append_to_number": b"\x80\x04K\x01K\x02a.",
    "not_utf8": b"\x80\x04X\x01\0\0\0\xff.",
    "number": b"Ix\n.",
    "no_line_end": b"I12",
    "nothing_inside": b"\x80\x04].",
    "number_alone": b"\x80\x04K\x01.",
    "persistent": b"\x80\x04(lPname\n.",
    "extension": b"\x80\x04\x82\x01.",
    "build": b"\x80\x04]]b.",
    "reduce": b"\x80\x04])R.",
    "item_number": pickle.dumps([3]),
    "item_text": pickle.dumps(["= LHS"]),
    "item_short": pickle.dumps([[["="]]]),
    "tokens_list": pickle.dumps([[[["="]], [], []]]),
    "tokens_none": pickle.dumps([[[None], [], []]]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_pickles_are_refused(tmp_path, name):
    path = tmp_path / f"{name}.pkl"
    path.write_bytes(BROKEN[name])
    message = refusal(path)
    assert any(word in message for word in ("fetch it again", "expected", "is damaged"))


def altered(at, value):
    """Items whose second one has another table."""
    table = [list(row) for row in ITEMS[1][1]]
    if at is None:
        return [ITEMS[0], [ITEMS[1][0], value, []]]
    table[at[0]][at[1]] = value
    return [ITEMS[0], [ITEMS[1][0], table, []]]


@pytest.mark.parametrize(
    ("items", "part"),
    [
        (altered(None, 3), "table '3'; expected rows of one length"),
        (altered(None, []), "table '[]'; expected rows of one length"),
        (altered(None, [[0, 1, 2], [0, 1]]), "expected rows of one length"),
        (altered(None, [[0, 1, 2], [0, 1, 2]]), "1 attributes; expected 3 to 6"),
        (altered((1, 0), "0"), "expected whole numbers, 0 to 6"),
        (altered((1, 0), True), "expected whole numbers, 0 to 6"),
        (altered((1, 0), 10**30), "expected whole numbers, 0 to 6"),
        (altered((0, 0), ITEMS[1][1][0][1]), "row 0 of the table is"),
        (altered((2, 0), ITEMS[1][1][2][1]), "row 2 of the table is"),
        ([ITEMS[0], [ITEMS[1][0], [ITEMS[1][1][0], *ITEMS[1][1][:0:-1]], []]], "after ANSWER, in house"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, items, part):
    path = tmp_path / "table.pkl"
    path.write_bytes(pickle.dumps(items))
    message = refusal(path)
    assert "item 2: " in message
    assert part in message


def test_a_wrong_table_without_answer_is_told_from_the_solution(tmp_path):
    tokens, table, order = ITEMS[1]
    path = tmp_path / "table.pkl"
    turned = [table[0], *(row[::-1] for row in table[1:])]
    path.write_bytes(pickle.dumps([[tokens[: tokens.index("ANSWER")], turned, order]]))
    assert "item 1: the given solution has `c 0" in refusal(path)


def test_what_passes_the_walk_has_no_other_instruction(tmp_path):
    rng = np.random.default_rng(0)
    good = bytearray(pickle.dumps(ITEMS[:2]))
    path = tmp_path / "any.pkl"
    read = 0
    for _ in range(300):
        content = bytearray(good)
        for at in rng.integers(len(content), size=2):
            content[at] = rng.integers(256)
        path.write_bytes(content)
        try:
            read_puzzles(path, ZEBRA)
        except UserInputError:
            continue
        read += 1
        names = {code.name for code, _, _ in pickletools.genops(io.BytesIO(content))}
        assert not names & {"GLOBAL", "STACK_GLOBAL", "INST", "REDUCE", "BUILD", "NEWOBJ", "EXT1"}
    assert read < 300
