"""What `import s3_retriever` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import s3_retriever


def test_every_name_is_there() -> None:
    for name in s3_retriever.__all__:
        assert getattr(s3_retriever, name) is not None
    assert set(s3_retriever.__all__) <= set(dir(s3_retriever))
    assert issubclass(s3_retriever.InputError, s3_retriever.S3Error)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        s3_retriever.Nothing  # noqa: B018


def test_importing_loads_no_model_library() -> None:
    heavy = ("torch", "transformers", "numpy", "langchain_core", "llama_index")
    code = f"import sys, s3_retriever; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_engine_loads_no_framework_and_no_training_text() -> None:
    heavy = ("langchain_core", "llama_index", "langchain_s3_retriever", "pydoc_data.topics")
    code = (
        "import sys, s3_retriever.engine, s3_retriever.engine.index; "
        f"print([n for n in {heavy} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
