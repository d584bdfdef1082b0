"""What a log holds and what is wrong with it: facts, judgements, a picture; changes nothing."""
