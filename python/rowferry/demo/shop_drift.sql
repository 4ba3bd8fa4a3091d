-- What the shop's developers do to its tables between two nights, without a word to anybody.

-- As Django adds a field: every row gets the default, which then goes; no row version is written.
alter table orders add column channel text default 'web';
alter table orders alter column channel drop default;

alter table users drop column settings;
