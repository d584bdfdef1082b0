"""An estimator's whole step as a program for robots: traced once, emitted in many forms."""
