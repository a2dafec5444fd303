-- From one customer to many. On a database that has notes already, say first whose they are:
--
--     INSERT INTO tenancy.tenants (id, slug, name, status) VALUES ('…', 'first', 'First', 'active');
--     ALTER TABLE notes ADD COLUMN tenant_id uuid;
--     UPDATE notes SET tenant_id = '…';
SELECT tenancy.protect('notes');
