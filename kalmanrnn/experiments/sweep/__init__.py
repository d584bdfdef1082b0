"""Many runs that differ in a few settings: a grid, a folder for each run, one report."""
