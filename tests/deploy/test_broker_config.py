"""EMQX's configuration fails closed, asks with allowed placeholders only, and holds no secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.deploy.shipped import compose

from mqtt_authz import handlers, tokens

_EMQX = Path(__file__).resolve().parents[2] / "deploy" / "emqx"
# EMQX 5.8.9, measured: any other placeholder in an authentication body silently breaks the rest of it.
_ALLOWED_IN_AUTHENTICATION = {
    "username",
    "clientid",
    "password",
    "peerhost",
    "cert_subject",
    "cert_common_name",
    "cert_pem",
    "zone",
}


@pytest.fixture(scope="module")
def conf() -> str:
    return re.sub(r"^\s*#.*$", "", (_EMQX / "emqx.conf").read_text(), flags=re.MULTILINE)


def _block(text: str, opening: str) -> str:
    """Return what stands between the bracket that ends ``opening`` and its partner; ``opening`` occurs once."""
    assert text.count(opening) == 1, opening
    start = text.index(opening) + len(opening)
    depth = 1
    quoted = False
    for position, letter in enumerate(text[start:], start):
        if letter == '"':
            quoted = not quoted
        elif not quoted:
            depth += (letter in "{[") - (letter in "}]")
        if depth == 0:
            return text[start:position]
    raise AssertionError(f"{opening} is never closed")


def _settings(block: str) -> dict[str, str]:
    return dict(re.findall(r"^\s*(\w+) = (.+?)\s*$", block, re.MULTILINE))


def test_brackets_and_quotes_are_balanced(conf: str) -> None:
    bare = re.sub(r'"[^"\n]*"', '""', conf)

    assert bare.count("{") == bare.count("}")
    assert bare.count("[") == bare.count("]")
    assert all(line.count('"') % 2 == 0 for line in conf.splitlines())


def test_an_undecided_topic_is_denied_and_a_denial_disconnects(conf: str) -> None:
    authorization = _settings(_block(conf, "authorization {"))

    assert authorization["no_match"] == "deny"
    assert authorization["deny_action"] == "disconnect"


@pytest.mark.parametrize("listener", ["ssl", "wss"])
def test_a_device_shows_a_certificate_that_is_checked_anew_each_time(
    conf: str, listener: str
) -> None:
    tls = _settings(_block(_block(conf, f"listeners.{listener}.default {{"), "ssl_options {"))

    assert tls["verify"] == "verify_peer"
    assert tls["fail_if_no_peer_cert"] == "true"
    assert tls.get("enable_crl_check") == ("true" if listener == "ssl" else None)
    assert tls["reuse_sessions"] == "false"
    assert tls["versions"] == '["tlsv1.3", "tlsv1.2"]'


@pytest.mark.parametrize(("kind", "port"), [("ssl", "8883"), ("wss", "9001")])
def test_the_certificate_gives_both_names(conf: str, kind: str, port: str) -> None:
    listener = _settings(_block(conf, f"listeners.{kind}.default {{"))
    zone = _settings(_block(_block(conf, "zones.device {"), "mqtt {"))

    assert (listener["zone"], listener["bind"]) == ("device", port)
    assert zone["peer_cert_as_clientid"] == "cn"
    assert zone["peer_cert_as_username"] == "cn"


def test_tokens_have_a_listener_of_their_own_that_asks_for_no_certificate(conf: str) -> None:
    listener = _block(conf, "listeners.ssl.token {")
    zone = _settings(_block(_block(conf, "zones.device_token {"), "mqtt {"))

    assert (_settings(listener)["bind"], _settings(listener)["zone"]) == ("8884", tokens.ZONE)
    tls = _settings(_block(listener, "ssl_options {"))
    assert (tls["verify"], tls["reuse_sessions"]) == ("verify_none", "false")
    assert "cacertfile" not in tls
    assert not [name for name in zone if name.startswith("peer_cert")]
    of_certificates = _settings(_block(_block(conf, "zones.device {"), "mqtt {"))
    of_certificates = {k: v for k, v in of_certificates.items() if "peer_cert" not in k}
    assert zone == of_certificates
    assert conf.count("verify_none") == 1


def test_nothing_else_listens(conf: str) -> None:
    assert _block(conf, "listeners.ws.default {").strip() == "enable = false"
    assert _settings(_block(conf, "listeners.tcp.default {"))["bind"] == "1883"
    assert set(re.findall(r"^listeners\.(\w+\.\w+)", conf, re.MULTILINE)) == {
        "ssl.default",
        "ssl.token",
        "tcp.default",
        "ws.default",
        "wss.default",
    }


def test_no_listener_lets_anybody_in_unasked(conf: str) -> None:
    assert "enable_authn" not in conf
    assert _settings(_block(conf, "authentication = ["))["enable"] == "true"


def test_authentication_asks_with_allowed_placeholders_only(conf: str) -> None:
    body = _block(_block(conf, "authentication = ["), "body {")

    assert set(re.findall(r"\$\{([^}]*)\}", body)) == _ALLOWED_IN_AUTHENTICATION


def test_authorization_sends_what_mqtt_authz_expects(conf: str) -> None:
    body = _settings(_block(_block(conf, "authorization {"), "body {"))

    fields = (
        "topic action access qos retain clientid username peerhost proto_name mountpoint "
        "cert_common_name cert_subject cert_pem"
    )
    assert body == {
        **{name: f'"${{{name}}}"' for name in fields.split()},
        "tenant": '"${client_attrs.tenant}"',
    }


def test_one_slow_answer_delays_nobody_else(conf: str) -> None:
    for opening in ("authentication = [", "authorization {"):
        settings = _settings(_block(conf, opening))
        assert settings["enable_pipelining"] == "1"
        assert int(settings["pool_size"]) >= 16


def test_gate_answers_before_the_broker_gives_up(conf: str) -> None:
    """What the gate refuses for slowness has a reason; a time-out of the broker's has none."""
    for opening in ("authentication = [", "authorization {"):
        wait = _settings(_block(conf, opening))["request_timeout"]
        assert float(wait.removesuffix("s")) > handlers.DECISION_SECONDS


