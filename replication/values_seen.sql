-- Whether a row of the watched table has the status $1; the placeholders stand for the table's expressions.
SELECT EXISTS (SELECT FROM %[1]s WHERE %[2]s IS DISTINCT FROM NULL AND %[3]s = $1::text)
