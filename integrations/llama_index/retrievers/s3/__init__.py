"""The language model you already run, as its own retriever, in LlamaIndex."""

from s3_retriever.errors import MissingExtraError

try:
    import llama_index.core  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError(
        'LlamaIndex is not installed; run: pip install "s3-retriever[llama-index]"'
    ) from error

from llama_index.retrievers.s3.base import EndogenousRetriever
from llama_index.retrievers.s3.by_document import ByDocument

__all__ = ["ByDocument", "EndogenousRetriever"]
