"""Many machines: Ray reads documents into one index, in a folder or an object store.

Several indexes are searched as one, here or as actors of Ray.

::

    from s3_retriever import distributed

    distributed.build("notes/", "notes.s3", address="local")
    distributed.build(ray.data.read_parquet("s3://texts/"), "s3://indexes/texts", num_gpus=1)
    distributed.download("s3://indexes/texts", "texts.s3")
    distributed.ShardedIndex.open(["one.s3", "two.s3"], address="local")
"""

from s3_retriever.distributed.build import build
from s3_retriever.distributed.download import download
from s3_retriever.distributed.job import BuildReport
from s3_retriever.distributed.sharded_index import ShardedIndex

__all__ = ["BuildReport", "ShardedIndex", "build", "download"]
