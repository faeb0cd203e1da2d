"""Speed and memory beside the peers, in one run on one machine: segmenting, training, evaluating."""
