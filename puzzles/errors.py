"""What is raised where a user, not a program, has made a mistake."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserInputError(ValueError):
    """A mistake in what the user gave; its one-line text names the value, the expectation and the fix."""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """The end of a message: the nearest known word, if one is near."""
    near = get_close_matches(word[:100], list(known), n=1) if isinstance(word, str) else []
    return f"; did you mean {near[0]!a}?" if near else ""
