DROP PROCEDURE grant_doors_access();
DROP TABLE broker_logins;
