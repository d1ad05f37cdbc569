"""What an evaluation looks like: tables, plots, JSON, and a page."""
