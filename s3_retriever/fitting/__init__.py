"""Making a bank for a model: where to read it, how to whiten its keys, and its SAEs."""

from s3_retriever.fitting.banks import bank_for, make_bank
from s3_retriever.fitting.calibrate import CalibrateConfig, calibrate
from s3_retriever.fitting.relevance import fit_relevance
from s3_retriever.fitting.sentences import SentenceConfig, fit_sentences
from s3_retriever.fitting.shipped import builtin_bank
from s3_retriever.fitting.teacher import HeadTeacher, default_teacher
from s3_retriever.fitting.training import TrainConfig, TrainReport, train_sae
from s3_retriever.labelled import LabelledQuestion, LabelledSet, builtin_sets, load_set

__all__ = [
    "CalibrateConfig",
    "HeadTeacher",
    "LabelledQuestion",
    "LabelledSet",
    "SentenceConfig",
    "TrainConfig",
    "TrainReport",
    "bank_for",
    "builtin_bank",
    "builtin_sets",
    "calibrate",
    "default_teacher",
    "fit_relevance",
    "fit_sentences",
    "load_set",
    "make_bank",
    "train_sae",
]
