"""Other libraries behind one face, so that ``peers.py`` can time them on the same files and pairs."""
