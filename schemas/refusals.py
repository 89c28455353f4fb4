"""The codes of dead letters (rule X)."""

from enum import StrEnum
from typing import Final, Self


class RefusalCode(StrEnum):
    """Why a record could not be applied; `meaning` says it in one line.

    Where several of E_SIZE to E_TIME apply, ruling 71 says which one is given.
    """

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        code = str.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    E_SIZE = "E_SIZE", "The value is larger than 1 MiB."
    E_DECODE = "E_DECODE", "The value is not UTF-8 JSON."
    E_SCHEMA = "E_SCHEMA", "The value is no CloudEvent of the contract, or its data does not fit its type."
    E_UNKNOWN_TYPE = "E_UNKNOWN_TYPE", "The type is not in the catalogue, or this topic does not carry it."
    E_VERSION = "E_VERSION", "The schemaversion is newer than the newest that this program knows."
    E_KEY = "E_KEY", "The record's key is not the one that the contract names for this type."
    E_TIME = "E_TIME", "It happened before 2000-01-01, or more than 10 minutes after the broker appended it."
    E_ORPHAN = "E_ORPHAN", "The message or file that it is about did not come within the parking limit."
    E_STORE = "E_STORE", "The store refused it."
    E_PROJECTION = "E_PROJECTION", "A projection failed on it: a fault of ours."


OWN_FAULTS: Final = frozenset({RefusalCode.E_STORE, RefusalCode.E_PROJECTION})
"""Refusals of events that fit the contract: later events of their subject wait behind them (rule X)."""
