"""What is dropped, what waits, and when nothing is left."""

from __future__ import annotations

import threading

from pulse_device.outbox import Outbox, Outgoing


def outbox_of(capacity: int) -> Outbox:
    return Outbox(on_change=lambda: None, capacity=capacity)


def item(number: int) -> Outgoing:
    return Outgoing("topic", str(number).encode())


def everything_in(outbox: Outbox) -> list[int]:
    found = []
    while (taken := outbox.take()) is not None:
        found.append(int(taken.payload))
    return found


def test_full_outbox_drops_and_counts_the_oldest() -> None:
    outbox = outbox_of(3)

    for number in range(5):
        outbox.put_or_drop(item(number))

    assert outbox.dropped == 2
    assert everything_in(outbox) == [2, 3, 4]


def test_pipe_is_not_held_up_while_offline() -> None:
    outbox = outbox_of(2)
    outbox.go_offline()

    for number in range(4):
        outbox.put_paced(item(number))

    assert outbox.dropped == 2
    assert everything_in(outbox) == [2, 3]


def test_file_waits_for_room_even_while_offline() -> None:
    outbox = outbox_of(1)
    outbox.go_offline()
    outbox.put_when_room(item(0))
    writer = threading.Thread(target=outbox.put_when_room, args=(item(1),))
    writer.start()
    writer.join(timeout=0.1)
    waited = writer.is_alive()

    first = outbox.take()
    writer.join()

    assert waited
    assert first == item(0)
    assert outbox.dropped == 0
    assert everything_in(outbox) == [1]


def test_going_offline_lets_a_waiting_pipe_go_on() -> None:
    outbox = outbox_of(1)
    outbox.put_paced(item(0))
    writer = threading.Thread(target=outbox.put_paced, args=(item(1),))
    writer.start()

    outbox.go_offline()
    writer.join(timeout=5)

    assert not writer.is_alive()
    assert everything_in(outbox) == [1]


def test_outbox_is_drained_only_when_finished_and_empty() -> None:
    outbox = outbox_of(3)
    outbox.put_or_drop(item(0))
    outbox.finish()
    full = outbox.drained
    outbox.take()

    assert (full, outbox.drained) == (False, True)
