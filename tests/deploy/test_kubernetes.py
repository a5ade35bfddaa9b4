"""The manifests: valid, restricted, default-deny, without a secret, and with exactly each service's settings."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import kubernetes_validate  # type: ignore[import-untyped] # it publishes no types
import pytest
import yaml
from tests.deploy import shipped

if TYPE_CHECKING:
    from pathlib import Path

Document = dict[str, Any]
_WORKLOADS = {"Deployment", "StatefulSet", "Job"}
_INFRASTRUCTURE = {"postgresql", "nats", "emqx", "keycloak", "caddy"}


@pytest.fixture
def manifests() -> list[Document]:
    return shipped.manifests()


@pytest.fixture
def settings_of() -> dict[str, frozenset[str]]:
    return shipped.SETTINGS


@pytest.fixture
def repository() -> Path:
    return shipped.ROOT


def _of_kind(manifests: list[Document], *kinds: str) -> dict[str, Document]:
    return {m["metadata"]["name"]: m for m in manifests if m["kind"] in kinds}


def _pod(manifest: Document) -> Document:
    pod: Document = manifest["spec"]["template"]["spec"]
    return pod


def test_every_manifest_is_valid_and_has_no_unknown_field(manifests: list[Document]) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.31", strict=True)


def test_no_two_manifests_are_the_same_object(manifests: list[Document]) -> None:
    names = [(m["kind"], m["metadata"]["name"]) for m in manifests]

    assert len(names) == len(set(names))


def test_every_service_comes_with_all_its_parts(
    manifests: list[Document], settings_of: dict[str, frozenset[str]]
) -> None:
    services = {name.replace("_", "-") for name in settings_of}

    assert _of_kind(manifests, "Deployment", "StatefulSet").keys() == services
    assert _of_kind(manifests, "Service").keys() == services
    assert _of_kind(manifests, "ConfigMap").keys() == services
    assert _of_kind(manifests, "PodDisruptionBudget").keys() == services
    assert _of_kind(manifests, "ServiceAccount").keys() == services | {"migrate"}
    # The rest keep something of their own: a key, a session name.
    stateless = services - {"cert-worker", "ingest-worker"}
    assert _of_kind(manifests, "HorizontalPodAutoscaler").keys() == stateless


def test_a_service_gets_exactly_its_own_settings(
    manifests: list[Document], settings_of: dict[str, frozenset[str]]
) -> None:
    workloads = _of_kind(manifests, "Deployment", "StatefulSet")
    config = _of_kind(manifests, "ConfigMap")

    for service, wanted in settings_of.items():
        name = service.replace("_", "-")
        container = _pod(workloads[name])["containers"][0]
        plain = set(config[name]["data"])
        explicit = [item["name"] for item in container["env"]]

        assert container["envFrom"] == [{"configMapRef": {"name": name}}]
        assert sorted([*plain, *explicit]) == sorted(wanted), name
        assert container["args"] == [service]
        assert container["image"] == f"pulse/{service}"


def test_secrets_are_referred_to_and_never_shared_or_written(manifests: list[Document]) -> None:
    assert not _of_kind(manifests, "Secret")
    for name, workload in _of_kind(manifests, *_WORKLOADS).items():
        for item in _pod(workload)["containers"][0]["env"]:
            assert "value" not in item, f"{name} {item['name']}"
            if "secretKeyRef" in item["valueFrom"]:
                assert item["valueFrom"]["secretKeyRef"]["name"] == name
    for name, config in _of_kind(manifests, "ConfigMap").items():
        found = [key for key in config["data"] if re.search(r"PASSWORD|SECRET|KEY|DATABASE_", key)]
        assert found == [], name


def test_pods_meet_the_restricted_standard(manifests: list[Document]) -> None:
    namespace = _of_kind(manifests, "Namespace")["pulse"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, workload in _of_kind(manifests, *_WORKLOADS).items():
        pod = _pod(workload)
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["serviceAccountName"] == name
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] == 10001, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert {next(iter(v.keys() - {"name"})) for v in pod["volumes"]} <= {
            "emptyDir",
            "configMap",
            "persistentVolumeClaim",
        }, name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name


def test_services_are_probed_where_they_answer(manifests: list[Document]) -> None:
    for name, workload in _of_kind(manifests, "Deployment", "StatefulSet").items():
        container = _pod(workload)["containers"][0]
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}, name
        assert container["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}, name
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}, name
        assert container["ports"] == [{"name": "http", "containerPort": 8080}], name


def test_nothing_may_talk_unless_a_policy_says_so(manifests: list[Document]) -> None:
    policy = _of_kind(manifests, "NetworkPolicy")["deny-everything"]["spec"]

    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_only_the_flows_of_the_architecture_are_open(manifests: list[Document]) -> None:
    flows = {
        (name, direction): {_other_side(peer) for rule in rules for peer in rule[other]}
        for name, policy in _of_kind(manifests, "NetworkPolicy").items()
        for direction, other in (("ingress", "from"), ("egress", "to"))
        if (rules := policy["spec"].get(direction))
    }

    assert flows == {
        ("ask-for-names", "egress"): {"kube-dns"},
        ("be-measured", "ingress"): {"monitoring"},
        ("reach-the-stores", "egress"): {"postgresql", "nats"},
        ("migrate", "egress"): {"postgresql"},
        ("ui-iot", "ingress"): {"caddy"},
        ("ui-iot", "egress"): {"keycloak", "internet"},
        ("provision-api", "ingress"): {"caddy"},
        ("provision-api", "egress"): {"keycloak"},
        ("cert-worker", "ingress"): {"caddy"},
        ("mqtt-authz", "ingress"): {"emqx"},
        ("mqtt-authz", "egress"): {"emqx"},
        ("ingest-worker", "egress"): {"emqx"},
        ("billing-webhooks", "ingress"): {"caddy"},
        ("billing-webhooks", "egress"): {"internet"},
        ("delivery-worker", "egress"): {"internet"},
    }


def _other_side(peer: Document) -> str:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        private = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"}
        assert block["cidr"] == "2000::/3" or private <= set(block["except"])
        return "internet"
    namespace = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    if "podSelector" not in peer:
        return str(namespace)
    labels = peer["podSelector"]["matchLabels"]
    name = str(labels.get("app.kubernetes.io/name") or labels["k8s-app"])
    assert (namespace == "pulse-infra") == (name in _INFRASTRUCTURE)
    return name


def test_each_selector_finds_its_pods(manifests: list[Document]) -> None:
    pods = {
        name: workload["spec"]["template"]["metadata"]["labels"]
        for name, workload in _of_kind(manifests, *_WORKLOADS).items()
    }
    for name, workload in _of_kind(manifests, "Deployment", "StatefulSet").items():
        assert workload["spec"]["selector"]["matchLabels"].items() <= pods[name].items()
    for name, service in _of_kind(manifests, "Service").items():
        assert service["spec"]["selector"].items() <= pods[name].items()
    for policy in _of_kind(manifests, "NetworkPolicy").values():
        wanted = policy["spec"]["podSelector"].get("matchLabels", {})
        assert any(wanted.items() <= labels.items() for labels in pods.values()), policy


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_an_overlay_pins_every_image_and_patches_only_what_exists(
    overlay: str, repository: Path, manifests: list[Document]
) -> None:
    path = repository / "deploy" / "k8s" / "overlays" / overlay / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())

    assert kustomization["resources"] == ["../../base"]
    images = {image["name"]: image["newTag"] for image in kustomization["images"]}
    used = {
        container["image"]
        for workload in _of_kind(manifests, *_WORKLOADS).values()
        for container in _pod(workload)["containers"]
    }
    assert images.keys() == used
    assert "latest" not in images.values()
    known = {(m["kind"], m["metadata"]["name"]) for m in manifests}
    for patch in kustomization["patches"]:
        if "target" in patch:
            continue
        target = yaml.safe_load(patch["patch"])
        assert (target["kind"], target["metadata"]["name"]) in known


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_kustomize_itself_builds_valid_manifests(overlay: str, repository: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: kustomize's own build did not run")

    built = subprocess.run(
        ["kubectl", "kustomize", str(repository / "deploy" / "k8s" / "overlays" / overlay)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    for document in yaml.safe_load_all(built):
        kubernetes_validate.validate(document, "1.31", strict=True)
        for container in _pod(document)["containers"] if document["kind"] in _WORKLOADS else []:
            assert re.search(r":(dev|\d+\.\d+\.\d+)$", container["image"])


def test_the_authority_has_a_way_out_only_to_a_siem_that_somebody_asked_for(
    repository: Path, tmp_path: Path
) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: kustomize's own build did not run")
    shutil.copytree(repository / "deploy" / "k8s", tmp_path / "k8s")
    overlay = tmp_path / "k8s" / "overlays" / "production" / "kustomization.yaml"
    overlay.write_text(f"{overlay.read_text()}components: [../../components/siem]\n")

    built = subprocess.run(
        ["kubectl", "kustomize", str(overlay.parent)], check=True, capture_output=True, text=True
    ).stdout

    documents = list(yaml.safe_load_all(built))
    for document in documents:
        kubernetes_validate.validate(document, "1.31", strict=True)
    policy = _of_kind(documents, "NetworkPolicy")["cert-worker-to-siem"]
    assert policy["metadata"]["namespace"] == "pulse"
    (rule,) = policy["spec"]["egress"]
    assert [(peer["ipBlock"]["cidr"], rule["ports"]) for peer in rule["to"]] == [
        ("192.0.2.10/32", [{"protocol": "TCP", "port": 6514}])
    ]
    data = _of_kind(documents, "ConfigMap")["cert-worker"]["data"]
    mounts = _pod(_of_kind(documents, "Deployment")["cert-worker"])["containers"][0]["volumeMounts"]
    folders = {mount["mountPath"] for mount in mounts}
    assert data["AUDIT_SYSLOG_CA_FILE"].rpartition("/")[0] in folders
    assert data["AUDIT_HEADS_DIRECTORY"] in folders
