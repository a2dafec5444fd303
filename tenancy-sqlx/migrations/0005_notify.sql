-- Tells listening processes at once that something has changed. What has changed they ask the feed,
-- so that the notification carries nothing and several of one transaction are one: a notification
-- that gets lost hides no change from whoever also polls.
CREATE FUNCTION tenancy.tell_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('tenancy_changes', '');
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION tenancy.tell_change() FROM PUBLIC;

CREATE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE ON tenancy.generations
    FOR EACH STATEMENT EXECUTE FUNCTION tenancy.tell_change();
