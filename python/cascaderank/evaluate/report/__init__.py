"""One form of report for `tune`, `evaluate`, `calibrate` and `bench`: a page, its pictures, and the same as JSON."""
