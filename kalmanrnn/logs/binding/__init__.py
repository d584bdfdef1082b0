"""From a recording to a drive of one scenario: events, first belief, truth."""
