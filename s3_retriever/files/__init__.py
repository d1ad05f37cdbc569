"""Files on a disk: which are read, and how the bytes of one become text with places to cite."""

from s3_retriever.files.documents import read_files
from s3_retriever.files.folders import read_folder
from s3_retriever.files.kinds import KINDS
from s3_retriever.files.reading import Reading
from s3_retriever.files.selection import Selection

__all__ = ["KINDS", "Reading", "Selection", "read_files", "read_folder"]
