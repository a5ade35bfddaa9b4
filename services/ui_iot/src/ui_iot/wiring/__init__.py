"""The parts of ``app.py``'s wiring, one area a file: a new page or call is wired in its own area's."""
