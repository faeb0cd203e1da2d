"""Studies as hospitals keep them: a CT series with RTSTRUCT or DICOM SEG objects that were drawn on it."""
