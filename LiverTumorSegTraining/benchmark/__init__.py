"""Speed and memory of this project beside its peers, measured in one run on one machine."""
