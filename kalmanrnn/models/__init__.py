"""Networks: the recurrent core, and the students that estimate with it."""