@pytest.mark.parametrize("zone", ["device", "device_token"])
def test_devices_have_no_way_to_name_many_topics_at_once(conf: str, zone: str) -> None:
    mqtt = _settings(_block(_block(conf, f"zones.{zone} {{"), "mqtt {"))

    for kind in ("wildcard", "shared", "exclusive"):
        assert mqtt[f"{kind}_subscription"] == "false"
    # A retained message without an attribute of its tenant's would be everybody's: no listener rewrites topics.
    assert "mountpoint =" not in conf.replace('mountpoint = "${mountpoint}"', "")


def test_a_websocket_lives_as_long_as_its_keep_alive(conf: str) -> None:
    websocket = _block(_block(conf, "listeners.wss.default {"), "websocket {")

    # EMQX hands idle_timeout to the WebSocket itself, where 15 s end every quiet session; the frame's size is a number.
    assert "idle_timeout" not in websocket
    assert re.search(r"max_frame_size = \d+\s", websocket)


def test_only_ports_for_devices_are_published(conf: str) -> None:
    """The dashboard and the port of ingest_worker stay inside, whatever they bind to."""
    bound = re.search(r"dashboard \{ listeners\.http \{ bind = (\d+) \} \}", conf)
    published = {str(port).rsplit(":", 1)[-1] for port in compose()["services"]["emqx"]["ports"]}

    assert bound is not None
    assert published == {"8883", "8884", "9001"}
    assert bound[1] not in published


def test_the_crl_cache_has_room_and_is_refreshed_often(conf: str) -> None:
    found = re.search(r"crl_cache \{ refresh_interval = 1m, .*capacity = (\d+) \}", conf)

    assert found is not None
    assert int(found[1]) >= 16 * 64  # shards of every issuer that may still count


def test_no_secret_is_written_down(conf: str) -> None:
    assert not re.search(r"(?i)bearer|cookie|default_password|authorization\" *=", conf)


def test_denials_are_told_to_the_gate_and_decide_nothing() -> None:
    text = (_EMQX / "denials.conf").read_text()

    assert "/api/v1/internal/mqtt-denied" in text
    assert "result = 'deny'" in text
    # A template puts values in as they are: a topic could then name another tenant.
    assert not re.search(r"^\s*body\b", text, re.MULTILINE)
    assert not re.search(r"(?i)^[^#]*bearer", text, re.MULTILINE)
