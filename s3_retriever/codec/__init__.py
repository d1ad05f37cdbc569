"""From keys to sparse codes and back: calibration, sparse autoencoders, and banks of them."""

from s3_retriever.codec.bank import Bank, fold
from s3_retriever.codec.bank_files import load_sae
from s3_retriever.codec.calibration import Calibration
from s3_retriever.codec.codes import Codes, JoinedCodes, TokenCodes
from s3_retriever.codec.query_weights import QueryWeights
from s3_retriever.codec.residual import Residual, fit_residual
from s3_retriever.codec.sae import Sae, fit_scale
from s3_retriever.codec.topk import check_finite, encode_topk

__all__ = [
    "Bank",
    "Calibration",
    "Codes",
    "JoinedCodes",
    "QueryWeights",
    "Residual",
    "Sae",
    "TokenCodes",
    "check_finite",
    "encode_topk",
    "fit_residual",
    "fit_scale",
    "fold",
    "load_sae",
]
