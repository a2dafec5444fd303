//! The audit trail, as a superuser gets at it.

/// Empties the trail, which takes a superuser who switches its guards off.
pub const FORGET_TRAIL: &str = "DO $$
    DECLARE
        part text;
    BEGIN
        FOREACH part IN ARRAY ARRAY['audit_records', 'audit_particulars', 'audit_links', 'audit_checkpoints',
                'audit_erasures'] LOOP
            EXECUTE format('ALTER TABLE tenancy.%I DISABLE TRIGGER keep_trail', part);
            EXECUTE format('DELETE FROM tenancy.%I', part);
            EXECUTE format('ALTER TABLE tenancy.%I ENABLE ALWAYS TRIGGER keep_trail', part);
        END LOOP;
        DELETE FROM tenancy.audit_unsealed;
        DELETE FROM tenancy.audit_heads;
    END
    $$";
