from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_common.errors import Malformed
from pulse_common.ids import new_id, parse_id


def test_new_ids_are_version_7_and_in_order_of_time() -> None:
    first, second = new_id(), new_id()

    assert {first.version, second.version} == {7}
    assert first.variant == "specified in RFC 4122"
    assert first.int >> 80 <= second.int >> 80


@given(st.uuids())
def test_canonical_form_is_read_back(value: object) -> None:
    assert str(parse_id(str(value), "id")) == str(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "11111111-1111-4111-8111-11111111111A",
        "{11111111-1111-4111-8111-111111111111}",
        "urn:uuid:11111111-1111-4111-8111-111111111111",
        "11111111111141118111111111111111",
        "11111111-1111-4111-8111-111111111111\n",
        "１1111111-1111-4111-8111-111111111111",  # noqa: RUF001 -- a full-width digit
    ],
)
def test_one_thing_has_one_name(text: str) -> None:
    with pytest.raises(Malformed):
        parse_id(text, "id")
