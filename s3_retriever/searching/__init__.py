"""From what is asked to spans: candidates, scorers, fusion, second hop. Never runs the model."""
