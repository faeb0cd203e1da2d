"""Two dates of one patient: registration, pairing of lesions, response, report; stands on the evaluation."""
