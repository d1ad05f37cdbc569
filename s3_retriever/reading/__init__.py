"""Everything that goes through the model: chunks, scan, questions, and what spans lead to."""
