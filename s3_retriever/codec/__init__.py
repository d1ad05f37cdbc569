"""From keys to sparse codes: calibration, sparse autoencoders, training, and banks of them."""

from s3_retriever.codec.bank import Bank, Codes, fold
from s3_retriever.codec.calibration import Calibration
from s3_retriever.codec.sae import Sae
from s3_retriever.codec.store import load_sae
from s3_retriever.codec.topk import check_finite, encode_topk

__all__ = [
    "Bank",
    "Calibration",
    "Codes",
    "Sae",
    "check_finite",
    "encode_topk",
    "fold",
    "load_sae",
]
