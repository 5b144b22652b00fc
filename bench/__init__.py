"""Speed, measured against the plain libraries side by side in one run."""
