"""From keys to sparse codes: calibration, sparse autoencoders, training, and banks of them."""

from s3_retriever.codec.bank import Bank, Codes, fold
from s3_retriever.codec.calibration import Calibration
from s3_retriever.codec.residual import Residual, fit_residual
from s3_retriever.codec.sae import Sae, fit_scale
from s3_retriever.codec.store import load_sae
from s3_retriever.codec.topk import check_finite, encode_topk
from s3_retriever.codec.train import TrainConfig, TrainReport, train_sae
from s3_retriever.codec.weights import QueryWeights

__all__ = [
    "Bank",
    "Calibration",
    "Codes",
    "QueryWeights",
    "Residual",
    "Sae",
    "TrainConfig",
    "TrainReport",
    "check_finite",
    "encode_topk",
    "fit_residual",
    "fit_scale",
    "fold",
    "load_sae",
    "train_sae",
]
