"""What is raised where a user, not a program, has made a mistake."""

from __future__ import annotations


class UserInputError(ValueError):
    """A mistake in what the user gave; its one-line text names the value, the expectation and the fix."""
