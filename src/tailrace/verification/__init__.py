"""The independent model of the semantics, and its comparison with what the stores hold.

`fold` computes from the whole log what every table must contain. It collects all events about a thing, sorts them and
evaluates the rules of docs' SEMANTICS and rulings one by one; the projections merge registers batch by batch instead.
The two share the wire contract (`tailrace.schemas`) and nothing else, so that a mistake in one is not repeated here.
"""
