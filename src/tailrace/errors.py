"""Errors a caller can act on.

TailraceError                    exit 1
├── UsageError                   exit 2   the command was called wrongly
├── PreconditionError            exit 3   the world is not in the state the command needs
├── NotFoundError                exit 4
├── UnreachableError             exit 5   a server does not answer
├── InvalidInputError            exit 6   what was given does not fit the contract
├── PartlyDoneError              exit 7   some of it was done, the rest is listed
└── ThresholdError               exit 10  a limit was crossed or a difference was found

A class exists because a caller decides differently, not because a module wanted one of its own.
"""

from typing import ClassVar


class TailraceError(Exception):
    """Something failed; the message says what and where, `fix` says what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.fix = fix


class UsageError(TailraceError):
    """The command was called wrongly."""

    exit_code = 2


class PreconditionError(TailraceError):
    """The world is not in the state this needs: schema behind, lock held, plan stale."""

    exit_code = 3


class NotFoundError(TailraceError):
    """What was named does not exist."""

    exit_code = 4


class UnreachableError(TailraceError):
    """A server does not answer."""

    exit_code = 5


class InvalidInputError(TailraceError):
    """What was given does not fit the contract."""

    exit_code = 6


class PartlyDoneError(TailraceError):
    """Some of it was done; the message or stderr lists the rest."""

    exit_code = 7


class ThresholdError(TailraceError):
    """A limit was crossed or a difference was found."""

    exit_code = 10
