"""Ports: where each part listens and what is said when somebody is there already."""

from __future__ import annotations

import socket

import pytest

from pulse_local.ports import PortsTakenError, find_free_base, ports_from, refuse_taken_ports


def test_default_base_gives_the_documented_addresses() -> None:
    ports = ports_from(8400)

    assert (ports.edge_https, ports.edge_http, ports.mqtts) == (8443, 8480, 8483)


def test_no_two_parts_share_a_port() -> None:
    numbers = list(ports_from(8400).by_part().values())

    assert len(numbers) == len(set(numbers))


def test_taken_port_is_named_with_its_part_and_the_way_out() -> None:
    ports = ports_from(find_free_base())
    with socket.create_server(("127.0.0.1", ports.nats)), pytest.raises(PortsTakenError) as caught:
        refuse_taken_ports(ports)

    message = str(caught.value)
    assert f"port {ports.nats} (wanted by nats)" in message
    assert "PULSE_PORT_BASE=" in message


def test_every_taken_port_is_named_at_once() -> None:
    ports = ports_from(find_free_base())
    with (
        socket.create_server(("127.0.0.1", ports.postgres)),
        socket.create_server(("127.0.0.1", ports.idp)),
        pytest.raises(PortsTakenError) as caught,
    ):
        refuse_taken_ports(ports)

    assert "wanted by postgres" in str(caught.value)
    assert "wanted by idp" in str(caught.value)


def test_free_ports_are_not_refused() -> None:
    refuse_taken_ports(ports_from(find_free_base()))


@pytest.mark.parametrize("base", [0, 80, 65_436, 1_000_000])
def test_base_without_a_hundred_ports_above_it_is_refused(base: int) -> None:
    with pytest.raises(ValueError, match="PULSE_PORT_BASE"):
        ports_from(base)
