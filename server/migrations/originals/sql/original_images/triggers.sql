CREATE OR REPLACE TRIGGER images_release_originals AFTER DELETE ON images
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION fn_release_originals();
CREATE OR REPLACE TRIGGER device_images_release_originals AFTER DELETE ON device_images
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION fn_release_originals();
