-- The clean-up runs here, in batches; the constraint cannot be made without it.
CALL clean_up_duplicate_images(0, 2000);
