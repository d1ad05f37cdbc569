"""The job for Kubernetes says what the command takes."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import ray
import yaml

from s3_retriever.cli.main import _parse

ROOT = Path(__file__).parents[2]
JOB = (ROOT / "examples" / "kuberay-index.yaml").read_text(encoding="utf-8")


def test_the_job_runs_a_command_that_there_is() -> None:
    job = yaml.safe_load(JOB)
    program, *words = shlex.split(job["spec"]["entrypoint"])
    args = _parse(words)
    assert (program, args.ray, args.output) == ("s3-retriever", "auto", "s3://indexes/texts")
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert float(container["resources"]["limits"]["nvidia.com/gpu"]) == args.worker_gpus


def test_the_image_holds_the_ray_that_is_pinned_and_extras_that_there_are() -> None:
    cluster = yaml.safe_load(JOB)["spec"]["rayClusterSpec"]
    assert f"FROM rayproject/ray:{cluster['rayVersion']}-" in JOB
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"ray=={cluster['rayVersion']}\n" in pins
    assert ray.__version__.split(".")[0] == cluster["rayVersion"].split(".")[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"pip install 's3-retriever\[(.+)\]'", JOB)
    assert {*extras.split(",")} <= project["optional-dependencies"].keys()
