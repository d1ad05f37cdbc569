"""`EndogenousIndex`: it alone knows the order of the steps."""

from s3_retriever.engine.index import EndogenousIndex

__all__ = ["EndogenousIndex"]
