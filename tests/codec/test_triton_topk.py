"""The fused encoder, in a process of its own.

Triton's interpreter must be chosen before triton is imported, which torch may do at any time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

CASES = Path(__file__).parents[1] / "samples/triton_cases.py"


def run_cases(**environment: str) -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--noconftest",
        "-p",
        "no:cacheprovider",
        str(CASES),
    ]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_kernel_in_the_interpreter() -> None:
    run_cases(TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1")


@pytest.mark.slow
@pytest.mark.parametrize(("d_in", "k", "rows"), [(128, 32, 64), (448, 64, 10**6)])
def test_the_kernel_compiles_for_a_gpu_that_is_not_there(
    d_in: int, k: int, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For compute capability 9.0, on its matrix units; the assembler needs no GPU."""
    triton = pytest.importorskip("triton", reason="triton is not installed")
    target = pytest.importorskip("triton.backends.compiler").GPUTarget("cuda", 90, 32)
    from s3_retriever.codec import triton_topk

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # the default, said aloud: no warning
    kernel, block = triton_topk._encode_kernel, triton_topk._blocks(rows, d_in, itemsize=2)
    constants = {
        **{"D": d_in, "K": k, "SLOTS": k, "WIDEN": False, "x_col": 1, "w_col": 1},
        **{"ROWS": block.rows, "LATENTS": block.latents, "INPUTS": block.inputs},
    }
    types = dict.fromkeys(kernel.arg_names, "i32") | dict.fromkeys(constants, "constexpr")
    types |= {"x_ptr": "*bf16", "w_ptr": "*bf16", "b_ptr": "*fp32"}
    types |= {"latents_ptr": "*i32", "values_ptr": "*bf16"}
    source = triton.compiler.ASTSource(kernel, types, constants)
    compiled = triton.compile(source, target=target, options={"num_warps": block.warps})
    assert "wgmma" in compiled.asm["ptx"]
    assert compiled.metadata.shared < 227 * 1024


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_kernel_on_a_gpu() -> None:
    run_cases(TRITON_INTERPRET="0")
