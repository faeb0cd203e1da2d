"""Follow-up of one patient: the same lesions found in every scan, their change, and a response aid."""
