"""The target language model as a source of keys, queries and token offsets."""

from s3_retriever.backbone.backbone import Backbone
from s3_retriever.backbone.cache import cache_folder
from s3_retriever.backbone.families import FAMILIES
from s3_retriever.backbone.reader import TapReader
from s3_retriever.backbone.spec import Head, ModelSpec, Tap
from s3_retriever.backbone.tokens import TextTokenizer, TokenizedText

__all__ = [
    "FAMILIES",
    "Backbone",
    "Head",
    "ModelSpec",
    "Tap",
    "TapReader",
    "TextTokenizer",
    "TokenizedText",
    "cache_folder",
]
