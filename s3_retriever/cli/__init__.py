"""The command line: ``s3-retriever index | search | ask | …``.

Exit codes: 0 done, 1 an error, 2 a wrong command line, 3 done, but for
files that could not be read (`index`), 130 interrupted.
"""

from s3_retriever.cli.main import main

__all__ = ["main"]
