"""From prepared cases to augmented samples: sampling, augmentation, synthetic tumours, distractors; trains nothing."""
