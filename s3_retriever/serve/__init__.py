"""One index behind a page and an interface for programs, on this machine."""
