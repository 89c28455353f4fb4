"""Searching what a person may see: an async client and the grammar of its queries."""

from tailrace.search.client import Options, SearchClient, Searcher
from tailrace.search.grammar import Query, QueryError, parse
from tailrace.search.results import Hit, Kind, Page, Sort, Span

__all__ = ["Hit", "Kind", "Options", "Page", "Query", "QueryError", "SearchClient", "Searcher", "Sort", "Span", "parse"]
