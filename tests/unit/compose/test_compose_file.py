"""compose/compose.yaml against the specification, itself, the settings, the projections and streams there are, and the
folder around it."""

import re
import stat
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from composed import FOLDER, ROOT, composed, make_secrets, own_services, unescaped

from tailrace.operations.streams import SOURCES
from tailrace.projections.registry import PROJECTIONS
from tailrace.settings import Settings, WorkerSettings, load_settings
from tailrace.stack.servers import given_address

FILE = composed()
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
ONCE = {"migrate", "topics"}
NEEDS = {
    "migrate": {"postgres"},
    "topics": {"kafka"},
    "worker-postgres": {"kafka", "postgres"},
    "worker-redis": {"kafka", "postgres", "redis"},
    "worker-search": {"kafka", "postgres", "elasticsearch"},
    "lag": {"kafka", "postgres"},
    "http": {"kafka"},
    **{f"streams-{name}": {"kafka"} for name in SOURCES},
}
"""Servers that each of our services talks to."""


def test_it_is_valid_by_the_specification():
    schema = get_builtin_schema("vendor.compose-spec")
    jsonschema.Draft7Validator(schema).validate(FILE)
    broken = FILE | {"services": FILE["services"] | {"http": {"imagee": "none"}}}
    assert not jsonschema.Draft7Validator(schema).is_valid(broken)


def test_there_is_one_service_for_each_projection_and_stream():
    commands = {name: service["command"] for name, service in own_services().items()}

    for name in PROJECTIONS:
        assert commands[f"worker-{name}"] == ["worker", "run", name]
    for name in SOURCES:
        assert commands[f"streams-{name}"] == ["streams", "run", name]
    assert commands.keys() == NEEDS.keys()


@pytest.mark.parametrize("name", NEEDS)
def test_every_variable_exists_and_every_server_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    secrets = make_secrets(tmp_path / "secrets")
    service = SERVICES[name]
    for variable, value in service["environment"].items():
        assert not value.startswith("/run/secrets/") or Path(value).name in service["secrets"]
        assert _exists(variable), variable
        monkeypatch.setenv(variable, unescaped(value).replace("/run/secrets", str(tmp_path / "secrets")))
    settings = load_settings()
    given = {server: given_address(settings, server) for server in NEEDS[name]}

    for server, address in given.items():
        assert address is not None, f"{server} is not named"
        hosts = set(re.findall(r"(?:^|@|//)([a-z]+):\d+(?:/|,|$)", str(address)))
        assert hosts <= SERVICES.keys(), address
        assert hosts - {server} <= {"pgbouncer"}
    assert settings.postgres.pooled is ("pgbouncer" in str(given.get("postgres")))
    assert all(secrets[secret] for secret in service["secrets"])


def _exists(variable: str) -> bool:
    """Whether the settings have such a variable, or such a secret as a file."""
    path = variable.removesuffix("_FILE").removeprefix("TAILRACE_").lower().split("__")
    model: Any = Settings
    for part in path[:-1]:
        model = model.model_fields[part].annotation
    return path[-1] in model.model_fields


def test_every_service_has_limits_a_health_check_and_a_way_back():
    for name, service in SERVICES.items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} <= limits.keys(), name
        assert service["restart"] == ("no" if name in ONCE else "unless-stopped"), name
        assert ("test" in service["healthcheck"]) != service["healthcheck"].get("disable", False), name
        assert service["healthcheck"].get("disable", False) is (name in ONCE), name


def test_workers_are_not_killed_before_their_batch_is_finished():
    drain_s = WorkerSettings().drain_timeout_s

    assert all(int(service["stop_grace_period"].removesuffix("s")) > drain_s for service in own_services().values())


def test_nothing_is_published_beyond_this_machine():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert all("outside" in SERVICES[name]["networks"] for name in published)
    assert FILE["networks"]["inside"]["internal"] is True


def test_who_waits_for_somebody_waits_for_what_that_one_can_become():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert how["condition"] == wanted, f"{name} waits for {other}"


@pytest.mark.parametrize("name", NEEDS)
def test_a_service_starts_after_the_servers_it_needs(name: str):
    assert NEEDS[name] <= _before(name)


def _before(name: str) -> set[str]:
    direct = set(SERVICES[name].get("depends_on", ()))
    return direct.union(*(_before(other) for other in direct))


def test_secrets_are_files_that_the_script_makes_and_keeps(tmp_path: Path):
    made = make_secrets(tmp_path / "secrets")
    names = {name: Path(secret["file"]).name for name, secret in FILE["secrets"].items()}
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", ())}

    assert made.keys() == names.keys() == set(names.values()) == used
    assert make_secrets(tmp_path / "secrets") == made
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert "compose/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    text = (FOLDER / "compose.yaml").read_text()
    assert not [value for name, value in made.items() if value in text]


def test_what_is_mounted_or_built_is_in_the_folder():
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (FOLDER / source).exists() if source.startswith(".") else source in FILE["volumes"]
        if "build" in service:
            context = FOLDER / service["build"]["context"]
            assert (context / service["build"].get("dockerfile", "Dockerfile")).exists()


def test_the_image_gets_everything_that_the_wheel_is_cut_from():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert {"pyproject.toml", "README.md", "requirements", "src"} <= kept
    assert {link.name for link in (ROOT / "src" / "tailrace").iterdir() if link.is_symlink()} <= kept


def test_prometheus_asks_every_service_that_answers_and_grafana_only_for_what_there_is():
    scraped = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    (found,) = scraped["dns_sd_configs"]
    answering = {
        name for name, one in own_services().items() if one["environment"].get("TAILRACE_HEALTH__PORT") == "8470"
    }
    dashboard = (FOLDER / "grafana" / "provisioning" / "dashboards" / "tailrace.json").read_text()
    known = (ROOT / "src" / "tailrace" / "probes.py").read_text()

    assert set(found["names"]) == answering - ONCE
    assert found["port"] == 8470
    metrics = set(re.findall(r"tailrace_\w+", dashboard))
    assert metrics
    assert all(f'"{name}"' in known for name in metrics)
