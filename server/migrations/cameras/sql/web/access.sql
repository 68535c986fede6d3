-- May be called again (by the owner) when roles were made later. The role of one company sees none of this.
CREATE PROCEDURE grant_web_access()
LANGUAGE plpgsql
AS $$
BEGIN
    CALL secure_table('web_users', 'false');
    CALL secure_table('web_sessions', 'false');
    CALL secure_table('web_sign_in_attempts', 'false');
END
$$;

CALL grant_web_access();
