"""How documents that are dirty are divided before they are read."""

from tailrace.consumers.search.reading import Reach


def test_files_are_read_fewer_at_a_time_than_messages_and_none_twice():
    found = Reach({f"m{n}" for n in range(30)}, {("w", f"f{n}") for n in range(5)}, {("w", "u")})

    parts = list(found.parts(20))

    assert [(len(p.messages), len(p.files), len(p.members)) for p in parts] == [
        (20, 0, 0), (10, 0, 0), (0, 2, 0), (0, 2, 0), (0, 1, 0), (0, 0, 1)
    ]  # fmt: skip
    assert set().union(*(p.messages for p in parts)) == found.messages
    assert set().union(*(p.files for p in parts)) == found.files
