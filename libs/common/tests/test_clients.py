"""A list of clients lets in whom it names and one kind of program, or stops the service."""

from __future__ import annotations

import pytest

from pulse_common.clients import parse_clients


@pytest.mark.parametrize("text", ["pulse-ui", "pulse-ui,pulse-api-*", " pulse-ui , pulse-api-* "])
def test_spaces_do_not_matter_and_names_are_exact(text: str) -> None:
    allowed = parse_clients(text)

    assert allowed.is_named("pulse-ui")
    assert not allowed.is_named("pulse")
    assert not allowed.is_named("pulse-api-acme")


def test_without_a_prefix_no_program_is_let_in() -> None:
    assert not parse_clients("pulse-ui").is_program("pulse-api-acme")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "*",
        "pulse-api-*",  # programs, but nobody who could log in
        "pulse-ui,",
        "pulse-ui,*",
        "pulse-ui,-*",
        "pulse-ui,a-*",
        "pulse-ui,pulse*",
        "pulse-ui,pulse-api*",
        "pulse-ui,pulse-**",
        "pulse-ui,*-api",
        "pulse-ui,pulse-api-*,other-api-*",
        "pulse-ui,pulse-api-acme,pulse-api-*",
        "pulse-ui-admin,pulse-ui-*",
        "pulse ui",
        "Pulse-UI",
    ],
)
def test_a_list_that_lets_in_nobody_or_too_many_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|at most|two things"):
        parse_clients(text)
