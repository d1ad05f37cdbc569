"""Text without a model: sentences, words, files."""
