"""Videos and images of a directory into a captioned training set."""
