"""Tailrace: one event log, every read model of a team-collaboration product."""
