"""The examples of `deploy/` say what the program takes. They are parsed; no image is built and no cluster asked."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import pytest

from cascaderank.cli.main import build_parser

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def test_the_systemd_unit_starts_what_there_is() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "cascaderank.service")
    service = unit["Service"]
    _, *arguments = shlex.split(service["ExecStart"])
    options = build_parser().parse_args(arguments)
    assert options.command == "serve"
    assert float(service["TimeoutStopSec"]) > options.drain_s  # systemd kills after the drain, not in it
    assert service["KillSignal"] == "SIGTERM"
    assert "-HUP" in service["ExecReload"]


def test_the_kubernetes_example_probes_and_drains() -> None:
    yaml = pytest.importorskip("yaml", reason="needs a YAML parser: pip install pyyaml")
    deployment, service = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8"))
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    options = build_parser().parse_args(container["args"])
    assert options.command == "serve"
    assert pod["terminationGracePeriodSeconds"] > options.drain_delay_s + options.drain_s
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert options.drain_delay_s > container["readinessProbe"]["periodSeconds"]
    names = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == names
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert options.port == container["ports"][0]["containerPort"]


def test_the_dockerfile_starts_what_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r'^ENTRYPOINT \["cascaderank"\]$', text, flags=re.MULTILINE)
    (command,) = re.findall(r"^CMD (\[.*\])$", text, flags=re.MULTILINE)
    options = build_parser().parse_args([part.strip(' "') for part in command.strip("[]").split(",")])
    assert (options.host, options.port) == ("0.0.0.0", 8100)
    assert "EXPOSE 8100" in text
    assert re.search(r"^USER (?!root)", text, flags=re.MULTILINE)
