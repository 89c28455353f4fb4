"""What a person is shown of a difference."""

from tailrace.cli.verify import parts_apart


def test_of_a_mapping_only_what_differs_is_shown():
    assert parts_apart({"c1": 12, "c2": 198, "c3": 1}, {"c4": 2, "c2": 204, "c1": 12}) == (
        {"c2": 198, "c3": 1},
        {"c2": 204, "c4": 2},
    )


def test_of_a_list_only_the_places_that_differ_are_shown():
    listed = [{"message_id": f"m{number}", "content": "x"} for number in range(3)]
    altered = [listed[0], listed[1] | {"content": "y"}]
    assert parts_apart(listed, altered) == ({1: {"content": "x"}, 2: listed[2]}, {1: {"content": "y"}})


def test_values_of_different_kinds_are_shown_whole():
    assert parts_apart({"a": 1}, None) == ({"a": 1}, None)
    assert parts_apart("Done", "ALTERED") == ("Done", "ALTERED")


def test_true_in_the_place_of_one_is_shown():
    assert parts_apart({"a": True, "b": 1.0}, {"a": 1, "b": 1}) == ({"a": True}, {"a": 1})
