"""Labelled questions: sets that ship, sets in files, and a user's own folder."""

from s3_retriever.labelled.sets import (
    Evidence,
    LabelledQuestion,
    LabelledSet,
    builtin_sets,
    load_set,
)

__all__ = ["Evidence", "LabelledQuestion", "LabelledSet", "builtin_sets", "load_set"]
