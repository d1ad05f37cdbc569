"""Making a bank for a model: where to read it, how to whiten its keys, and its SAEs."""

from s3_retriever.fitting.banks import bank_for, builtin_bank, make_bank
from s3_retriever.fitting.calibrate import CalibrateConfig, calibrate
from s3_retriever.fitting.training import TrainConfig, TrainReport, train_sae
from s3_retriever.labelled import LabelledQuestion, LabelledSet, builtin_sets, load_set

__all__ = [
    "CalibrateConfig",
    "LabelledQuestion",
    "LabelledSet",
    "TrainConfig",
    "TrainReport",
    "bank_for",
    "builtin_bank",
    "builtin_sets",
    "calibrate",
    "load_set",
    "make_bank",
    "train_sae",
]
