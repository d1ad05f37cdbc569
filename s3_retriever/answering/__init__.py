"""From spans to an answer: the prompt, and text from the weights that read the documents."""
