"""What is written and read back: segmentation files, DICOM SEG, report, picture; decides nothing about a scan."""
