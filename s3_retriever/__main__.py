"""``python -m s3_retriever`` is the command line."""

import sys

from s3_retriever.cli import main

if __name__ == "__main__":
    sys.exit(main())
