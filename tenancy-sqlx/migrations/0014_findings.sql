-- What around protected tables would show other tenants' rows. Finds nothing yet.
CREATE FUNCTION tenancy.relation_findings(login name) RETURNS TABLE (level text, code text, subject text, subject_oid oid, about oid[], finding text, mend text) LANGUAGE sql STABLE AS 'SELECT NULL::text,NULL::text,NULL::text,NULL::oid,NULL::oid[],NULL::text,NULL::text WHERE false';
