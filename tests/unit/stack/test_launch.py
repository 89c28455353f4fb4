import socket

from tailrace.stack.launch import choose_ports, port_is_free
from tailrace.stack.server import Server
from tailrace.stack.servers import SERVERS

KAFKA: Server = SERVERS["kafka"]


def test_a_listening_port_is_not_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not port_is_free(port)
    assert port_is_free(port)
    assert not port_is_free(65536)


def test_previous_ports_are_kept():
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]

    assert choose_ports(SERVERS["redis"], (free,), taken=()) == (free,)


def test_a_taken_port_is_replaced_by_the_next_free_one():
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        (chosen,) = choose_ports(SERVERS["redis"], (taken,), taken=())

    assert chosen > taken


def test_ports_of_one_stack_never_meet():
    first = choose_ports(KAFKA, (), taken=())
    second = choose_ports(KAFKA, first, taken=first)

    assert len({*first, *second}) == 4
