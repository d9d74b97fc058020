"""*Worker.* Pictures: where they are read from, and how bytes become pixels. No Spark needed."""
