"""Two or more dates of one patient: registration, pairing of lesions, response, report, and their command line."""
