-- Run by the image of Postgres on an empty volume, as its superuser, before anybody can connect: the service's own user, who
-- owns its database and can do nothing beside it.
\getenv password POSTGRES_PASSWORD
CREATE ROLE paidonce LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
CREATE DATABASE paidonce OWNER paidonce;
-- Any user could connect otherwise.
REVOKE ALL ON DATABASE paidonce FROM PUBLIC;
-- The superuser has had that password until now. Without one nobody is the superuser through the network, only in the
-- container: docker compose exec postgres psql --username postgres paidonce
ALTER ROLE CURRENT_USER PASSWORD NULL;
