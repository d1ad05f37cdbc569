"""What is compared: our search, its variants, and the baselines."""
