"""The files of an index: what the manifest says of them, how they are written, and their copies on this machine."""
