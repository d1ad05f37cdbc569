"""Many machines: Ray reads documents into one index, in a folder or an object store.

::

    from s3_retriever import distributed

    distributed.build("notes/", "notes.s3", address="local")
    distributed.build(ray.data.read_parquet("s3://texts/"), "s3://indexes/texts", num_gpus=1)
    distributed.download("s3://indexes/texts", "texts.s3")
"""

from s3_retriever.distributed.build import build
from s3_retriever.distributed.download import download
from s3_retriever.distributed.job import BuildReport

__all__ = ["BuildReport", "build", "download"]
