-- Twice: the second time serves what servers of before completed during the first.
CALL back_fill_originals(p_pages_per_batch => 200);
CALL back_fill_originals(p_pages_per_batch => 200);
