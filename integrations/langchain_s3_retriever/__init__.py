"""The language model you already run, as its own retriever, in LangChain."""

from s3_retriever.errors import MissingExtraError

try:
    import langchain_core  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError(
        'LangChain is not installed; run: pip install "s3-retriever[langchain]"'
    ) from error

from langchain_s3_retriever.retriever import EndogenousRetriever

__all__ = ["EndogenousRetriever"]
