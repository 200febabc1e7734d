"""What cameras and streams need beyond files: captures that do not wait for each other, a watchdog, recordings."""
