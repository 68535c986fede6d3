-- May be called again (by the owner) when roles were made later. The role of one company sees none of this.
CREATE PROCEDURE grant_doors_access()
LANGUAGE plpgsql
AS $$
BEGIN
    CALL secure_table('broker_logins', 'false');
END
$$;

CALL grant_doors_access();
