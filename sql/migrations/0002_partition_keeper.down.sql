DROP FUNCTION runtime.ensure_month(regclass, date);
DROP FUNCTION runtime.known_months(regclass);
DROP FUNCTION runtime.month_partitions(regclass);
